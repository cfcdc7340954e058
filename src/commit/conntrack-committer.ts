// External cache -> kernel, conntracks: batches of creations, the most valuable first, and what has to be done about
// those that fail.
//
// An entry that exists is joined with what is there, or replaces it (meeting.ts). A helper that this kernel does not know
// costs the helper, not the entry. Entries with a master wait for it: a creation that fails for want of a master is
// tried again after the others, as long as that brings any further, and in the end made without.
import { allowsLabels, type LabelMask } from "../conntrack/labels.ts";
import type { NameTable } from "../conntrack/names.ts";
import { IPPROTO_TCP } from "../conntrack/protocol.ts";
import { IP_CT_TCP_FLAG_BE_LIBERAL, packTcp, TCP_ESTABLISHED } from "../conntrack/protoinfo.ts";
import {
	type ConntrackRecord,
	H_HELPER,
	H_MASTER,
	H_TCP,
	H_TIMEOUT,
	HAS,
	HELPER,
	newConntrackRecord,
	PROTOCOLS,
	PROTOINFO,
	TIMEOUT,
} from "../conntrack/record.ts";
import { NLM_F_ECHO } from "../netlink/constants.ts";
import type { CreateOptions } from "../netlink/encode-conntrack.ts";
import type { Native } from "../system/native.ts";
import { readSysctl, type Sysctl } from "../system/sysctl.ts";
import { BATCH, ConntrackRequests } from "./conntrack-requests.ts";
import { type EntryReader, GreReader, hasBothKeys, isGre } from "./gre-entry.ts";
import { chooseHelper } from "./helper-choice.ts";
import { KernelTimeouts } from "./kernel-timeouts.ts";
import { Meeting, type Met } from "./meeting.ts";
import type { CommitResult, JoinedEntry, Refusal } from "./messages.ts";
import { isAsMeant, ReadBack } from "./read-back.ts";
import type { RequestSocket } from "./request-socket.ts";
import { tableRoom } from "./table-room.ts";
import { CommitTally, isFull } from "./tally.ts";
import { entryValue, NOT_ASSURED, VALUES, type Value } from "./value.ts";
import { Waiting } from "./waiting.ts";

/** How deep masters of masters go (H.323: RAS, Q.931, H.245) with room to spare. */
const DEPTH_MAX = 8;
/** So many creations in a row that find the table full, and nothing more is tried. */
const FULL_MAX = 256;

const ENOENT = 2;
const EEXIST = 17;
const EOPNOTSUPP = 95;

/** How an entry is to be created, other than it is. */
const WITHOUT_HELPER = 1;
const WITHOUT_MASTER = 2;
/** It was found to exist, and had gone when it was looked at. */
const RETRY = 4;
/** Its origin told no timeout. */
const OFFLOADED = 8;
/** Its own helper would harm it. */
const HARMED_BY_HELPER = 16;

/** One entry on its way. */
interface Pending {
	reader: EntryReader;
	slot: number;
	/** What it is to do without, as has been found so far. */
	flags: number;
}

export class ConntrackCommitter {
	readonly requests: RequestSocket;
	readonly #names: NameTable;
	readonly kernel: ConntrackRequests;
	readonly #tally = new CommitTally();
	readonly #meeting: Meeting;
	readonly #timeouts: KernelTimeouts;
	readonly #readBack: ReadBack;
	readonly #sysctl: Sysctl;
	/** Helpers that this kernel has refused, by protocols | helper << 16. Bounded by the table of names. */
	readonly #refusedHelpers = new Set<number>();
	readonly #record = newConntrackRecord();

	// the batch
	#count = 0;
	readonly #readers: EntryReader[] = [];
	readonly #slots = new Int32Array(BATCH);
	readonly #flags = new Uint8Array(BATCH);
	readonly #errnos = new Int32Array(BATCH);

