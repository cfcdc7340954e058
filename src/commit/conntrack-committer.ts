// External cache -> kernel, conntracks: batches of creations, and what has to be done about those that fail.
//
// An entry that exists is joined with what is there, or replaced if it describes another connection. A helper that
// this kernel does not know costs the helper, not the entry. Entries with a master wait for it: a creation that
// fails for want of a master is tried again after the others, as long as that brings any further.
import type { NameTable } from "../conntrack/names.ts";
import {
	type ConntrackRecord,
	H_HELPER,
	H_MASTER,
	H_TIMEOUT,
	HAS,
	HELPER,
	newConntrackRecord,
	PROTOCOLS,
	TIMEOUT,
} from "../conntrack/record.ts";
import { ConntrackDecoder } from "../netlink/decode-conntrack.ts";
import { CONNTRACK_REQUEST_MAX, ConntrackEncoder, type CreateOptions } from "../netlink/encode-conntrack.ts";
import { attributesOf } from "../netlink/message.ts";
import type { Native } from "../system/native.ts";
import { joinConntrack } from "./join.ts";
import { type CommitResult, newCommitResult, type Refusal } from "./messages.ts";
import { RequestSocket } from "./request-socket.ts";
import type { StoreReader } from "./store-reader.ts";

/** Creations per system call: measured, more gain nothing and hold the kernel's mutex longer. */
const BATCH = 256;
/** How deep masters of masters go (H.323: RAS, Q.931, H.245) with room to spare. */
const DEPTH_MAX = 8;

const ENOENT = 2;
const EEXIST = 17;
const EOPNOTSUPP = 95;

/** One entry on its way. */
interface Pending {
	reader: StoreReader;
	store: number;
	slot: number;
}

export class ConntrackCommitter {
	readonly requests: RequestSocket;
	result: CommitResult = newCommitResult();
	/** Entries that the kernel did not take, since they were last fetched. */
	refusals: Refusal[] = [];
	/** Entries that were joined, as they are now, since they were last fetched. */
	joined: ConntrackRecord[] = [];
	/** Report what needed no change as joined, too: the main thread may have taken in what it was before. */
	reportsKept = false;
	/** Helpers that this kernel has refused, by protocols | helper << 16. Bounded by the table of names. */
	readonly #refusedHelpers = new Set<number>();
	readonly #encoder: ConntrackEncoder;
	readonly #decoder: ConntrackDecoder;
	readonly #record = newConntrackRecord();
	readonly #local = newConntrackRecord();
	readonly #batch: Pending[] = [];
	/** Entries with a master, until those without one are through. */
	#related: Pending[] = [];
	#orphans: Pending[] = [];
	#options: CreateOptions = { windowTracking: false };
	#timeout: number | undefined;

	constructor(native: Native, names: NameTable) {
		this.requests = new RequestSocket(native, (BATCH + 1) * CONNTRACK_REQUEST_MAX);
		this.#encoder = new ConntrackEncoder(this.requests.writer, names);
		this.#decoder = new ConntrackDecoder(names);
	}

	begin(windowTracking: boolean, timeout: number | undefined): void {
		this.result = newCommitResult();
		this.refusals = [];
		this.joined = [];
		this.reportsKept = false;
		this.#related = [];
		this.#orphans = [];
		this.#options = { windowTracking };
		this.#timeout = timeout;
	}

