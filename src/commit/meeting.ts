// Entries that are not to be had as they are, because the kernel has something in their place (EEXIST): what is there is
// fetched, many in one call, joined with the peer's view or replaced by it, and written back, many in one call.
import {
	type ConntrackRecord,
	H_HELPER,
	H_MASTER,
	HAS,
	newConntrackRecord,
	REPLY_PORTS,
} from "../conntrack/record.ts";
import type { CreateOptions } from "../netlink/encode-conntrack.ts";
import { BATCH, type ConntrackRequests, masterKey } from "./conntrack-requests.ts";
import { joinConntrack, type LocalView, sameWords } from "./join.ts";
import type { Refusal } from "./messages.ts";
import { isAsMeant, isSameOriginal, needsReadBack } from "./read-back.ts";
import type { CommitTally } from "./tally.ts";

const ENOENT = 2;
const EBUSY = 16;
const EEXIST = 17;
const EOPNOTSUPP = 95;

/** An entry that met another one. */
export interface Met<Origin> {
	/** Where it comes from; for whoever has to create it after all. */
	origin: Origin;
	record: ConntrackRecord;
	view: LocalView;
	options: CreateOptions;
	/** What the kernel has under its original tuple, if that is known already. */
	local: ConntrackRecord | undefined;
	/** It has been here before: what was there changed while it was looked at. */
	isRetry: boolean;
}

/** One whose own tuple is taken by `local`, which has to go. */
type Replacement<Origin> = Met<Origin> & { local: ConntrackRecord };

export class Meeting {
	readonly #requests: ConntrackRequests;
	readonly #tally: CommitTally;

	constructor(requests: ConntrackRequests, tally: CommitTally) {
		this.#requests = requests;
		this.#tally = tally;
	}

	/** Settles them all; those that have to be created once more, because what was there has gone, come back. */
	settle<Origin>(met: readonly Met<Origin>[]): Met<Origin>[] {
		const again: Met<Origin>[] = [];
		for (let at = 0; at < met.length; at += BATCH) again.push(...this.#settle(met.slice(at, at + BATCH)));
		return again;
	}

	/** Settles those that the kernel has something in the place of; the others come back. */
	settlePresent<Origin>(met: readonly Met<Origin>[]): Met<Origin>[] {
		this.#fetch(met);
		const again = this.settle(met.filter(({ local }) => local));
		return [...met.filter(({ local }) => !local), ...again];
	}

	#settle<Origin>(met: Met<Origin>[]): Met<Origin>[] {
		this.#fetch(met);
		const masters = this.#masters(met);
		const updates: Met<Origin>[] = [];
		const replacements: Replacement<Origin>[] = [];
		const strangers: Met<Origin>[] = [];
		for (const one of met) {
			const { local, record, view, options } = one;
			if (!local) {
				strangers.push(one);
				continue;
			}
			const hasMaster = !masters.missing.has(one);
			const verdict = joinConntrack(local, record, view, options.windowTracking, hasMaster);
			if (verdict === "update") updates.push(one);
			else if (verdict === "replace") {
				if (!hasMaster) one.options = { ...options, withoutMaster: true };
				replacements.push({ ...one, local });
			} else if (verdict === "taken") this.#tally.refuse(record, EEXIST, "create", true, { cause: "alive" });
			else this.#kept(one, local);
		}
		this.#replace(replacements);
		return [...this.#update(updates), ...this.#findOccupants(strangers)];
	}

	/** Asks for what is there, where it is not known yet. */
	#fetch(met: readonly Met<unknown>[]): void {
		const unknown = met.filter(({ local }) => !local);
		const found = this.#requests.get(unknown.map(({ record }) => record));
		unknown.forEach((one, i) => {
			one.local = found[i];
		});
	}

