// Two who mean harm. The replayer has everything that was ever on the link. The forger makes datagrams of his own: he
// knows the protocol, the nodes and, where datagrams are sealed, all that is sent. Where they are not, nothing could
// refuse one who reads along, so there he is off the path: he does not know the epochs, which every header must name.
import { NameTable } from "../../src/conntrack/names.ts";
import { CHALLENGE_SIZE, writeHello } from "../../src/sync/handshake.ts";
import { RecordEncoder } from "../../src/sync/wire/encode.ts";
import {
	bodyOffset,
	EPOCH_SIZE,
	FLAG_ACK,
	FLAG_HELLO,
	HEADER_SIZE,
	putU32,
	writeHeader,
} from "../../src/sync/wire/frame.ts";
import { MsgpackWriter } from "../../src/sync/wire/msgpack.ts";
import { RecordType } from "../../src/sync/wire/record-type.ts";
import { PlainSeal } from "../../src/sync/wire/seal.ts";
import { Entries } from "./entries.ts";
import { flipped, type Network, type Receiver, type Sent } from "./network.ts";
import type { Random } from "./random.ts";

/** Datagrams that are remembered; later ones take the place of earlier ones by chance. */
const MEMORY = 400;

export class Attacker {
	readonly #network: Network;
	readonly #random: Random;
	readonly #isSealed: boolean;
	readonly #memory: Sent[] = [];
	readonly #entries: Entries;
	readonly #writer = new MsgpackWriter(new Uint8Array(2048));
	readonly #encoder: RecordEncoder;
	#seen = 0;

	constructor(network: Network, random: Random, isSealed: boolean) {
		this.#network = network;
		this.#random = random;
		this.#isSealed = isSealed;
		const names = new NameTable();
		this.#entries = new Entries(names);
		this.#encoder = new RecordEncoder(this.#writer, names);
		network.tap = (sent) => this.#record(sent);
	}

	/** One that was on the link, some time ago, to anybody: its sender, too. */
	replay(): void {
		if (this.#memory.length === 0) return;
		const sent = this.#random.pick(this.#memory);
		this.#network.inject(this.#target(), sent.bytes, sent);
	}

	/** All of it, shuffled. */
	replayEverything(): void {
		for (const sent of this.#memory) {
			if (this.#random.chance(0.7)) this.#network.inject(this.#target(), sent.bytes, sent);
		}
	}

	forge(): void {
		const kind = this.#random.below(4);
		if (kind === 0) this.#inject(this.#garbage());
		else if (kind === 1 || this.#memory.length === 0) this.#inject(this.#wellFormed());
		else this.#inject(this.#mutated());
	}

	#record(sent: Sent): void {
		this.#seen++;
		if (this.#memory.length < MEMORY) this.#memory.push(sent);
		else if (this.#random.chance(MEMORY / this.#seen)) this.#memory[this.#random.below(MEMORY)] = sent;
	}

	#target(): Receiver {
		return this.#random.pick(this.#network.receivers);
	}

	#inject(bytes: Uint8Array): void {
		this.#network.inject(this.#target(), bytes, undefined);
	}

	#garbage(): Uint8Array {
		const bytes = this.#random.bytes(this.#random.below(300));
		if (this.#random.chance(0.7)) bytes[0] = 0xc1;
		if (this.#random.chance(0.5) && bytes.length > 4) bytes[3]! &= 3;
		return bytes;
	}

	/** A recorded datagram with something changed, and the checksum as it was. */
	#mutated(): Uint8Array {
		const random = this.#random;
		const { bytes } = random.pick(this.#memory);
		switch (random.below(5)) {
			case 0:
				return bytes.slice(0, random.below(bytes.length));
			case 1: {
				const longer = random.bytes(bytes.length + 1 + random.below(40));
				longer.set(bytes);
				return longer;
			}
			case 2: {
				// in another's name
				const copy = bytes.slice();
				const sender = this.#target().id;
				if (sender === copy[7]) copy[8]! ^= 1;
				putU32(copy, 4, sender);
				return copy;
			}
			case 3: {
				// a number that was not used yet
				const copy = bytes.slice();
				putU32(copy, 20, (copy[23]! | (copy[22]! << 8)) + 1 + random.below(5000));
				return copy;
			}
			default:
				return flipped(bytes, random);
		}
	}

	/** As a node would send it, in suite 0, with an epoch that nobody has. */
	#wellFormed(): Uint8Array {
		const random = this.#random;
		const w = this.#writer;
		// one of few strangers: a node has room for sixteen peers, and names that were never heard take it up
		const sender = random.chance(0.9) ? this.#target().id : 1000 + random.below(2);
		const flags = random.chance(0.4) ? FLAG_HELLO : random.chance(0.5) ? FLAG_ACK : 0;
		w.at = bodyOffset(flags);
		const epoch = random.bytes(EPOCH_SIZE);
		let tag = new DataView(epoch.buffer).getUint32(0);
		if (flags === FLAG_HELLO) {
			w.bytes.set(epoch, HEADER_SIZE);
			this.#hello();
		} else {
			for (let i = random.below(6); i >= 0; i--) this.#someRecord();
			// where nothing but the seal is in his way, he knows the rest
			const known = this.#isSealed && this.#memory.length > 0 ? random.pick(this.#memory).epoch : undefined;
			if (known) tag = new DataView(known.bytes.buffer).getUint32(0);
		}
		writeHeader(w.bytes, flags, sender, tag, 1 + random.below(2 ** random.below(31)));
		const end = new PlainSeal().seal(w.bytes, 0, w.at);
		return w.bytes.slice(0, end);
	}

	#hello(): void {
		const random = this.#random;
		const list = this.#network.receivers.map(({ id }) => ({
			node: id,
			adoptedTag: random.below(2 ** 31),
			isHeard: random.chance(0.5),
			challenge: random.bytes(CHALLENGE_SIZE),
			echo: random.bytes(random.chance(0.5) ? CHALLENGE_SIZE : 0),
			offered: random.below(3),
		}));
		const state = {
			isPrimary: random.chance(0.5),
			isActiveActive: random.chance(0.1),
			term: random.below(2 ** 31),
			policy: 0,
			mode: 0,
			hasNoCache: false,
			keys: [],
		};
		writeHello(this.#writer, { credit: random.below(200), state }, list, 0, 1400);
	}

	#someRecord(): void {
		const random = this.#random;
		const w = this.#writer;
		const version = 1 + random.below(100_000);
		const key = random.below(200);
		const kind = random.chance(0.7) ? 0 : 1;
		const record = this.#entries.record(kind, key, random.below(100));
		switch (random.below(4)) {
			case 0:
				this.#encoder.set(kind, record, version);
				return;
			case 1:
				this.#encoder.delete(kind, record, version);
				return;
			case 2:
				w.array(6);
				w.uint(RecordType.ack);
				w.uint(this.#target().id);
				w.uint(random.below(2 ** 31));
				w.uint(random.below(1000));
				w.uint(64);
				w.bin(new Uint8Array(64).fill(0xff));
				return;
			default:
				w.array(3);
				w.uint(random.pick([RecordType.bulkBegin, RecordType.bulkEnd, RecordType.resync]));
				w.uint(this.#target().id);
				w.uint(1 + random.below(5));
		}
	}
}