	/** Commits the entry in the slot, sooner or later; `finish` ends it. */
	add(reader: StoreReader, store: number, slot: number): void {
		if (!reader.read(slot, this.#record)) return;
		const pending = { reader, store, slot };
		if ((this.#record[HAS]! & H_MASTER) !== 0) this.#related.push(pending);
		else this.#create(pending);
	}

	/** Commits what is waiting, masters before what hangs from them. */
	finish(): void {
		this.#flush();
		let waiting = this.#related;
		this.#related = [];
		for (let depth = 0; waiting.length > 0; depth++) {
			const isLast = depth === DEPTH_MAX;
			for (const pending of waiting) {
				if (pending.reader.read(pending.slot, this.#record)) this.#create(pending);
			}
			this.#flush();
			const orphans = this.#orphans;
			this.#orphans = [];
			if (isLast || orphans.length === waiting.length) {
				for (const pending of orphans) this.#refuse(pending, ENOENT, "create", false);
				return;
			}
			waiting = orphans;
		}
	}

	/** Appends the record just read to the batch. */
	#create(pending: Pending): void {
		this.#prepare();
		this.#encoder.create(this.#record, this.#batch.push(pending) - 1, 0, this.#options);
		if (this.#batch.length === BATCH) this.#flush();
	}

	#flush(): void {
		if (this.#batch.length === 0) return;
		const batch = this.#batch.splice(0);
		const failures: [Pending, number][] = [];
		this.requests.exchange((sequence, errno) => failures.push([batch[sequence]!, errno]));
		this.result.created += batch.length - failures.length;
		for (const [pending, errno] of failures) this.#failed(pending, errno);
	}

	#failed(pending: Pending, errno: number): void {
		// it may have changed since: what counts is what it is now
		if (!pending.reader.read(pending.slot, this.#record)) return;
		const has = this.#record[HAS]!;
		if (errno === EEXIST) this.#exists(pending);
		else if (errno === ENOENT && (has & H_MASTER) !== 0) this.#orphans.push(pending);
		else if (errno === EOPNOTSUPP && (has & H_HELPER) !== 0) this.#createWithoutHelper(pending);
		else this.#refuse(pending, errno, "create", false);
	}

	#exists(pending: Pending): void {
		if (!this.#get()) {
			// nothing has this original tuple: the reply tuple, after NAT, is another connection's
			this.#refuse(pending, EEXIST, "create", false);
			return;
		}
		this.#prepare();
		// made without its helper by an earlier commit, it is the same connection all the same
		if (this.#refusedHelpers.has(this.#helperKey())) this.#record[HAS] = this.#record[HAS]! & ~H_HELPER;
		const verdict = joinConntrack(this.#local, this.#record, this.#options.windowTracking);
		if (verdict === "keep") {
			this.result.kept++;
			if (this.reportsKept) this.joined.push(this.#local.slice());
			return;
		}
		if (verdict === "update") this.#encoder.update(this.#record, 0, 0, this.#options);
		else {
			this.#encoder.delete(this.#record, 1, 0);
			this.#encoder.create(this.#record, 0, 0, this.#options);
		}
		// the first request's own failure (it has just gone) does not matter if the second succeeds
		const errno = this.#single();
		const isGone = verdict === "replace" || errno === ENOENT;
		if (errno === EOPNOTSUPP && isGone && (this.#record[HAS]! & H_HELPER) !== 0) {
			this.#createWithoutHelper(pending);
		} else if (errno !== 0) this.#refuse(pending, errno, verdict, !isGone);
		else {
			if (verdict === "update") this.result.updated++;
			else this.result.replaced++;
			this.joined.push(this.#record.slice());
		}
	}

	#createWithoutHelper(pending: Pending): void {
		this.#prepare();
		this.#encoder.create(this.#record, 0, 0, { ...this.#options, withoutHelper: true });
		const errno = this.#single();
		if (errno !== 0) {
			this.#refuse(pending, errno, "create", false);
			return;
		}
		this.#refusedHelpers.add(this.#helperKey());
		this.result.created++;
		this.result.withoutHelper++;
	}

	/** Sends what the writer holds; the errno of the request with sequence number 0. */
	#single(): number {
		let errno = 0;
		this.requests.exchange((sequence, number) => {
			if (sequence === 0) errno = number;
		});
		return errno;
	}

	/** Reads the kernel's entry with the record's original tuple; false if there is none. */
	#get(): boolean {
		let isFound = false;
		this.#encoder.get(this.#record, 0);
		this.requests.exchange(
			() => {},
			(start, end) => {
				isFound = this.#decoder.decode(this.requests.wire, attributesOf(start), end, this.#local);
			},
		);
		return isFound;
	}

	#helperKey(): number {
		return this.#record[PROTOCOLS]! | (this.#record[HELPER]! << 16);
	}

	/** CommitTimeout, if there is one, instead of what the origin told. */
	#prepare(): void {
		if (this.#timeout === undefined) return;
		this.#record[TIMEOUT] = this.#timeout;
		this.#record[HAS] = this.#record[HAS]! | H_TIMEOUT;
	}

	#refuse(pending: Pending, errno: number, step: Refusal["step"], exists: boolean): void {
		this.result.failed++;
		this.refusals.push({ store: pending.store, slot: pending.slot, errno, step, exists });
	}
}
