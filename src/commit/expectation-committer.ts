// Expectations -> kernel. Their masters must be there, with the helper.
//
// The kernel gives a new expectation its helper's full timeout, so what is left of its life is set by a second
// request. That one finds whatever expectation waits for the tuple, another master's, too: it is sent only where the
// first one has succeeded, or where the kernel's expectation has been read and is the same.
import {
	EXP_CLASS,
	EXP_FLAGS,
	EXP_FN,
	EXP_HAS,
	EXP_HELPER,
	EXP_KEY_FIRST,
	EXP_KEY_WORDS,
	EXP_MASK_PROTOCOLS,
	EXP_MASTER_DST,
	EXP_NAT_DIR,
	EXP_TIMEOUT,
	EXP_ZONE,
	EXPECTATION_WORDS,
	newExpectationRecord,
	X_CLASS,
	X_FLAGS,
	X_FN,
	X_ID,
	X_NAT,
	X_TIMEOUT,
} from "../conntrack/expectation-record.ts";
import { NAME_UNKNOWN, type NameTable } from "../conntrack/names.ts";
import { NLMSG_DONE } from "../netlink/constants.ts";
import { ExpectationDecoder } from "../netlink/decode-expectation.ts";
import { EXPECTATION_REQUEST_MAX, ExpectationEncoder } from "../netlink/encode-expectation.ts";
import { attributesOf, messageSequence, messageType } from "../netlink/message.ts";
import {
	type CommitResult,
	type ExpectationStep,
	type JoinedEntry,
	newCommitResult,
	type Refusal,
} from "./messages.ts";
import type { RequestSocket } from "./request-socket.ts";

const BATCH = 64;
/** Room that a batch may take: an expectation may be deleted and made. */
export const BATCH_BYTES = 2 * BATCH * EXPECTATION_REQUEST_MAX;
const ENOENT = 2;
const EEXIST = 17;
/** Seconds by which the time that is left may differ: it is told in whole ones. */
const SLACK = 1;
/** Seconds that the peer's has to have left beyond this kernel's before that one's time is set. */
const WORTH_SETTING = 3;
/** NF_CT_EXPECT_PERMANENT | NF_CT_EXPECT_INACTIVE: the others are not the kernel's to keep. */
const FLAGS_KEPT = 3;

interface Order {
	record: Int32Array;
	step: ExpectationStep;
}

export class ExpectationCommitter {
	readonly requests: RequestSocket;
	result: CommitResult = newCommitResult();
	refusals: Refusal[] = [];
	/** As they are in the kernel now. */
	joined: JoinedEntry[] = [];
	readonly #encoder: ExpectationEncoder;
	readonly #decoder: ExpectationDecoder;
	/** What should be in the kernel now. */
	#expected: Order[] = [];

	/** @param requests room for a batch (BATCH_BYTES); its port is that of commits, whose events are not listened to */
	constructor(requests: RequestSocket, names: NameTable) {
		this.requests = requests;
		this.#encoder = new ExpectationEncoder(this.requests.writer, names);
		this.#decoder = new ExpectationDecoder(names);
	}

	/** @throws NetlinkError when the kernel could not be asked at all */
	run(records: Int32Array, steps: readonly ExpectationStep[]): CommitResult {
		this.result = newCommitResult();
		this.refusals = [];
		this.joined = [];
		this.#expected = [];
		for (let first = 0; first < steps.length; first += BATCH) {
			this.#batch(
				steps.slice(first, first + BATCH).map((step, i) => {
					const at = (first + i) * EXPECTATION_WORDS;
					return { step, record: records.subarray(at, at + EXPECTATION_WORDS) };
				}),
			);
		}
		if (this.#expected.length > 0) this.#readBack();
		return this.result;
	}

