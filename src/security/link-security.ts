// How the dedicated link is protected: by the key ring of the configuration, or not at all.
import type { SecurityConfig } from "../config/config.ts";
import type { Seal } from "../sync/wire/seal.ts";
import { PlainSeal } from "../sync/wire/seal.ts";
import type { NativeCiphers } from "../system/native.ts";
import { AeadSeal, SUITE_AES_256_GCM, SUITE_CHACHA20_POLY1305 } from "./aead-seal.ts";
import { type KeyRing, type RingKey, readKeyFile } from "./key-ring.ts";

export class LinkSecurity {
	readonly seal: Seal;
	readonly #config: SecurityConfig | undefined;
	#ring: KeyRing | undefined;

	/** @throws KeyFileError */
	constructor(config: SecurityConfig | undefined, node: number, epoch: Uint8Array, ciphers?: NativeCiphers) {
		this.#config = config;
		if (!config) {
			this.seal = new PlainSeal();
			return;
		}
		this.#ring = readKeyFile(config.keyFile);
		this.seal = new AeadSeal({
			ring: () => this.#ring!,
			cluster: config.cluster,
			node,
			epoch,
			suite: config.suite === "chacha20-poly1305" ? SUITE_CHACHA20_POLY1305 : SUITE_AES_256_GCM,
			ciphers,
		});
	}

	/** Reads the key file again, or another one. What it says holds from the next datagram on. @throws KeyFileError */
	reload(keyFile = this.#config?.keyFile): void {
		if (this.#config) this.#ring = readKeyFile(keyFile!);
	}

	/** First words of the fingerprints of all keys in force, the one that seals first. */
	get keys(): number[] {
		if (!this.#ring) return [];
		const { keys, primary } = this.#ring;
		return [primary, ...[...keys.values()].filter((key) => key !== primary)].map(wordOf);
	}

	/** The fingerprint's first word of the key with this number; undefined if there is none. */
	keyWord(id: number): number | undefined {
		const key = this.#ring?.keys.get(id);
		return key && wordOf(key);
	}

	/** One line for an operator: suite and keys by fingerprint. */
	get text(): string {
		if (!this.#config || !this.#ring) return "the dedicated link is not authenticated";
		const { keys, primary } = this.#ring;
		const others = [...keys.values()].filter((key) => key !== primary);
		const accepted = others
			.map(({ id, fingerprint }) => `, also accepted: key ${id} (${fingerprint})`)
			.join("");
		return `${this.#config.suite}, key ${primary.id} (${primary.fingerprint})${accepted}`;
	}
}

const wordOf = ({ fingerprint }: RingKey): number => Number.parseInt(fingerprint.slice(0, 8), 16);
