// Who may speak on the dedicated link, by source address. This keeps accidents and strangers out; a forged address
// cannot be told from a true one, that takes a key (docs/operations.md).
import type { Clock } from "../system/clock.ts";
import { NAME_SIZE } from "../system/native.ts";

export interface Network {
	/** 4 or 16 bytes in network order. */
	address: Uint8Array;
	/** Bits of it that count. */
	prefixLength: number;
}

export type Speakers =
	/** Whoever has the key. */
	| { who: "all" }
	/** These, which `named` calls together: "the Peers". */
	| { who: "listed"; addresses: readonly Uint8Array[]; named: string }
	/** The first node that shakes hands, out of the link's own networks as they are now. */
	| { who: "first"; networks: () => readonly Network[] };

/** What has been heard of a node that a link knows by its address, or of whoever there is. */
export interface Attendance {
	/** Absent: the link takes nodes that it does not know beforehand. */
	address?: string;
	/** Something has come that was not refused for its source address. */
	hasSpoken: boolean;
	/** Something good has, of a node that has shaken hands. */
	isHeard: boolean;
}

export interface SourceGuardOptions {
	/** Of the link. */
	family: 4 | 6;
	speakers: Speakers;
	/** The text of 4 or 16 bytes. */
	format: (address: Uint8Array) => string;
	clock: Pick<Clock, "now">;
	/** Who may speak has been settled. */
	notice: (text: string) => void;
	/** Datagrams were refused; at most once in ten seconds. */
	warning: (text: string) => void;
}

/** struct sockaddr_in has its address in the second word, sockaddr_in6 in the third to sixth (linux/in.h, in6.h). */
const NAME_WORDS = NAME_SIZE / 4;
const ADDRESS_AT = { 4: 1, 6: 2 } as const;
const ADDRESS_WORDS = { 4: 1, 6: 4 } as const;

/** Bits of an attendance. */
const SPOKEN = 1;
const HEARD = 2;

/** Milliseconds between two log lines, and between two looks at the interface. */
const WARN_EVERY = 10_000;
const LEARN_EVERY = 1000;

export class SourceGuard {
	readonly #options: SourceGuardOptions;
	readonly #isOpen: boolean;
	readonly #at: number;
	readonly #size: number;
	/** Addresses, one behind the other; undefined while the first node is awaited. */
	#listed: Int32Array | undefined;
	/** Bits of each listed address, else of all together. */
	#attendance = new Uint8Array(1);
	/** Of each network its address and its mask, one behind the other. */
	#networks = new Int32Array(0);
	#networksText = "";
	#learntAt = Number.NEGATIVE_INFINITY;
	#warnedAt = Number.NEGATIVE_INFINITY;
	/** Datagrams refused since the last log line. */
	#unsaid = 0;

	constructor(options: SourceGuardOptions) {
		const { family, speakers, clock } = options;
		this.#options = options;
		this.#at = ADDRESS_AT[family];
		this.#size = ADDRESS_WORDS[family];
		this.#isOpen = speakers.who === "all";
		if (speakers.who === "listed") {
			this.#listed = packed(speakers.addresses.filter((each) => this.#isOurs(each)));
			this.#attendance = new Uint8Array(this.#listed.length / this.#size);
		}
		if (speakers.who === "first") this.#learn(clock.now());
	}

	/** Whether a datagram is looked at. `names` are the source addresses of a batch as the kernel wrote them, `i` its number. */
	admits(names: Int32Array, i: number): boolean {
		const at = i * NAME_WORDS + this.#at;
		const place = this.#place(names, at);
		if (place < 0) return this.#refuse(names, at);
		this.#attendance[place]! |= SPOKEN;
		return true;
	}

	/** The datagram was a good one of a node that has shaken hands. The first such node is the only one from then on. */
	heard(names: Int32Array, i: number): void {
		const at = i * NAME_WORDS + this.#at;
		const place = this.#place(names, at);
		if (place >= 0) this.#attendance[place]! |= HEARD;
		if (this.#isOpen || this.#listed) return;
		this.#listed = names.slice(at, at + this.#size);
		this.#options.notice(
			`listening to ${this.#textOf(this.#listed)} alone, the first node that has shaken hands: Peers or a key let others speak`,
		);
	}

