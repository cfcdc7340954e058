// Direct injection, the side of the kernel: conntracks that a peer has just told of, or has told the end of, in as few
// calls as possible. What this kernel has got from us already is changed in place, one request each; everything else
// goes the way of a commit (conntrack-committer.ts).
//
// It works in the main thread: at a hundred changes a second the way to the worker and back would be most of the time
// between the two kernels, and in a storm a request costs the thread about as much as its message would.
import type { LabelMask } from "../conntrack/labels.ts";
import { NO_LABELS } from "../conntrack/labels.ts";
import type { NameTable } from "../conntrack/names.ts";
import { IPPROTO_TCP } from "../conntrack/protocol.ts";
import {
	type ConntrackRecord,
	H_HELPER,
	H_MARK,
	H_MASTER,
	H_SEQ_ORIG,
	H_SEQ_REPLY,
	H_STATUS,
	H_TCP,
	H_TIMEOUT,
	HAS,
	MARK,
	newConntrackRecord,
	PROTOCOLS,
	STATUS,
} from "../conntrack/record.ts";
import { IPS_COMMITTABLE, IPS_CONFIRMED, IPS_EXPECTED } from "../conntrack/status.ts";
import type { CreateOptions } from "../netlink/encode-conntrack.ts";
import type { Clock } from "../system/clock.ts";
import type { Native } from "../system/native.ts";
import { readSysctl, type Sysctl } from "../system/sysctl.ts";
import { ConntrackCommitter } from "./conntrack-committer.ts";
import { BATCH } from "./conntrack-requests.ts";
import { type EntryReader, isGre } from "./gre-entry.ts";
import { LabelCommitter } from "./label-committer.ts";
import type { CommitResult } from "./messages.ts";
import { Waiting } from "./waiting.ts";

const ENOENT = 2;
/** How long a reading of the kernel's settings, and of how full its table is, holds; milliseconds. */
const SETTINGS_MS = 100;
/** After so long a helper that was refused is asked for again; milliseconds. */
const REFUSED_HELPERS_MS = 60_000;
const COUNT = "net.netfilter.nf_conntrack_count";

export interface ConntrackInjectorOptions {
	native: Native;
	names: NameTable;
	clock: Clock;
	windowTracking: boolean;
	/** The connlabels that may be written; none unless given. */
	labels?: LabelMask;
	/** How the kernel's settings are read. */
	sysctl?: Sysctl;
}

export class ConntrackInjector {
	readonly committer: ConntrackCommitter;
	readonly #options: ConntrackInjectorOptions;
	readonly #update: CreateOptions;
	readonly #labels: LabelCommitter;
	#updates = new Waiting();
	#creations = new Waiting();
	/** Of the batch of updates. */
	#count = 0;
	readonly #readers: EntryReader[] = [];
	readonly #slots = new Int32Array(BATCH);
	readonly #record = newConntrackRecord();
	/** The kernel's settings, as they were read last; and what was created since, for that is more by now. */
	readonly #settings = new Map<string, number | undefined>();
	#settingsAt = Number.NEGATIVE_INFINITY;
	#createdSince = 0;
	#begunAt = Number.NEGATIVE_INFINITY;

