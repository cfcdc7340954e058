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
	MASTER_DST,
	MASTER_PORTS,
	MASTER_PROTOCOLS,
	MASTER_SRC,
	newConntrackRecord,
	ORIG_DST,
	ORIG_PORTS,
	ORIG_SRC,
	PROTOCOLS,
	TIMEOUT,
	ZONES,
} from "../conntrack/record.ts";
import { ConntrackDecoder } from "../netlink/decode-conntrack.ts";
import { CONNTRACK_REQUEST_MAX, ConntrackEncoder, type CreateOptions } from "../netlink/encode-conntrack.ts";
import { attributesOf } from "../netlink/message.ts";
import type { Native } from "../system/native.ts";
import { joinConntrack } from "./join.ts";
import { type CommitResult, type JoinedEntry, newCommitResult, type Refusal } from "./messages.ts";
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
	slot: number;
}

export class ConntrackCommitter {
	readonly requests: RequestSocket;
	result: CommitResult = newCommitResult();
	/** Entries that the kernel did not take, since they were last fetched. */
	refusals: Refusal[] = [];
	/** Entries that were joined, as they are now, since they were last fetched. */
	joined: JoinedEntry[] = [];
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
	add(reader: StoreReader, slot: number): void {
		if (!reader.read(slot, this.#record)) return;
		const pending = { reader, slot };
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
				for (const { reader, slot } of orphans) {
					if (reader.read(slot, this.#record)) this.#refuse(ENOENT, "create", false);
				}
				return;
			}
			waiting = orphans;
		}
	}

	/** Appends the record just read to the batch. */
	#create(pending: Pending): void {
		this.#prepare();
		const index = this.#batch.push(pending) - 1;
		this.#encoder.create(this.#record, this.requests.sequence(index), 0, this.#options);
		if (this.#batch.length === BATCH) this.#flush();
	}

	#flush(): void {
		if (this.#batch.length === 0) return;
		const batch = this.#batch.splice(0);
		const failures: [Pending, number][] = [];
		this.requests.exchange((index, errno) => failures.push([batch[index]!, errno]));
		this.result.created += batch.length - failures.length;
		for (const [pending, errno] of failures) this.#failed(pending, errno);
	}

	#failed(pending: Pending, errno: number): void {
		// it may have changed since: what counts is what it is now
		if (!pending.reader.read(pending.slot, this.#record)) return;
		const has = this.#record[HAS]!;
		if (errno === EEXIST) this.#exists();
		else if (errno === ENOENT && (has & H_MASTER) !== 0) this.#orphans.push(pending);
		else if (errno === EOPNOTSUPP && (has & H_HELPER) !== 0) this.#createWithoutHelper();
		else this.#refuse(errno, "create", false);
	}

	#exists(): void {
		if (!this.#get(this.#record, this.#local)) {
			// nothing has this original tuple: the reply tuple, after NAT, is another connection's
			this.#refuse(EEXIST, "create", false);
			return;
		}
		this.#prepare();
		// made without its helper by an earlier commit, it is the same connection all the same
		if (this.#refusedHelpers.has(this.#helperKey())) this.#record[HAS] = this.#record[HAS]! & ~H_HELPER;
		const verdict = joinConntrack(this.#local, this.#record, this.#options.windowTracking);
		if (verdict === "keep") {
			this.result.kept++;
			if (this.reportsKept) this.joined.push({ record: this.#local.slice(), isReplaced: false });
			return;
		}
		if (verdict === "replace") {
			this.#replace();
			return;
		}
		this.#encoder.update(this.#record, this.requests.sequence(0), 0, this.#options);
		const errno = this.#single();
		if (errno !== 0) this.#refuse(errno, "update", errno !== ENOENT);
		else {
			this.result.updated++;
			this.joined.push({ record: this.#record.slice(), isReplaced: false });
		}
	}

	/** Deletes the kernel's entry and makes the peer's; if that cannot be made, the old one comes back. */
	#replace(): void {
		const hasMaster = (this.#record[HAS]! & H_MASTER) !== 0;
		if (hasMaster && !this.#hasMaster()) {
			this.#refuse(ENOENT, "replace", true);
			return;
		}
		this.#encoder.delete(this.#record, this.requests.sequence(1), 0);
		this.#encoder.create(this.#record, this.requests.sequence(0), 0, this.#options);
		// the deletion's own failure (it has just gone) does not matter if the creation succeeds
		let errno = this.#single();
		if (errno === EOPNOTSUPP && (this.#record[HAS]! & H_HELPER) !== 0) errno = this.#singleWithoutHelper();
		if (errno === 0) {
			this.result.replaced++;
			this.joined.push({ record: this.#record.slice(), isReplaced: true });
			return;
		}
		this.#encoder.create(this.#local, this.requests.sequence(0), 0, this.#options);
		this.#refuse(errno, "replace", this.#single() === 0);
	}

	#createWithoutHelper(): void {
		this.#prepare();
		const errno = this.#singleWithoutHelper();
		if (errno !== 0) this.#refuse(errno, "create", false);
		else this.result.created++;
	}

	/** Creates the record without its helper, and remembers that this kernel does not have it; the errno. */
	#singleWithoutHelper(): number {
		const options = { ...this.#options, withoutHelper: true };
		this.#encoder.create(this.#record, this.requests.sequence(0), 0, options);
		const errno = this.#single();
		if (errno === 0) {
			this.#refusedHelpers.add(this.#helperKey());
			this.result.withoutHelper++;
		}
		return errno;
	}

	/** Sends what the writer holds; the errno of the batch's request number 0. */
	#single(): number {
		let errno = 0;
		this.requests.exchange((index, number) => {
			if (index === 0) errno = number;
		});
		return errno;
	}

	/** Reads the kernel's entry with the original tuple of `key` into `target`; false if there is none. */
	#get(key: ConntrackRecord, target: ConntrackRecord): boolean {
		let isFound = false;
		this.#encoder.get(key, this.requests.sequence(0));
		this.requests.exchange(
			() => {},
			(start, end) => {
				isFound = this.#decoder.decode(this.requests.wire, attributesOf(start), end, target);
			},
		);
		return isFound;
	}

	#hasMaster(): boolean {
		const key = newConntrackRecord();
		key[PROTOCOLS] = this.#record[MASTER_PROTOCOLS]!;
		key[ZONES] = this.#record[ZONES]!;
		key[ORIG_PORTS] = this.#record[MASTER_PORTS]!;
		key.set(this.#record.subarray(MASTER_SRC, MASTER_SRC + 4), ORIG_SRC);
		key.set(this.#record.subarray(MASTER_DST, MASTER_DST + 4), ORIG_DST);
		return this.#get(key, newConntrackRecord());
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

	#refuse(errno: number, step: Refusal["step"], exists: boolean): void {
		this.result.failed++;
		this.refusals.push({ record: this.#record.slice(), errno, step, exists });
	}
}
