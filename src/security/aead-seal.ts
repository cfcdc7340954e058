// Sealed datagrams: an AEAD over the records, the header authenticated with them.
//
//   key   = HKDF-SHA256(secret = ring key, salt = the sender's epoch,
//                       info = "ctsync/1" | suite | sender | key generation | cluster name)
//   nonce = 0x00000000 | sequence number
//
// Every (ring key, sender, epoch, generation) has a key of its own, and an epoch is 16 random bytes drawn at each
// start, so no nonce is ever used twice without anything being stored. The sender in `info` keeps a datagram from
// being reflected to its sender or taken for another node's.
import { hkdfSync } from "node:crypto";
import { type Frame, KEY_GENERATION_AT, KEY_ID_AT, putU32, SUITE_AT } from "../sync/wire/frame.ts";
import type { Seal } from "../sync/wire/seal.ts";
import type { NativeCiphers } from "../system/native.ts";
import {
	type AeadCipher,
	NONCE_SIZE,
	newAeadCipher,
	SUITE_AES_256_GCM,
	SUITE_CHACHA20_POLY1305,
	type Suite,
	TAG_SIZE,
} from "./aead-cipher.ts";
import { KEY_SIZE, type KeyRing, type RingKey } from "./key-ring.ts";

export { SUITE_AES_256_GCM, SUITE_CHACHA20_POLY1305, type Suite };

/** Datagrams sealed with one derived key. */
const GENERATION_SIZE = 2 ** 32;
/** Derived keys that are kept; a cluster of sixteen with two ring keys needs 33. */
const CACHE_MAX = 128;

export interface AeadOptions {
	/** The ring in force; asked for every datagram, so that a reload takes effect at once. */
	ring: () => KeyRing;
	cluster: string;
	node: number;
	/** Of this node. */
	epoch: Uint8Array;
	suite: Suite;
	/** Absent: node:crypto, which takes ten times as long. */
	ciphers?: NativeCiphers | undefined;
}

export class AeadSeal implements Seal {
	readonly overhead = TAG_SIZE;
	readonly #options: AeadOptions;
	readonly #nonce = new Uint8Array(NONCE_SIZE);
	/** Keys that have opened a datagram, and our own; oldest first. */
	readonly #derived = new Map<string, AeadCipher>();
	/** The keys used last: a use's name costs as much as half of what a small datagram's cipher does. */
	#sealedWith: KeyUse | undefined;
	#openedWith: KeyUse | undefined;

	constructor(options: AeadOptions) {
		this.#options = options;
	}

	seal(bytes: Uint8Array, body: number, end: number, sequence: number): number {
		const { ring, node, epoch, suite } = this.#options;
		const { primary } = ring();
		const generation = Math.floor(sequence / GENERATION_SIZE);
		bytes[SUITE_AT] = suite;
		bytes[KEY_ID_AT] = primary.id;
		putU32(bytes, KEY_GENERATION_AT, generation);
		let use = this.#sealedWith;
		if (use?.ringKey !== primary || use.generation !== generation) {
			use = { ringKey: primary, suite, sender: node, generation, epoch, key: undefined };
			use.key = this.#derived.get(nameOf(use)) ?? this.#remember(use, this.#derive(use));
			this.#sealedWith = use;
		}
		const key = use.key!;
		this.#setNonce(sequence);
		key.seal(this.#nonce, bytes, 0, body, end);
		return end + TAG_SIZE;
	}

	unseal(frame: Frame, epoch: Uint8Array, bytes: Uint8Array, start: number, end: number): number {
		const { suite, sender, keyGeneration, sequence, body } = frame;
		if (suite !== SUITE_AES_256_GCM && suite !== SUITE_CHACHA20_POLY1305) return -1;
		const stop = end - TAG_SIZE;
		if (stop < body) return -1;
		const ringKey = this.#options.ring().keys.get(frame.keyId);
		if (!ringKey) return -1;
		if (keyGeneration !== Math.floor(sequence / GENERATION_SIZE)) return -1;
		let use = this.#openedWith;
		if (use?.ringKey !== ringKey || use.epoch !== epoch || !isUse(use, suite, sender, keyGeneration)) {
			use = { ringKey, suite, sender, generation: keyGeneration, epoch, key: undefined };
			use.key = this.#derived.get(nameOf(use));
		}
		const key = use.key ?? this.#deriveOrNot(use);
		this.#setNonce(sequence);
		if (!key?.open(this.#nonce, bytes, start, body, stop)) return -1;
		// a key that has opened nothing does not push out one that has
		if (!use.key) use.key = this.#remember(use, key);
		this.#openedWith = use;
		return stop;
	}

	/** Undefined: this host's OpenSSL does not have the suite, which is whatever a stranger has put there. */
	#deriveOrNot(use: KeyUse): AeadCipher | undefined {
		try {
			return this.#derive(use);
		} catch {
			return undefined;
		}
	}

	#derive({ ringKey, suite, sender, generation, epoch }: KeyUse): AeadCipher {
		const fixed = new Uint8Array(17);
		fixed.set(new TextEncoder().encode("ctsync/1"));
		fixed[8] = suite;
		putU32(fixed, 9, sender);
		putU32(fixed, 13, generation);
		const info = Buffer.concat([fixed, Buffer.from(this.#options.cluster, "utf8")]);
		return newAeadCipher(
			suite,
			new Uint8Array(hkdfSync("sha256", ringKey.key, epoch, info, KEY_SIZE)),
			this.#options.ciphers,
		);
	}

	#remember(use: KeyUse, key: AeadCipher): AeadCipher {
		if (this.#derived.size >= CACHE_MAX) this.#derived.delete(this.#derived.keys().next().value!);
		this.#derived.set(nameOf(use), key);
		return key;
	}

	#setNonce(sequence: number): void {
		putU32(this.#nonce, 4, Math.floor(sequence / 2 ** 32));
		putU32(this.#nonce, 8, sequence >>> 0);
	}
}

/** What a derived key is for. */
interface KeyUse {
	ringKey: RingKey;
	suite: Suite;
	sender: number;
	generation: number;
	/** Nobody writes into it: the same array is the same epoch. */
	epoch: Uint8Array;
	/** Undefined: not derived yet, or of no use so far. */
	key: AeadCipher | undefined;
}

function isUse(use: KeyUse, suite: Suite, sender: number, generation: number): boolean {
	return use.suite === suite && use.sender === sender && use.generation === generation;
}

function nameOf({ ringKey, suite, sender, generation, epoch }: KeyUse): string {
	return `${ringKey.fingerprint}.${suite}.${sender}.${generation}.${Buffer.from(epoch).toString("latin1")}`;
}