	constructor(options: ConntrackInjectorOptions) {
		const { native, names, windowTracking, labels = NO_LABELS } = options;
		this.#options = options;
		this.#update = { windowTracking };
		this.committer = new ConntrackCommitter(native, names, (name) => this.#setting(name));
		this.#labels = new LabelCommitter(this.committer.requests, names);
		this.#labels.begin(labels);
	}

	/** The entry in this slot is in the kernel, put there by us, and is to be as the peer has it now. */
	update(reader: EntryReader, slot: number): void {
		this.#updates.push(reader, slot);
	}

	/** The entry in this slot is to be in the kernel, which may have something in its place. */
	create(reader: EntryReader, slot: number): void {
		this.#creations.push(reader, slot);
	}

	/**
	 * Writes what was asked for since the last call. What was refused, and what was joined, is left with the committer.
	 *
	 * @throws NetlinkError when the kernel could not be asked at all
	 */
	write(): CommitResult {
		const { committer } = this;
		this.#begin();
		const [updates, creations] = [this.#updates, this.#creations];
		this.#updates = new Waiting();
		this.#creations = new Waiting();
		updates.each((reader, slot) => this.#append(reader, slot));
		this.#flush();
		const unchangeable = this.#creations;
		this.#creations = new Waiting();
		const updated = updates.length - unchangeable.length;
		unchangeable.each((reader, slot) => creations.push(reader, slot));
		creations.each((reader, slot) => committer.add(reader, slot));
		if (creations.length > 0) committer.finish();
		if (this.#labels.isOn) {
			for (const some of [updates, creations]) some.each((reader, slot) => this.#labels.add(reader, slot));
			this.#labels.finish();
		}
		const { result } = committer;
		result.updated += updated;
		this.#createdSince += result.created;
		return result;
	}

	/** What the kernel has under these keys. */
	get(keys: readonly ConntrackRecord[]): (ConntrackRecord | undefined)[] {
		return this.committer.kernel.get(keys);
	}

	/** Deletes the entries with these keys. @returns how many are gone because of it, and how many could not be deleted */
	delete(keys: readonly ConntrackRecord[]): { deleted: number; failed: number } {
		const { encoder, socket } = this.committer.kernel;
		let deleted = keys.length;
		let failed = 0;
		for (let at = 0; at < keys.length; at += BATCH) {
			keys.slice(at, at + BATCH).forEach((key, i) => {
				encoder.delete(key, socket.sequence(i), 0);
			});
			socket.exchange((_, errno) => {
				deleted--;
				if (errno !== ENOENT) failed++;
			});
		}
		return { deleted, failed };
	}

	close(): void {
		this.committer.requests.close();
	}

	#begin(): void {
		const { clock, windowTracking, labels } = this.#options;
		const now = clock.now();
		if (now - this.#begunAt > REFUSED_HELPERS_MS) {
			this.#begunAt = now;
			this.committer.begin(windowTracking, undefined, labels);
		}
		// what needs no change is reported, too: the internal cache may hold what it was before
		this.committer.beginAgain();
	}

	#append(reader: EntryReader, slot: number): void {
		const record = this.#record;
		if (!reader.read(slot, record)) return;
		if (!canBeUpdated(record)) {
			this.#creations.push(reader, slot);
			return;
		}
		prepareUpdate(record);
		const index = this.#count++;
		this.#readers[index] = reader;
		this.#slots[index] = slot;
		const { encoder, socket } = this.committer.kernel;
		encoder.update(record, socket.sequence(index), 0, this.#update);
		if (this.#count === BATCH) this.#flush();
	}

	#flush(): void {
		if (this.#count === 0) return;
		this.#count = 0;
		// it has gone, or is not what it was believed to be: whatever it is, a commit knows what to do
		this.committer.kernel.socket.exchange((index) => {
			this.#creations.push(this.#readers[index]!, this.#slots[index]!);
		});
	}

	/** A file each, and a commit looks at two of them: that would cost more than an entry. */
	#setting(name: string): number | undefined {
		const { clock, sysctl = readSysctl } = this.#options;
		const now = clock.now();
		if (now - this.#settingsAt > SETTINGS_MS) {
			this.#settings.clear();
			this.#settingsAt = now;
			this.#createdSince = 0;
		}
		if (!this.#settings.has(name)) this.#settings.set(name, sysctl(name));
		const value = this.#settings.get(name);
		return value === undefined || name !== COUNT ? value : value + this.#createdSince;
	}
}

/** Whether a request to change the entry says all that the peer has told of it. */
function canBeUpdated(record: ConntrackRecord): boolean {
	const has = record[HAS]!;
	if (isGre(record) || (has & H_TIMEOUT) === 0) return false;
	// an offloaded flow tells no state
	if ((has & H_TCP) === 0 && ((record[PROTOCOLS]! >>> 8) & 0xff) === IPPROTO_TCP) return false;
	// the kernel ignores adjustments for an entry that was made without room for them
	return (has & (H_SEQ_ORIG | H_SEQ_REPLY)) === 0 || (has & H_HELPER) !== 0;
}

/** Completes the record: what the peer does not have, the kernel's entry is not to have either. */
function prepareUpdate(record: ConntrackRecord): void {
	const has = record[HAS]!;
	const expected = has & H_MASTER ? IPS_EXPECTED : 0;
	// where the kernel's has more of these bits it answers EBUSY, and its entry is looked at
	record[STATUS] = (record[STATUS]! & IPS_COMMITTABLE) | IPS_CONFIRMED | expected;
	if ((has & H_MARK) === 0) record[MARK] = 0;
	record[HAS] = has | H_STATUS | H_MARK;
}
