// A network namespace of the worker thread's own, into which the kernel's tables are copied, so that a commit meets
// there what it would meet here.
//
// Nothing that decides whether the kernel takes an entry is a setting of the namespace. The limit of the table is one
// for the machine and its count is the namespace's, so that the copy is full when the original would be. Helpers are the
// machine's. No packet comes by and nobody listens to events.
import { EXP_HAS, EXP_TIMEOUT, X_TIMEOUT } from "../conntrack/expectation-record.ts";
import type { NameTable } from "../conntrack/names.ts";
import { IP_CT_TCP_FLAG_BE_LIBERAL, tcpFlagsOrig, tcpFlagsReply } from "../conntrack/protoinfo.ts";
import { H_MASTER, HAS } from "../conntrack/record.ts";
import { CONNTRACK_REQUEST_MAX, ConntrackEncoder } from "../netlink/encode-conntrack.ts";
import { EXPECTATION_REQUEST_MAX, ExpectationEncoder } from "../netlink/encode-expectation.ts";
import type { Native } from "../system/native.ts";
import { type CommitResult, newCommitResult } from "./messages.ts";
import { RequestSocket } from "./request-socket.ts";
import { TableReader } from "./table-reader.ts";

const BATCH = 256;
const ENOENT = 2;
/** How deep masters of masters go, as in a commit. */
const DEPTH_MAX = 8;

export class ScratchNamespace {
	/** Of the kernel's own tables: opened before the thread left its namespace. */
	readonly #original: TableReader;
	readonly #copy: RequestSocket;
	readonly #conntracks: ConntrackEncoder;
	readonly #expectations: ExpectationEncoder;
	readonly #result = newCommitResult();

	/**
	 * Moves this thread into a network namespace of its own.
	 *
	 * @throws Error when it may not have one (EPERM without CAP_SYS_ADMIN)
	 */
	constructor(native: Native, names: NameTable) {
		this.#original = new TableReader(native, names);
		try {
			native.unshareNetwork();
			this.#copy = new RequestSocket(
				native,
				BATCH * 2 * Math.max(CONNTRACK_REQUEST_MAX, EXPECTATION_REQUEST_MAX),
			);
		} catch (error) {
			this.#original.close();
			throw error;
		}
		this.#conntracks = new ConntrackEncoder(this.#copy.writer, names);
		this.#expectations = new ExpectationEncoder(this.#copy.writer, names);
	}

	/** @throws NetlinkError when the tables cannot be read */
	copy(hasExpectations: boolean): CommitResult {
		this.#copyConntracks();
		if (hasExpectations) this.#copyExpectations();
		return this.#result;
	}

	#copyConntracks(): void {
		const batch: Int32Array[] = [];
		let waiting: Int32Array[] = [];
		const flush = (): void => {
			const sent = batch.splice(0);
			this.#exchange(sent.length, (index, errno) => {
				if (errno === ENOENT && (sent[index]![HAS]! & H_MASTER) !== 0) waiting.push(sent[index]!);
				else this.#result.failed++;
			});
		};
		const create = (one: Int32Array): void => {
			const sequence = this.#copy.sequence(batch.push(one) - 1);
			const flags = tcpFlagsOrig(one) & tcpFlagsReply(one);
			// as it is: with or without the mark that windows are not checked
			this.#conntracks.create(one, sequence, 0, {
				windowTracking: (flags & IP_CT_TCP_FLAG_BE_LIBERAL) === 0,
			});
			if (batch.length === BATCH) flush();
		};
		this.#original.conntracks(create);
		flush();
		for (let depth = 0; depth < DEPTH_MAX && waiting.length > 0; depth++) {
			const again = waiting;
			waiting = [];
			for (const one of again) create(one);
			flush();
		}
		// a connection outlives its master, and is shown with it all the same
		for (const one of waiting.splice(0)) {
			one[HAS] = one[HAS]! & ~H_MASTER;
			create(one);
		}
		flush();
	}

	#copyExpectations(): void {
		let count = 0;
		const flush = (): void => {
			this.#exchange(count, () => this.#result.failed++);
			count = 0;
		};
		this.#original.expectations((record) => {
			this.#expectations.create(record, this.#copy.sequence(count++));
			if ((record[EXP_HAS]! & X_TIMEOUT) !== 0) {
				this.#expectations.setTimeout(record, this.#copy.sequence(BATCH + count), record[EXP_TIMEOUT]!);
			}
			if (count === BATCH) flush();
		});
		flush();
	}

	/** Sends `count` creations, with the indexes below BATCH. */
	#exchange(count: number, failed: (index: number, errno: number) => void): void {
		let left = 0;
		this.#copy.exchange((index, errno) => {
			if (index < BATCH) {
				failed(index, errno);
				left++;
			}
		});
		this.#result.created += count - left;
	}
}