	#batch(orders: readonly Order[]): void {
		const made = this.#create(orders);
		const present = this.#present(orders, made);
		// what is left is set at once: no packet shall find the full time of a moment ago
		const timed: Int32Array[] = [];
		orders.forEach(({ record, step }, i) => {
			const errno = made[i]!;
			const there = present.get(i);
			if (step === "delete") this.#deleted(record, errno);
			else if (there) {
				if (!isSame(there, record)) this.#refuse(record, EEXIST, "create", false, "another master");
				else if (hasTime(record) && record[EXP_TIMEOUT]! > there[EXP_TIMEOUT]! + WORTH_SETTING) {
					timed.push(record);
					this.result.updated++;
					there[EXP_TIMEOUT] = record[EXP_TIMEOUT]!;
					this.joined.push({ record: found(record, there), isReplaced: false });
				} else {
					this.result.kept++;
					this.joined.push({ record: found(record, there), isReplaced: false });
				}
			} else if (step === "join") {
				// the kernel has ended it a moment ago
				this.result.expired++;
			} else if (errno !== 0) {
				this.#refuse(record, errno, step === "replace" ? "replace" : "create", false);
			} else {
				if (hasTime(record)) timed.push(record);
				if (step === "replace") this.result.replaced++;
				else this.result.created++;
				this.#expected.push({ record, step });
			}
		});
		this.#setTimes(timed);
	}

	/** Makes and deletes; an errno for each, 0 where nothing was asked. */
	#create(orders: readonly Order[]): number[] {
		const errnos = orders.map(() => 0);
		orders.forEach(({ record, step }, i) => {
			const sequence = this.requests.sequence(2 * i + 1);
			if (step === "replace") this.#encoder.delete(withoutId(record), this.requests.sequence(2 * i), 0);
			if (step === "delete") this.#encoder.delete(record, sequence, 0);
			else if (step !== "join") this.#encoder.create(record, sequence);
		});
		this.requests.exchange((index, errno) => {
			if (index & 1) errnos[index >> 1] = errno;
		});
		return errnos;
	}

	/** What the kernel has where something should have been, and something was, by the order's number. */
	#present(orders: readonly Order[], made: readonly number[]): Map<number, Int32Array> {
		const present = new Map<number, Int32Array>();
		orders.forEach(({ record, step }, i) => {
			if (step === "join" || (step !== "delete" && made[i] === EEXIST)) {
				this.#encoder.get(record, this.requests.sequence(i));
			}
		});
		const base = this.requests.sequence(0);
		this.requests.exchange(
			() => {},
			(start, end) => {
				const record = newExpectationRecord();
				const { wire } = this.requests;
				if (!this.#decoder.decode(wire, attributesOf(start), end, record)) return;
				present.set((messageSequence(wire, start) - base) >>> 0, record);
			},
		);
		return present;
	}

	#setTimes(records: readonly Int32Array[]): void {
		records.forEach((record, i) => {
			this.#encoder.setTimeout(record, this.requests.sequence(i), record[EXP_TIMEOUT]!);
		});
		this.requests.exchange((index, errno) => {
			// it has ended by itself
			if (errno !== ENOENT) this.#refuse(records[index]!, errno, "update", true);
		});
	}

	#deleted(record: Int32Array, errno: number): void {
		if (errno !== 0 && errno !== ENOENT) this.#refuse(record, errno, "update", true);
	}

	#refuse(
		record: Int32Array,
		errno: number,
		step: Refusal["step"],
		exists: boolean,
		cause?: Refusal["cause"],
	): void {
		if (step !== "update") this.result.failed++;
		this.refusals.push({
			record: record.slice(),
			errno,
			step,
			exists,
			...(cause === undefined ? {} : { cause }),
		});
	}

	/** Reads the table once and compares: a helper's limit throws out what was made before, without an error. */
	#readBack(): void {
		const missing = new Map(this.#expected.map((order) => [keyOf(order.record), order]));
		this.#encoder.dump(this.requests.sequence(0));
		this.requests.exchange(
			() => {},
			(start, end) => {
				const { wire } = this.requests;
				if (messageType(wire, start) === NLMSG_DONE) return;
				const there = newExpectationRecord();
				if (!this.#decoder.decode(wire, attributesOf(start), end, there)) return;
				const key = keyOf(there);
				const record = missing.get(key)?.record;
				if (!record) return;
				missing.delete(key);
				this.joined.push({ record: found(record, there), isReplaced: false });
				if (differs(record, there)) this.#refuse(record, 0, "check", true, "differs");
			},
		);
		for (const { record, step } of missing.values()) {
			// one that was about to end has ended
			if (hasTime(record) && record[EXP_TIMEOUT]! <= SLACK) continue;
			if (step === "replace") this.result.replaced--;
			else this.result.created--;
			this.#refuse(record, 0, "check", false, "gone");
		}
	}
}

const hasTime = (record: Int32Array): boolean => (record[EXP_HAS]! & X_TIMEOUT) !== 0;

/** Tuple, mask and master; the kernel does not tell the zone. */
function keyOf(record: Int32Array): string {
	const words = record.slice(EXP_KEY_FIRST, EXP_MASTER_DST + 4);
	words[EXP_ZONE - EXP_KEY_FIRST] = 0;
	// the mask's own family and protocol are what the kernel makes of them
	words[EXP_MASK_PROTOCOLS - EXP_KEY_FIRST] = 0;
	return words.join();
}

const isSame = (there: Int32Array, record: Int32Array): boolean => keyOf(there) === keyOf(record);

function withoutId(record: Int32Array): Int32Array {
	const copy = record.slice();
	copy[EXP_HAS]! &= ~X_ID;
	return copy;
}

/** The kernel's expectation under the key by which it is held. */
function found(record: Int32Array, there: Int32Array): Int32Array {
	const out = there.slice();
	for (let i = EXP_KEY_FIRST; i < EXP_KEY_FIRST + EXP_KEY_WORDS; i++) out[i] = record[i]!;
	// a name that nobody has told this thread of
	for (const name of [EXP_HELPER, EXP_FN]) if (out[name] === NAME_UNKNOWN) out[name] = record[name]!;
	return out;
}

/** Whether the kernel's expectation is not the one that was asked for. */
function differs(record: Int32Array, there: Int32Array): boolean {
	const has = record[EXP_HAS]!;
	if ((has & X_CLASS) !== 0 && record[EXP_CLASS] !== there[EXP_CLASS]) return true;
	if ((has & X_FLAGS) !== 0 && ((record[EXP_FLAGS]! ^ there[EXP_FLAGS]!) & FLAGS_KEPT) !== 0) return true;
	if ((has & X_FN) !== 0 && record[EXP_FN] !== there[EXP_FN]) return true;
	if (hasTime(record) && there[EXP_TIMEOUT]! > record[EXP_TIMEOUT]! + SLACK) return true;
	if ((has & X_NAT) === 0) return (there[EXP_HAS]! & X_NAT) !== 0;
	for (let i = EXP_NAT_DIR; i < EXPECTATION_WORDS; i++) if (record[i] !== there[i]) return true;
	return false;
}
