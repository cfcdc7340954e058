// A conntrack in 13 words, plus blocks for what not every entry has: a reply tuple that is not the original one turned
// around (NAT), the rest of IPv6 addresses, and the rare attributes (master, sequence adjustments, labels, synproxy,
// SCTP tags).
//
//   0 HAS   1 protocols | helper << 16   2 zones   3 orig ports   4 orig src   5 orig dst
//   6 status   7 timeout   8 mark   9 id   10 protoinfo
//  11 address block: 0 is none, else (number + 1) * 2, plus 1 if it is one of the IPv6 blocks
//      IPv4: reply ports, src, dst       IPv6: words 1..3 of orig src and dst, then the nine words of the reply tuple
//  12 rare block + 1
import { hashConntrack } from "../conntrack/key.ts";
import { AF_INET6 } from "../conntrack/protocol.ts";
import {
	CONNTRACK_WORDS,
	type ConntrackRecord,
	H_HELPER,
	H_ID,
	H_MARK,
	H_RARE,
	H_REPLY,
	H_STATUS,
	H_TCP,
	H_TIMEOUT,
	HAS,
	HELPER,
	ID,
	MARK,
	MASTER_PROTOCOLS,
	mayTellTimeoutOfMoment,
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
import { invertTuple, isPlainReply } from "../conntrack/tuple.ts";
import type { RecordLayout } from "./record-layout.ts";
import { Slab } from "./slab.ts";

/** Words of a tuple without its protocol: ports, source, destination. */
const TUPLE_WORDS = 9;
const TRANSLATED_BLOCK_WORDS = 3;
const IPV6_BLOCK_WORDS = 6 + TUPLE_WORDS;
/** MASTER_PROTOCOLS .. end of the record, unchanged. */
const RARE_BLOCK_WORDS = CONNTRACK_WORDS - MASTER_PROTOCOLS;
const ADDRESSES = [ORIG_SRC, ORIG_DST, REPLY_SRC, REPLY_DST] as const;

export class ConntrackLayout implements RecordLayout {
	readonly recordWords = CONNTRACK_WORDS;
	readonly packedWords = 13;
	readonly translated = new Slab(TRANSLATED_BLOCK_WORDS);
	readonly ipv6 = new Slab(IPV6_BLOCK_WORDS);
	readonly rare = new Slab(RARE_BLOCK_WORDS);
	readonly slabs = [this.translated, this.ipv6, this.rare] as const;

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
		const block = (words[at + 11]! >>> 1) - 1;
		const rest = this.ipv6.words(block);
		const from = this.ipv6.offset(block);
		for (let i = 0; i < 3; i++) {
			if (rest[from + i] !== record[ORIG_SRC + 1 + i]) return false;
			if (rest[from + 3 + i] !== record[ORIG_DST + 1 + i]) return false;
		}
		return true;
	}

	pack(words: Int32Array, at: number, record: ConntrackRecord): void {
		words[at + 11] = 0;
		words[at + 12] = 0;
		this.repack(words, at, record);
	}

	repack(words: Int32Array, at: number, record: ConntrackRecord): void {
		words[at] = record[HAS]!;
		words[at + 1] = record[PROTOCOLS]! | (record[HELPER]! << 16);
		words[at + 2] = record[ZONES]!;
		words[at + 3] = record[ORIG_PORTS]!;
		words[at + 4] = record[ORIG_SRC]!;
		words[at + 5] = record[ORIG_DST]!;
		words[at + 6] = record[STATUS]!;
		words[at + 7] = record[TIMEOUT]!;
		words[at + 8] = record[MARK]!;
		words[at + 9] = record[ID]!;
		words[at + 10] = record[PROTOINFO]!;
		if ((record[PROTOCOLS]! & 0xff) === AF_INET6) this.#packIpv6(words, at + 11, record);
		else if (!isPlainReply(record)) this.#packTranslated(words, at + 11, record);
		else if (words[at + 11] !== 0) this.#releaseAddresses(words, at + 11);
		if ((record[HAS]! & H_RARE) !== 0) {
			if (words[at + 12] === 0) words[at + 12] = this.rare.allocate() + 1;
			const block = words[at + 12]! - 1;
			const rest = this.rare.words(block);
			const to = this.rare.offset(block);
			for (let i = 0; i < RARE_BLOCK_WORDS; i++) rest[to + i] = record[MASTER_PROTOCOLS + i]!;
		} else if (words[at + 12] !== 0) {
			this.rare.free(words[at + 12]! - 1);
			words[at + 12] = 0;
		}
	}

	/**
	 * A resync of a million entries finds nearly all as they are. Unpacking, merging and packing each again took half of its
	 * time in JavaScript.
	 */
	confirm(words: Int32Array, at: number, record: ConntrackRecord): boolean {
		const has = record[HAS]!;
		if (words[at] !== has || (has & H_RARE) !== 0) return false;
		if ((has & H_STATUS) !== 0 && words[at + 6] !== record[STATUS]) return false;
		if ((has & H_MARK) !== 0 && words[at + 8] !== record[MARK]) return false;
		if ((has & H_ID) !== 0 && words[at + 9] !== record[ID]) return false;
		if ((has & H_TCP) !== 0 && words[at + 10] !== record[PROTOINFO]) return false;
		if ((has & H_HELPER) !== 0 && words[at + 1]! >>> 16 !== record[HELPER]) return false;
		if ((has & H_REPLY) !== 0 && !this.#hasReply(words[at + 11]!, record)) return false;
		if ((has & H_TIMEOUT) === 0 || words[at + 7] === record[TIMEOUT]) return true;
		if (mayTellTimeoutOfMoment(record)) return false;
		// one word, which a reader in another thread sees as it was or as it is
		words[at + 7] = record[TIMEOUT]!;
		return true;
	}

	/**
	 * May be called while another thread writes the slot, and then gives nonsense, but does not fail: each of the words
	 * that it follows holds the number of a block that there is, at any time.
	 */
	unpack(words: Int32Array, at: number, record: ConntrackRecord): void {
		record[HAS] = words[at]!;
		record[PROTOCOLS] = words[at + 1]! & 0xffff;
		record[HELPER] = words[at + 1]! >>> 16;
		record[ZONES] = words[at + 2]!;
		record[ORIG_PORTS] = words[at + 3]!;
		record[ORIG_SRC] = words[at + 4]!;
		record[ORIG_DST] = words[at + 5]!;
		record[STATUS] = words[at + 6]!;
		record[TIMEOUT] = words[at + 7]!;
		record[MARK] = words[at + 8]!;
		record[ID] = words[at + 9]!;
		record[PROTOINFO] = words[at + 10]!;
		const addresses = words[at + 11]!;
		if ((addresses & 1) !== 0) this.#unpackIpv6((addresses >>> 1) - 1, record);
		else this.#unpackIpv4((addresses >>> 1) - 1, record);
		const block = words[at + 12]! - 1;
		if (block >= 0) {
			const rest = this.rare.words(block);
			const from = this.rare.offset(block);
			for (let i = 0; i < RARE_BLOCK_WORDS; i++) record[MASTER_PROTOCOLS + i] = rest[from + i]!;
		} else {
			record.fill(0, MASTER_PROTOCOLS);
		}
	}

	release(words: Int32Array, at: number): void {
		if (words[at + 11] !== 0) this.#releaseAddresses(words, at + 11);
		if (words[at + 12] !== 0) this.rare.free(words[at + 12]! - 1);
		words[at + 12] = 0;
	}

	/** `at` is the place of the block's number, here and below. */
	#packIpv6(words: Int32Array, at: number, record: ConntrackRecord): void {
		if (words[at] === 0) words[at] = ((this.ipv6.allocate() + 1) << 1) | 1;
		const block = (words[at]! >>> 1) - 1;
		const rest = this.ipv6.words(block);
		const to = this.ipv6.offset(block);
		for (let i = 0; i < 3; i++) {
			rest[to + i] = record[ORIG_SRC + 1 + i]!;
			rest[to + 3 + i] = record[ORIG_DST + 1 + i]!;
		}
		for (let i = 0; i < TUPLE_WORDS; i++) rest[to + 6 + i] = record[REPLY_PORTS + i]!;
	}

	#packTranslated(words: Int32Array, at: number, record: ConntrackRecord): void {
		if (words[at] === 0) words[at] = (this.translated.allocate() + 1) << 1;
		const block = (words[at]! >>> 1) - 1;
		const rest = this.translated.words(block);
		const to = this.translated.offset(block);
		rest[to] = record[REPLY_PORTS]!;
		rest[to + 1] = record[REPLY_SRC]!;
		rest[to + 2] = record[REPLY_DST]!;
	}

	#unpackIpv6(block: number, record: ConntrackRecord): void {
		const rest = this.ipv6.words(block);
		const from = this.ipv6.offset(block);
		for (let i = 0; i < 3; i++) {
			record[ORIG_SRC + 1 + i] = rest[from + i]!;
			record[ORIG_DST + 1 + i] = rest[from + 3 + i]!;
		}
		for (let i = 0; i < TUPLE_WORDS; i++) record[REPLY_PORTS + i] = rest[from + 6 + i]!;
	}

	/** @param block -1 if the reply tuple is the original one turned around */
	#unpackIpv4(block: number, record: ConntrackRecord): void {
		for (const address of ADDRESSES) for (let i = 1; i < 4; i++) record[address + i] = 0;
		if (block < 0) {
			invertTuple(record);
			return;
		}
		const rest = this.translated.words(block);
		const from = this.translated.offset(block);
		record[REPLY_PORTS] = rest[from]!;
		record[REPLY_SRC] = rest[from + 1]!;
		record[REPLY_DST] = rest[from + 2]!;
	}

	/** @param addresses the word of the address block, of a slot with the record's key */
	#hasReply(addresses: number, record: ConntrackRecord): boolean {
		const block = (addresses >>> 1) - 1;
		if (block < 0) return isPlainReply(record);
		if ((addresses & 1) !== 0) {
			const rest = this.ipv6.words(block);
			const from = this.ipv6.offset(block) + 6;
			for (let i = 0; i < TUPLE_WORDS; i++) if (rest[from + i] !== record[REPLY_PORTS + i]) return false;
			return true;
		}
		const rest = this.translated.words(block);
		const from = this.translated.offset(block);
		return (
			rest[from] === record[REPLY_PORTS] &&
			rest[from + 1] === record[REPLY_SRC] &&
			rest[from + 2] === record[REPLY_DST]
		);
	}

	#releaseAddresses(words: Int32Array, at: number): void {
		const number = words[at]!;
		((number & 1) !== 0 ? this.ipv6 : this.translated).free((number >>> 1) - 1);
		words[at] = 0;
	}
}