	/** Entries without a master that are worth less, and entries with one, by value. */
	#later: Waiting[] = [];
	#related: Waiting[] = [];
	#orphans = new Waiting();
	/** Entries that there was no room to try. */
	#untried = new Waiting();
	/** Of the table, for entries that it would drop others for; undefined while nobody has to ask. */
	#room: number | undefined;
	#fullInARow = 0;
	#isStopped = false;
	#options: CreateOptions = { windowTracking: false };
	#liberal: CreateOptions = { windowTracking: false };
	#timeout: number | undefined;

	constructor(native: Native, names: NameTable, sysctl: Sysctl = readSysctl) {
		this.#names = names;
		this.kernel = new ConntrackRequests(native, names);
		this.requests = this.kernel.socket;
		this.#meeting = new Meeting(this.kernel, this.#tally);
		this.#readBack = new ReadBack(this.kernel);
		this.#sysctl = sysctl;
		this.#timeouts = new KernelTimeouts(sysctl);
		this.#clear();
	}

	get result(): CommitResult {
		return this.#tally.result;
	}

	/** Whoever takes them empties the list. */
	get refusals(): Refusal[] {
		return this.#tally.refusals;
	}

	get joined(): JoinedEntry[] {
		return this.#tally.joined;
	}

	/** Who takes them when there are many. */
	set isMany(take: () => void) {
		this.#tally.isMany = take;
	}

	begin(windowTracking: boolean, timeout: number | undefined, labels?: LabelMask): void {
		this.#options = { windowTracking, ...(labels && allowsLabels(labels) && { labels }) };
		this.#liberal = { ...this.#options, windowTracking: false };
		this.#timeout = timeout;
		this.#refusedHelpers.clear();
		this.#timeouts.forget();
		this.#clear();
	}

	/** The same commit once more, for entries that have changed while it ran. */
	beginAgain(): void {
		this.#clear();
		this.#tally.reportsKept = true;
	}

