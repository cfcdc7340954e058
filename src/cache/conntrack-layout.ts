// A conntrack in 16 words, plus blocks for what few entries have: the rest of IPv6 addresses, and the rare
// attributes (master, sequence adjustments, labels, synproxy, SCTP tags).
//
//   0 HAS   1 protocols | helper << 16   2 zones   3 orig ports   4 orig src   5 orig dst
//   6 reply ports   7 reply src   8 reply dst   9 status   10 timeout   11 mark   12 id   13 protoinfo
//  14 IPv6 block + 1 (words 1..3 of orig src, orig dst, reply src, reply dst)   15 rare block + 1
import { hashConntrack } from "../conntrack/key.ts";
import { AF_INET6 } from "../conntrack/protocol.ts";
import {
	CONNTRACK_WORDS,
	type ConntrackRecord,
	H_RARE,
	HAS,
	HELPER,
	ID,
	MARK,
	MASTER_PROTOCOLS,
	ORIG_DST,
	ORIG_PORTS,
	ORIG_SRC,
	PROTOCOLS,
	PROTOINFO,
	REPLY_DST,
	REPLY_PORTS,
	REPLY_SRC,
	STATUS,
	TIMEOUT,
	ZONES,
} from "../conntrack/record.ts";
import type { RecordLayout } from "./record-layout.ts";
import { Slab } from "./slab.ts";

const IPV6_BLOCK_WORDS = 12;
/** MASTER_PROTOCOLS .. end of the record, unchanged. */
const RARE_BLOCK_WORDS = CONNTRACK_WORDS - MASTER_PROTOCOLS;
const ADDRESSES = [ORIG_SRC, ORIG_DST, REPLY_SRC, REPLY_DST] as const;

export class ConntrackLayout implements RecordLayout {
	readonly recordWords = CONNTRACK_WORDS;
	readonly packedWords = 16;
	readonly ipv6 = new Slab(IPV6_BLOCK_WORDS);
	readonly rare = new Slab(RARE_BLOCK_WORDS);

	hash(record: ConntrackRecord, seed: number): number {
		return hashConntrack(record, seed);
	}

	same(words: Int32Array, at: number, record: ConntrackRecord): boolean {
		if (
			words[at + 4] !== record[ORIG_SRC] ||
			words[at + 5] !== record[ORIG_DST] ||
			words[at + 3] !== record[ORIG_PORTS] ||
			(words[at + 1]! & 0xffff) !== record[PROTOCOLS] ||
			words[at + 2] !== record[ZONES]
		) {
			return false;
		}
		if ((record[PROTOCOLS]! & 0xff) !== AF_INET6) return true;
		const block = words[at + 14]! - 1;
		const rest = this.ipv6.words(block);
		const from = this.ipv6.offset(block);
		for (let i = 0; i < 3; i++) {
			if (rest[from + i] !== record[ORIG_SRC + 1 + i]) return false;
			if (rest[from + 3 + i] !== record[ORIG_DST + 1 + i]) return false;
		}
		return true;
	}

	pack(words: Int32Array, at: number, record: ConntrackRecord): void {
		words[at + 14] = 0;
		words[at + 15] = 0;
		this.repack(words, at, record);
	}

	repack(words: Int32Array, at: number, record: ConntrackRecord): void {
		words[at] = record[HAS]!;
		words[at + 1] = record[PROTOCOLS]! | (record[HELPER]! << 16);
		words[at + 2] = record[ZONES]!;
		words[at + 3] = record[ORIG_PORTS]!;
		words[at + 4] = record[ORIG_SRC]!;
		words[at + 5] = record[ORIG_DST]!;
		words[at + 6] = record[REPLY_PORTS]!;
		words[at + 7] = record[REPLY_SRC]!;
		words[at + 8] = record[REPLY_DST]!;
		words[at + 9] = record[STATUS]!;
		words[at + 10] = record[TIMEOUT]!;
		words[at + 11] = record[MARK]!;
		words[at + 12] = record[ID]!;
		words[at + 13] = record[PROTOINFO]!;
		if ((record[PROTOCOLS]! & 0xff) === AF_INET6) {
			if (words[at + 14] === 0) words[at + 14] = this.ipv6.allocate() + 1;
			const block = words[at + 14]! - 1;
			const rest = this.ipv6.words(block);
			let to = this.ipv6.offset(block);
			for (const address of ADDRESSES) {
				for (let i = 1; i < 4; i++) rest[to++] = record[address + i]!;
			}
		}
		if ((record[HAS]! & H_RARE) !== 0) {
			if (words[at + 15] === 0) words[at + 15] = this.rare.allocate() + 1;
			const block = words[at + 15]! - 1;
			const rest = this.rare.words(block);
			const to = this.rare.offset(block);
			for (let i = 0; i < RARE_BLOCK_WORDS; i++) rest[to + i] = record[MASTER_PROTOCOLS + i]!;
		} else if (words[at + 15] !== 0) {
			this.rare.free(words[at + 15]! - 1);
			words[at + 15] = 0;
		}
	}

	unpack(words: Int32Array, at: number, record: ConntrackRecord): void {
		record[HAS] = words[at]!;
		record[PROTOCOLS] = words[at + 1]! & 0xffff;
		record[HELPER] = words[at + 1]! >>> 16;
		record[ZONES] = words[at + 2]!;
		record[ORIG_PORTS] = words[at + 3]!;
		record[ORIG_SRC] = words[at + 4]!;
		record[ORIG_DST] = words[at + 5]!;
		record[REPLY_PORTS] = words[at + 6]!;
		record[REPLY_SRC] = words[at + 7]!;
		record[REPLY_DST] = words[at + 8]!;
		record[STATUS] = words[at + 9]!;
		record[TIMEOUT] = words[at + 10]!;
		record[MARK] = words[at + 11]!;
		record[ID] = words[at + 12]!;
		record[PROTOINFO] = words[at + 13]!;
		const six = words[at + 14]! - 1;
		if (six >= 0) {
			const rest = this.ipv6.words(six);
			let from = this.ipv6.offset(six);
			for (const address of ADDRESSES) {
				for (let i = 1; i < 4; i++) record[address + i] = rest[from++]!;
			}
		} else {
			for (const address of ADDRESSES) for (let i = 1; i < 4; i++) record[address + i] = 0;
		}
		const block = words[at + 15]! - 1;
		if (block >= 0) {
			const rest = this.rare.words(block);
			const from = this.rare.offset(block);
			for (let i = 0; i < RARE_BLOCK_WORDS; i++) record[MASTER_PROTOCOLS + i] = rest[from + i]!;
		} else {
			record.fill(0, MASTER_PROTOCOLS);
		}
	}

	release(words: Int32Array, at: number): void {
		if (words[at + 14] !== 0) this.ipv6.free(words[at + 14]! - 1);
		if (words[at + 15] !== 0) this.rare.free(words[at + 15]! - 1);
		words[at + 14] = 0;
		words[at + 15] = 0;
	}
}
