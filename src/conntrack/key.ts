// Identity of records: which words make the key, and a seeded hash over them.
//
// A conntrack is identified by protocols, original tuple and both zones; an expectation by tuple, class and mask.
import { EXP_KEY_FIRST, EXP_KEY_WORDS, type ExpectationRecord } from "./expectation-record.ts";
import { AF_INET6 } from "./protocol.ts";
import { type ConntrackRecord, ORIG_DST, ORIG_PORTS, ORIG_SRC, PROTOCOLS, ZONES } from "./record.ts";

/**
 * One round of MurmurHash3's 32-bit mixing. The seed is random in a daemon, so that whoever opens connections
 * through the firewall cannot choose tuples that fall together.
 */
function mix(hash: number, word: number): number {
	word = Math.imul(word, 0xcc9e2d51);
	word = (word << 15) | (word >>> 17);
	hash ^= Math.imul(word, 0x1b873593);
	hash = (hash << 13) | (hash >>> 19);
	return (Math.imul(hash, 5) + 0xe6546b64) | 0;
}

function finish(hash: number): number {
	hash ^= hash >>> 16;
	hash = Math.imul(hash, 0x85ebca6b);
	hash ^= hash >>> 13;
	hash = Math.imul(hash, 0xc2b2ae35);
	return hash ^ (hash >>> 16);
}

export function hashConntrack(record: ConntrackRecord, seed: number): number {
	let hash = mix(seed, record[PROTOCOLS]!);
	hash = mix(hash, record[ZONES]!);
	hash = mix(hash, record[ORIG_PORTS]!);
	hash = mix(hash, record[ORIG_SRC]!);
	hash = mix(hash, record[ORIG_DST]!);
	if ((record[PROTOCOLS]! & 0xff) === AF_INET6) {
		for (let i = 1; i < 4; i++) {
			hash = mix(hash, record[ORIG_SRC + i]!);
			hash = mix(hash, record[ORIG_DST + i]!);
		}
	}
	return finish(hash);
}

export function hashExpectation(record: ExpectationRecord, seed: number): number {
	let hash = seed;
	for (let i = 0; i < EXP_KEY_WORDS; i++) hash = mix(hash, record[EXP_KEY_FIRST + i]!);
	return finish(hash);
}