	#clear(): void {
		this.#tally.clear();
		this.#count = 0;
		this.#later = VALUES.map(() => new Waiting());
		this.#related = VALUES.map(() => new Waiting());
		this.#orphans = new Waiting();
		this.#untried = new Waiting();
		this.#room = undefined;
		this.#fullInARow = 0;
		this.#isStopped = false;
	}

	/** Commits the entry in the slot, sooner or later; `finish` ends it. */
	add(reader: EntryReader, slot: number): void {
		if (!reader.read(slot, this.#record)) return;
		if (isGre(this.#record)) {
			const forms = hasBothKeys(this.#record) ? (["original", "reply"] as const) : (["whole"] as const);
			for (const form of forms) {
				const gre = new GreReader(reader, form);
				if (gre.read(slot, this.#record)) this.#sort(gre, slot);
			}
		} else this.#sort(reader, slot);
	}

	#sort(reader: EntryReader, slot: number): void {
		const value = entryValue(this.#record);
		if ((this.#record[HAS]! & H_MASTER) !== 0) this.#related[value]!.push(reader, slot);
		else if (value === 0) this.#create(reader, slot, 0);
		else this.#later[value]!.push(reader, slot);
	}

	/** Commits what is waiting: by value, and masters before what hangs from them. */
	finish(): void {
		for (const value of VALUES) {
			if (value === NOT_ASSURED) this.#measureRoom();
			this.#createAll(this.#later[value]!, 0);
			this.#createRelated(value);
		}
		const orphans = this.#orphans;
		this.#orphans = new Waiting();
		// better without the relation than not at all
		this.#createAll(orphans, WITHOUT_MASTER);
		this.#later = [];
		this.#related = [];
		this.#meetUntried();
	}

	/** The occupant of the reply tuple of the entry in the slot is of no use any more: it goes, the entry comes. */
	evict(reader: EntryReader, slot: number, taken: { occupant: ConntrackRecord; mayGo: boolean }): void {
		if (!reader.read(slot, this.#record)) return;
		const { options } = this.#prepare(0);
		this.#meeting.evict(this.#record.slice(), taken, reader.localView, options);
	}

	/** Entries of one value with a master, and those that still wait for theirs. */
	#createRelated(value: Value): void {
		let waiting = this.#orphans;
		this.#related[value]!.each((reader, slot) => waiting.push(reader, slot));
		for (let depth = 0; depth <= DEPTH_MAX && waiting.length > 0; depth++) {
			this.#orphans = new Waiting();
			this.#createAll(waiting, 0);
			if (this.#orphans.length === waiting.length) return;
			waiting = this.#orphans;
		}
	}

	#createAll(waiting: Waiting, flags: number): void {
		waiting.each((reader, slot) => {
			if (reader.read(slot, this.#record)) this.#create(reader, slot, flags);
		});
		while (this.#count > 0) this.#flush();
	}

	/** A full table may hold them already: what is there needs no room. */
	#meetUntried(): void {
		const met: Met<undefined>[] = [];
		const settle = (): void => {
			for (const { record } of this.#meeting.settlePresent(met.splice(0))) this.#tally.notTried(record);
		};
		this.#untried.each((reader, slot) => {
			if (!reader.read(slot, this.#record)) return;
			const { options } = this.#prepare(0);
			const [record, view] = [this.#record.slice(), reader.localView];
			met.push({ origin: undefined, record, view, options, local: undefined, isRetry: true });
			if (met.length === BATCH) settle();
		});
		settle();
		this.#untried = new Waiting();
	}

	/** Appends the record just read to the batch. */
	#create(reader: EntryReader, slot: number, flags: number): void {
		const record = this.#record;
		if (!this.#hasRoom(reader, slot)) {
			this.#untried.push(reader, slot);
			return;
		}
		const index = this.#count++;
		const { options, flags: all } = this.#prepare(flags);
		const { encoder, socket } = this.kernel;
		this.#readers[index] = reader;
		this.#slots[index] = slot;
		this.#flags[index] = all;
		const netlinkFlags = this.#readBack.add(index, record) ? NLM_F_ECHO : 0;
		encoder.create(record, socket.sequence(index), netlinkFlags, options);
		if (this.#count === BATCH) this.#flush();
	}

	#flush(): void {
		const count = this.#count;
		if (count === 0) return;
		const errnos = this.#errnos.fill(0);
		this.kernel.exchange(
			(index, errno) => {
				errnos[index] = errno;
			},
			() => {},
			(start, end) => this.#readBack.echoed(start, end),
		);
		this.#readBack.askForRest(errnos, count);
		this.#count = 0;
		const met: Met<Pending>[] = [];
		const withoutHelper: Pending[] = [];
		for (let index = 0; index < count; index++) {
			const errno = errnos[index]!;
			if (errno === 0) this.#created(index);
			else this.#failed(index, errno, met, withoutHelper);
		}
		const again = this.#meeting.settle(met);
		for (const { origin } of again) this.#once(origin, RETRY);
		for (const pending of withoutHelper) this.#once(pending, WITHOUT_HELPER);
	}

	#once({ reader, slot, flags }: Pending, more: number): void {
		if (reader.read(slot, this.#record)) this.#create(reader, slot, flags | more);
	}

	#created(index: number): void {
		const flags = this.#flags[index]!;
		const { result } = this.#tally;
		this.#fullInARow = 0;
		const made = this.#readBack.made(index);
		if (made && !isAsMeant(this.#readBack.sent(index), made)) {
			const sent = this.#readBack.sent(index);
			this.kernel.encoder.delete(sent, this.requests.sequence(0), 0);
			this.kernel.single();
			this.#meeting.refuseTranslated(sent, "create", false);
			return;
		}
		result.created++;
		if (this.#room !== undefined) this.#room--;
		if (flags & OFFLOADED) result.offloaded++;
		if (flags & WITHOUT_MASTER) result.withoutMaster++;
		if (flags & HARMED_BY_HELPER) result.withoutHelper++;
		if (flags & WITHOUT_HELPER) {
			result.withoutHelper++;
			if (this.#readers[index]!.read(this.#slots[index]!, this.#record))
				this.#refusedHelpers.add(this.#helperKey());
		}
	}

	#failed(index: number, errno: number, met: Met<Pending>[], withoutHelper: Pending[]): void {
		const record = this.#record;
		const flags = this.#flags[index]!;
		const kept = flags & (WITHOUT_HELPER | WITHOUT_MASTER | RETRY);
		const pending = { reader: this.#readers[index]!, slot: this.#slots[index]!, flags: kept };
		if (isFull(errno)) {
			if (++this.#fullInARow >= FULL_MAX) this.#isStopped = true;
		} else this.#fullInARow = 0;
		// it may have changed since: what counts is what it is now
		if (!pending.reader.read(pending.slot, record)) return;
		const { options } = this.#prepare(kept);
		const has = record[HAS]!;
		if (errno === EEXIST) {
			const isRetry = (flags & RETRY) !== 0;
			const view = pending.reader.localView;
			met.push({ origin: pending, record: record.slice(), view, options, local: undefined, isRetry });
		} else if (errno === ENOENT && (has & H_MASTER) !== 0 && (flags & WITHOUT_MASTER) === 0) {
			this.#orphans.push(pending.reader, pending.slot);
		} else if (errno === EOPNOTSUPP && (has & H_HELPER) !== 0 && (flags & WITHOUT_HELPER) === 0) {
			withoutHelper.push(pending);
		} else this.#tally.refuse(record, errno, "create", false);
	}

	/** Completes the record just read; what has to be told with its creation. */
	#prepare(wanted: number): { options: CreateOptions; flags: number } {
		const record = this.#record;
		let flags = wanted;
		let options = this.#options;
		if ((record[HAS]! & H_TCP) === 0 && ((record[PROTOCOLS]! >>> 8) & 0xff) === IPPROTO_TCP) {
			// an offloaded flow shows no state; nor do its windows mean anything
			const liberal = IP_CT_TCP_FLAG_BE_LIBERAL;
			record[PROTOINFO] = packTcp(TCP_ESTABLISHED, 0, 0, liberal, liberal);
			record[HAS] = record[HAS]! | H_TCP;
			options = this.#liberal;
		}
		if ((record[HAS]! & H_TIMEOUT) === 0) {
			record[TIMEOUT] = this.#timeouts.secondsFor(record);
			record[HAS] = record[HAS]! | H_TIMEOUT;
			flags |= OFFLOADED;
		}
		if (this.#timeout !== undefined) record[TIMEOUT] = this.#timeout;
		if ((record[HAS]! & H_HELPER) !== 0 && this.#refusedHelpers.has(this.#helperKey()))
			flags |= WITHOUT_HELPER;
		if (chooseHelper(record, this.#names)) flags |= HARMED_BY_HELPER;
		if (flags & WITHOUT_HELPER) options = { ...options, withoutHelper: true };
		if (flags & WITHOUT_MASTER) options = { ...options, withoutMaster: true };
		return { options, flags };
	}

	#helperKey(): number {
		return this.#record[PROTOCOLS]! | (this.#record[HELPER]! << 16);
	}

	/**
	 * Entries that are not ASSURED come last, and only as many as there is room for: in a full table the kernel would
	 * drop others of the same kind for them, without an error.
	 */
	#measureRoom(): void {
		this.#room = tableRoom(this.#sysctl);
	}

	#hasRoom(reader: EntryReader, slot: number): boolean {
		if (this.#isStopped) return false;
		if (this.#room === undefined || this.#room > this.#count) return true;
		while (this.#count > 0) this.#flush();
		this.#measureRoom();
		this.#isStopped = this.#room === 0;
		// what came of the others was looked at in the same place
		return !this.#isStopped && reader.read(slot, this.#record);
	}
}
