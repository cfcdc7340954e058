// External cache -> kernel, expectations. Their masters must be there, with the helper.
//
// The kernel gives a new expectation its helper's full timeout, so what is left of its life is set by a second
// request; one whose time is over is not committed at all.
import { EXP_HAS, EXP_TIMEOUT, newExpectationRecord, X_TIMEOUT } from "../conntrack/expectation-record.ts";
import type { NameTable } from "../conntrack/names.ts";
import { EXPECTATION_REQUEST_MAX, ExpectationEncoder } from "../netlink/encode-expectation.ts";
import type { Native } from "../system/native.ts";
import { type CommitResult, newCommitResult, type Refusal } from "./messages.ts";
import { RequestSocket } from "./request-socket.ts";
import type { StoreReader } from "./store-reader.ts";

const BATCH = 64;
const EEXIST = 17;

export class ExpectationCommitter {
	readonly requests: RequestSocket;
	result: CommitResult = newCommitResult();
	refusals: Refusal[] = [];
	readonly #encoder: ExpectationEncoder;
	readonly #record = newExpectationRecord();
	readonly #batch: Int32Array[] = [];
	#nowSeconds = 0;

	constructor(native: Native, names: NameTable) {
		this.requests = new RequestSocket(native, (2 * BATCH + 1) * EXPECTATION_REQUEST_MAX);
		this.#encoder = new ExpectationEncoder(this.requests.writer, names);
	}

	begin(nowSeconds: number): void {
		this.result = newCommitResult();
		this.refusals = [];
		this.#nowSeconds = nowSeconds;
	}

	add(reader: StoreReader, slot: number): void {
		const record = this.#record;
		if (!reader.read(slot, record)) return;
		const hasTimeout = (record[EXP_HAS]! & X_TIMEOUT) !== 0;
		const left = record[EXP_TIMEOUT]! - Math.max(0, this.#nowSeconds - reader.updated);
		if (hasTimeout && left <= 0) {
			this.result.expired++;
			return;
		}
		const n = this.#batch.push(record.slice()) - 1;
		this.#encoder.create(record, this.requests.sequence(2 * n));
		if (hasTimeout) this.#encoder.setTimeout(record, this.requests.sequence(2 * n + 1), left);
		if (this.#batch.length === BATCH) this.finish();
	}

	finish(): void {
		const batch = this.#batch.splice(0);
		const created = new Map<number, number>();
		const timed = new Map<number, number>();
		this.requests.exchange((index, errno) => (index & 1 ? timed : created).set(index >> 1, errno));
		batch.forEach((record, n) => {
			const errno = created.get(n) ?? 0;
			const late = timed.get(n) ?? 0;
			if (errno === 0 && late === 0) this.result.created++;
			// it exists: the second request has brought its time up to date
			else if (errno === EEXIST && late === 0) this.result.updated++;
			else {
				this.result.failed++;
				const step = errno !== 0 && errno !== EEXIST ? "create" : "update";
				this.refusals.push({
					record,
					errno: errno || late,
					step,
					exists: errno === 0 || errno === EEXIST,
				});
			}
		});
	}
}