	/** Which of the entries that may have to be replaced hang from a master that this kernel does not have. */
	#masters<Origin>(met: readonly Met<Origin>[]): { missing: Set<Met<Origin>> } {
		const related = met.filter(({ record, local }) => local && (record[HAS]! & H_MASTER) !== 0);
		const found = this.#requests.get(related.map(({ record }) => masterKey(record)));
		return { missing: new Set(related.filter((_, i) => !found[i])) };
	}

	#kept({ view }: Met<unknown>, local: ConntrackRecord): void {
		this.#tally.result.kept++;
		// a left-over that is as it should be is this node's from now on
		if (this.#tally.reportsKept || view === "left over") {
			this.#tally.join(local, false);
		}
	}

	#update<Origin>(updates: readonly Met<Origin>[]): Met<Origin>[] {
		const { encoder, socket } = this.#requests;
		const errnos = updates.map(() => 0);
		updates.forEach(({ record, options }, i) => {
			encoder.update(record, socket.sequence(i), 0, options);
		});
		this.#requests.exchange(
			(i, errno) => {
				errnos[i] = errno;
			},
			() => {},
		);
		const again: Met<Origin>[] = [];
		updates.forEach((one, i) => {
			const errno = errnos[i]!;
			const { record } = one;
			if (errno === 0) {
				this.#tally.result.updated++;
				this.#tally.join(record, false);
				// it has gone, or has got further, since it was looked at
			} else if ((errno === ENOENT || errno === EBUSY) && !one.isRetry) again.push(retry(one));
			else this.#tally.refuse(record, errno, "update", errno !== ENOENT);
		});
		return again;
	}

	/** Deletes what is there and makes the record in one batch; if it cannot be made, the old one comes back. */
	#replace<Origin>(replacements: readonly Replacement<Origin>[]): void {
		const { encoder, socket } = this.#requests;
		const errnos = replacements.map(() => 0);
		const made: (ConntrackRecord | undefined)[] = replacements.map(() => undefined);
		const first = replacements.length;
		replacements.forEach(({ record, local, options }, i) => {
			// the deletion's own failure (it has just gone) does not matter if the creation succeeds
			encoder.delete(local, socket.sequence(first + i), 0);
			encoder.create(record, socket.sequence(i), 0, options);
			if (needsReadBack(record)) encoder.get(record, socket.sequence(2 * first + i));
		});
		this.#requests.exchange(
			(i, errno) => {
				if (i < first) errnos[i] = errno;
			},
			(index, start, end) => {
				const record = newConntrackRecord();
				if (this.#requests.decode(start, end, record)) made[index - 2 * first] = record;
			},
		);
		replacements.forEach((one, i) => {
			this.#replaced(one, errnos[i]!, made[i]);
		});
	}

	#replaced<Origin>(one: Replacement<Origin>, errno: number, made: ConntrackRecord | undefined): void {
		const { record, local, options } = one;
		const { result } = this.#tally;
		let failure = errno;
		let occupant: ConntrackRecord | undefined;
		if (errno === EEXIST) {
			[occupant] = this.#requests.get([record], "reply");
			// another one of the batch was in the way, and has been replaced behind it
			if (!occupant) failure = this.#create(record, options);
		}
		if (failure === EOPNOTSUPP && (record[HAS]! & H_HELPER) !== 0) {
			failure = this.#create(record, { ...options, withoutHelper: true });
			if (failure === 0) result.withoutHelper++;
		}
		const isOther = errno === 0 && made !== undefined && !isAsMeant(record, made);
		if (isOther) this.#delete(record);
		if (failure === 0 && !isOther) {
			result.replaced++;
			if (options.withoutMaster) result.withoutMaster++;
			const evicted = isSameOriginal(local, record) ? {} : { evicted: local };
			this.#tally.joined.push({ record, isReplaced: true, ...evicted });
			return;
		}
		this.#create(local, { windowTracking: options.windowTracking });
		const exists = this.#requests.get([record])[0] !== undefined;
		if (occupant) this.#tally.refuse(record, EEXIST, "replace", exists, { cause: "reply tuple", occupant });
		else if (isOther) this.refuseTranslated(record, "replace", exists);
		else this.#tally.refuse(record, failure, "replace", exists);
	}

	/**
	 * The kernel gave the record another translation, which has been deleted again: without an error it takes another
	 * port when the one that was asked for is taken, if only the destination is to be translated. Says by whom.
	 */
	refuseTranslated(record: ConntrackRecord, step: Refusal["step"], exists: boolean): void {
		const [occupant] = this.#requests.get([record], "reply");
		const why = occupant ? ({ cause: "reply tuple", occupant } as const) : ({ cause: "translated" } as const);
		this.#tally.refuse(record, EEXIST, step, exists, why);
	}

	/**
	 * Nothing has the original tuple: the reply tuple, after NAT, is another connection's. Whether that one may go is
	 * for the main thread to say, which knows when it was last seen.
	 */
	#findOccupants<Origin>(strangers: readonly Met<Origin>[]): Met<Origin>[] {
		const again: Met<Origin>[] = [];
		const found = this.#requests.get(
			strangers.map(({ record }) => record),
			"reply",
		);
		strangers.forEach((one, i) => {
			const occupant = found[i];
			if (occupant) {
				this.#tally.refuse(one.record, EEXIST, "create", false, { cause: "reply tuple", occupant });
			} else if (!one.isRetry) again.push(retry(one));
			else this.#tally.refuse(one.record, EEXIST, "create", false);
		});
		return again;
	}

	/**
	 * The occupant of the record's reply tuple goes, if it may, and the record comes; or all stays as it was. By now another
	 * entry may be in its place, or in that of its original tuple, or nothing: ports change hands, and entries that were to
	 * go have gone.
	 */
	evict(
		record: ConntrackRecord,
		{ occupant, mayGo }: { occupant: ConntrackRecord; mayGo: boolean },
		view: LocalView,
		options: CreateOptions,
	): void {
		const [own] = this.#requests.get([record]);
		if (own && joinConntrack(own, record.slice(), view, options.windowTracking) !== "replace") {
			this.#tally.refuse(record, EEXIST, "replace", true, { cause: "alive" });
			return;
		}
		const [current] = this.#requests.get([record], "reply");
		const isOccupant =
			current && isSameOriginal(current, occupant) && sameWords(current, occupant, REPLY_PORTS, 9);
		if (current && !(isOccupant && mayGo)) {
			const step = own ? "replace" : "create";
			this.#tally.refuse(record, EEXIST, step, own !== undefined, {
				cause: "reply tuple",
				occupant: current,
			});
			return;
		}
		const met = { origin: undefined, record, view, options, isRetry: true };
		if (!current) {
			if (own) this.#replace([{ ...met, local: own }]);
			else this.#createInstead(record, options);
			return;
		}
		if (own) this.#delete(own);
		this.#replace([{ ...met, local: current }]);
		// if it was not to be, that one stays, too
		if (own && this.#requests.get([record])[0] === undefined) {
			this.#create(own, { windowTracking: options.windowTracking });
		}
	}

	/** What was in its place has gone by itself. */
	#createInstead(record: ConntrackRecord, options: CreateOptions): void {
		const { result } = this.#tally;
		let errno = this.#create(record, options);
		if (errno === EOPNOTSUPP && (record[HAS]! & H_HELPER) !== 0) {
			errno = this.#create(record, { ...options, withoutHelper: true });
			if (errno === 0) result.withoutHelper++;
		}
		if (errno === 0) {
			result.replaced++;
			this.#tally.joined.push({ record, isReplaced: true });
		} else this.#tally.refuse(record, errno, "replace", false);
	}

	#create(record: ConntrackRecord, options: CreateOptions): number {
		this.#requests.encoder.create(record, this.#requests.socket.sequence(0), 0, options);
		return this.#requests.single();
	}

	#delete(record: ConntrackRecord): void {
		this.#requests.encoder.delete(record, this.#requests.socket.sequence(0), 0);
		this.#requests.single();
	}
}

function retry<Origin>(one: Met<Origin>): Met<Origin> {
	return { ...one, local: undefined, isRetry: true };
}
