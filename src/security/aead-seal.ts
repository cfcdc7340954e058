// Sealed datagrams: an AEAD over the records, the header authenticated with them.
//
//   key   = HKDF-SHA256(secret = ring key, salt = the sender's epoch,
//                       info = "ctsync/1" | suite | sender | key generation | cluster name)
//   nonce = 0x00000000 | sequence number
//
// Every (ring key, sender, epoch, generation) has a key of its own, and an epoch is 16 random bytes drawn at each
// start, so no nonce is ever used twice without anything being stored. The sender in `info` keeps a datagram from
// being reflected to its sender or taken for another node's.
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from "node:crypto";
import { type Frame, KEY_GENERATION_AT, KEY_ID_AT, putU32, SUITE_AT } from "../sync/wire/frame.ts";
import type { Seal } from "../sync/wire/seal.ts";
import { KEY_SIZE, type KeyRing, type RingKey } from "./key-ring.ts";

export const SUITE_AES_256_GCM = 1;
export const SUITE_CHACHA20_POLY1305 = 2;
export type Suite = typeof SUITE_AES_256_GCM | typeof SUITE_CHACHA20_POLY1305;

const CIPHERS = { 1: "aes-256-gcm", 2: "chacha20-poly1305" } as const;
const TAG_SIZE = 16;
const NONCE_SIZE = 12;
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
}

export class AeadSeal implements Seal {
	readonly overhead = TAG_SIZE;
	readonly #options: AeadOptions;
	readonly #nonce = new Uint8Array(NONCE_SIZE);
	/** Keys that have opened a datagram, and our own; oldest first. */
	readonly #derived = new Map<string, KeyObject>();
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
		const cipher = createCipheriv(CIPHERS[suite] as "aes-256-gcm", key, this.#nonce, {
			authTagLength: TAG_SIZE,
		});
		cipher.setAAD(bytes.subarray(0, body));
		bytes.set(cipher.update(bytes.subarray(body, end)), body);
		cipher.final();
		bytes.set(cipher.getAuthTag(), end);
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
		const key = use.key ?? this.#derive(use);
		this.#setNonce(sequence);
		const decipher = createDecipheriv(CIPHERS[suite] as "aes-256-gcm", key, this.#nonce, {
			authTagLength: TAG_SIZE,
		});
		decipher.setAAD(bytes.subarray(start, body));
		decipher.setAuthTag(bytes.subarray(stop, end));
		const opened = decipher.update(bytes.subarray(body, stop));
		try {
			decipher.final();
		} catch {
			return -1;
		}
		bytes.set(opened, body);
		// a key that has opened nothing does not push out one that has
		if (!use.key) use.key = this.#remember(use, key);
		this.#openedWith = use;
		return stop;
	}

	#derive({ ringKey, suite, sender, generation, epoch }: KeyUse): KeyObject {
		const fixed = new Uint8Array(17);
		fixed.set(new TextEncoder().encode("ctsync/1"));
		fixed[8] = suite;
		putU32(fixed, 9, sender);
		putU32(fixed, 13, generation);
		const info = Buffer.concat([fixed, Buffer.from(this.#options.cluster, "utf8")]);
		return createSecretKey(Buffer.from(hkdfSync("sha256", ringKey.key, epoch, info, KEY_SIZE)));
	}

	#remember(use: KeyUse, key: KeyObject): KeyObject {
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
	key: KeyObject | undefined;
}

function isUse(use: KeyUse, suite: Suite, sender: number, generation: number): boolean {
	return use.suite === suite && use.sender === sender && use.generation === generation;
}

function nameOf({ ringKey, suite, sender, generation, epoch }: KeyUse): string {
	return `${ringKey.fingerprint}.${suite}.${sender}.${generation}.${Buffer.from(epoch).toString("latin1")}`;
}