	/** One line for an operator. */
	describe(refused: number): string {
		const dropped = refused === 0 ? "" : `, ${refused} datagrams of others dropped`;
		const { speakers } = this.#options;
		if (speakers.who === "all") return "every node with a key may speak";
		if (speakers.who === "listed") return `only ${speakers.named} may speak${dropped}`;
		if (!this.#listed) return `the first node of ${this.#networksText} to shake hands may speak${dropped}`;
		return `only ${this.#textOf(this.#listed)} may speak, the first node that has shaken hands${dropped}`;
	}

	/** Who of those that may speak has spoken so far. */
	get attendance(): Attendance[] {
		const listed = this.#options.speakers.who === "listed" ? this.#listed : undefined;
		return Array.from(this.#attendance, (bits, i) => ({
			...(listed && { address: this.#textOf(listed.slice(i * this.#size, (i + 1) * this.#size)) }),
			hasSpoken: (bits & SPOKEN) !== 0,
			isHeard: (bits & HEARD) !== 0,
		}));
	}

	/** Where the attendance of this source address is; negative: it may not speak. */
	#place(names: Int32Array, at: number): number {
		if (this.#isOpen) return 0;
		if (this.#listed) return this.#listedAt(this.#listed, names, at);
		return this.#isNear(names, at) ? 0 : -1;
	}

	#listedAt(listed: Int32Array, names: Int32Array, at: number): number {
		const size = this.#size;
		// what tells addresses of one network apart stands at their end
		const last = names[at + size - 1];
		for (let from = 0; from < listed.length; from += size) {
			if (listed[from + size - 1] !== last) continue;
			let word = 0;
			while (word < size && listed[from + word] === names[at + word]) word++;
			if (word === size) return from / size;
		}
		return -1;
	}

	#isNear(names: Int32Array, at: number): boolean {
		const networks = this.#networks;
		const size = this.#size;
		for (let from = 0; from < networks.length; from += 2 * size) {
			let word = 0;
			while (word < size && (names[at + word]! & networks[from + size + word]!) === networks[from + word])
				word++;
			if (word === size) return true;
		}
		return false;
	}

	/** Whether it may pass after all: an interface may get its addresses later than the daemon starts, and other ones. */
	#refuse(names: Int32Array, at: number): boolean {
		const now = this.#options.clock.now();
		if (!this.#listed && now - this.#learntAt >= LEARN_EVERY) {
			this.#learn(now);
			if (this.#isNear(names, at)) return true;
		}
		this.#unsaid++;
		if (now - this.#warnedAt >= WARN_EVERY) {
			const source = this.#textOf(names.slice(at, at + this.#size));
			const what =
				this.#unsaid === 1
					? `a datagram from ${source}`
					: `${this.#unsaid} datagrams, the last from ${source}`;
			this.#options.warning(`dropped ${what} on the dedicated link: ${this.#reason()}`);
			this.#warnedAt = now;
			this.#unsaid = 0;
		}
		return false;
	}

	#reason(): string {
		const { speakers } = this.#options;
		if (speakers.who === "listed") return `it is not one of ${speakers.named}`;
		const help = "to hear it, name all nodes in Peers, or use a key";
		if (!this.#listed) return `it is not of ${this.#networksText}; ${help}`;
		return `${this.#textOf(this.#listed)} was the first to shake hands; ${help}`;
	}

	#learn(now: number): void {
		const { speakers, format } = this.#options;
		if (speakers.who !== "first") return;
		const own = speakers.networks().filter(({ address }) => this.#isOurs(address));
		const networks = own.map(({ address, prefixLength }) => {
			const mask = maskOf(address.length, prefixLength);
			return { address: address.map((byte, i) => byte & mask[i]!), mask, prefixLength };
		});
		this.#learntAt = now;
		this.#networks = packed(networks.flatMap(({ address, mask }) => [address, mask]));
		const texts = networks.map(({ address, prefixLength }) => `${format(address)}/${prefixLength}`);
		this.#networksText = texts.join(", ") || "the link's network, which is not known yet,";
	}

	#isOurs(address: Uint8Array): boolean {
		return address.length === 4 * this.#size;
	}

	#textOf(words: Int32Array): string {
		return this.#options.format(new Uint8Array(words.buffer, words.byteOffset, 4 * this.#size));
	}
}

/** The bytes of addresses as words in the order of memory, in which the kernel's names are compared. */
function packed(addresses: readonly Uint8Array[]): Int32Array<ArrayBuffer> {
	return new Int32Array(Uint8Array.from(addresses.flatMap((address) => [...address])).buffer);
}

function maskOf(bytes: number, prefixLength: number): Uint8Array {
	return Uint8Array.from(
		{ length: bytes },
		(_, i) => (0xff << (8 - Math.min(8, Math.max(0, prefixLength - 8 * i)))) & 0xff,
	);
}
