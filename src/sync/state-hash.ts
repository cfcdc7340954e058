// A hash of an entry's state, which its origin and a peer compute alike: the CRC-32C of the record as the wire has it,
// less what may differ without being news (the time that is left, and status bits of one kernel's own business).
import { EXP_HAS, EXP_TIMEOUT, X_TIMEOUT } from "../conntrack/expectation-record.ts";
import { CONNTRACK, type Kind } from "../conntrack/kind.ts";
import type { NameTable } from "../conntrack/names.ts";
import { H_TIMEOUT, HAS, STATUS } from "../conntrack/record.ts";
import { IPS_REPLICATED } from "../conntrack/status.ts";
import { crc32c } from "./wire/crc32c.ts";
import { RecordEncoder } from "./wire/encode.ts";
import { MsgpackWriter } from "./wire/msgpack.ts";
import { RECORD_MAX } from "./wire/record-type.ts";

export class StateHash {
	readonly #writer = new MsgpackWriter(new Uint8Array(RECORD_MAX));
	readonly #encoder: RecordEncoder;

	constructor(names: NameTable) {
		this.#encoder = new RecordEncoder(this.#writer, names);
	}

	/** Rewrites `record` on the way: pass a copy. */
	of(kind: Kind, record: Int32Array): number {
		if (kind === CONNTRACK) {
			record[HAS]! &= ~H_TIMEOUT;
			record[STATUS]! &= IPS_REPLICATED;
		} else {
			record[EXP_HAS]! &= ~X_TIMEOUT;
			record[EXP_TIMEOUT] = 0;
		}
		this.#writer.at = 0;
		this.#encoder.set(kind, record, 0);
		return crc32c(this.#writer.bytes, 0, this.#writer.at) >>> 0;
	}
}
