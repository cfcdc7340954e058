// What a commit has come to so far: counts, what the kernel did not take, what was there already.
import type { ConntrackRecord } from "../conntrack/record.ts";
import {
	type CommitResult,
	type JoinedEntry,
	newCommitResult,
	type Refusal,
	type RefusalCause,
} from "./messages.ts";
import { entryValue } from "./value.ts";

/** Refusals and joined entries that are kept until somebody has to take them. */
export const REPORT = 1000;
const ENOMEM = 12;
const ENOSPC = 28;

/** nf_conntrack_alloc: the table is full, and nothing in it could be dropped. */
export const isFull = (errno: number): boolean => errno === ENOMEM || errno === ENOSPC;

export class CommitTally {
	result: CommitResult = newCommitResult();
	/** Entries that the kernel did not take, since they were last fetched. Bounded by REPORT, if `isMany` empties it. */
	refusals: Refusal[] = [];
	/** Entries that were there, as they are now, since they were last fetched. The same holds for them. */
	joined: JoinedEntry[] = [];
	/** There are REPORT of both: a million at once would take most of a gigabyte. */
	isMany: () => void = () => {};
	/** Report what needed no change as joined, too: the main thread may have taken in what it was before. */
	reportsKept = false;

	clear(): void {
		this.result = newCommitResult();
		this.refusals = [];
		this.joined = [];
		this.reportsKept = false;
	}

	refuse(
		record: ConntrackRecord,
		errno: number,
		step: Refusal["step"],
		exists: boolean,
		more: { cause?: RefusalCause; occupant?: ConntrackRecord } = {},
	): void {
		this.result.failed++;
		if (isFull(errno)) this.result.full[entryValue(record)]++;
		this.refusals.push({ record: record.slice(), errno, step, exists, ...more });
		this.#count();
	}

	/** The entry was there. The record is kept. */
	join(record: ConntrackRecord, isReplaced: boolean, evicted?: ConntrackRecord): void {
		this.joined.push({ record, isReplaced, ...(evicted && { evicted }) });
		this.#count();
	}

	/** There was no room left, so it was not even tried. */
	notTried(record: ConntrackRecord): void {
		this.refuse(record, ENOMEM, "create", false, { cause: "not tried" });
	}

	#count(): void {
		if (this.refusals.length + this.joined.length >= REPORT) this.isMany();
	}
}
