// The dedicated link: what it does to datagrams, good or bad.
import { FLAG_ACK, FLAG_HELLO } from "../../src/sync/wire/frame.ts";
import type { Epoch } from "./history.ts";
import type { Random } from "./random.ts";
import type { Scheduler, Task } from "./scheduler.ts";

/** A datagram as one node sent it, or as an attacker made it. */
export interface Sent {
	/** Counts datagrams of the whole simulation. */
	id: number;
	/** Undefined: an attacker's own work. */
	epoch: Epoch | undefined;
	bytes: Uint8Array;
}

export interface Weather {
	loss: number;
	duplicate: number;
	/** Share of datagrams with some bits flipped. */
	flip: number;
	/** Milliseconds that every datagram takes, and at most as many more by chance: those overtake each other. */
	delay: number;
	jitter: number;
	/** Share that takes `late` more, milliseconds. */
	lateShare: number;
	late: number;
	/** Directions that are cut: from * 256 + to. */
	cut: Set<number>;
}

export function fairWeather(): Weather {
	return { loss: 0, duplicate: 0, flip: 0, delay: 0.1, jitter: 0.2, lateShare: 0, late: 0, cut: new Set() };
}

/** Who can be sent to. */
export interface Receiver {
	readonly id: number;
	/**
	 * @param isIntact the bytes are those that were sent
	 * @returns whether there is somebody to read it, and room for it
	 */
	arrive(sent: Sent, bytes: Uint8Array, isIntact: boolean): boolean;
}

/** A copy on its way. */
class Flight implements Task {
	at: number;
	order = 0;
	isCancelled = false;
	readonly #to: Receiver;
	readonly #sent: Sent;
	readonly #bytes: Uint8Array;
	readonly #traffic: Traffic;

	constructor(at: number, to: Receiver, sent: Sent, bytes: Uint8Array, traffic: Traffic) {
		this.#traffic = traffic;
		this.at = at;
		this.#to = to;
		this.#sent = sent;
		this.#bytes = bytes;
	}

	run(): void {
		if (!this.#to.arrive(this.#sent, this.#bytes, this.#bytes === this.#sent.bytes)) this.#traffic.harmed++;
	}
}

export interface Traffic {
	hello: number;
	/** With entries, or with what else is sent again when it is lost. */
	data: number;
	other: number;
	/** Of `data` and `other`: those that ask for an acknowledgement. */
	asking: number;
	/** Copies that did not arrive, or not as they were sent. */
	harmed: number;
	duplicated: number;
	/** Of an attacker. */
	injected: number;
}

export class Network {
	readonly weather = fairWeather();
	readonly receivers: Receiver[] = [];
	/** Sees every datagram of every node. */
	tap: (sent: Sent) => void = () => {};
	readonly traffic: Traffic = {
		hello: 0,
		data: 0,
		other: 0,
		asking: 0,
		harmed: 0,
		duplicated: 0,
		injected: 0,
	};
	readonly #scheduler: Scheduler;
	readonly #random: Random;
	#ids = 0;

	constructor(scheduler: Scheduler, random: Random) {
		this.#scheduler = scheduler;
		this.#random = random;
	}

	get datagrams(): number {
		return this.traffic.hello + this.traffic.data + this.traffic.other;
	}

	/** A node sends to all others. The bytes are copied. `isData`: see Traffic. */
	send(from: number, epoch: Epoch, bytes: Uint8Array, end: number, isData: boolean): void {
		const sent: Sent = { id: ++this.#ids, epoch, bytes: bytes.slice(0, end) };
		const flags = bytes[3]!;
		if ((flags & FLAG_HELLO) !== 0) this.traffic.hello++;
		else if (isData) this.traffic.data++;
		else this.traffic.other++;
		if ((flags & FLAG_ACK) !== 0) this.traffic.asking++;
		this.tap(sent);
		for (const to of this.receivers) if (to.id !== from) this.#carry(from, to, sent);
	}

	/** An attacker's datagram; `original` is what it was made of, if it is one that a node has sent. */
	inject(to: Receiver, bytes: Uint8Array, original: Sent | undefined): void {
		this.traffic.injected++;
		const sent = original?.bytes === bytes ? original : { id: ++this.#ids, epoch: undefined, bytes };
		this.#scheduler.push(
			new Flight(this.#scheduler.now + this.#random.next(), to, sent, bytes, this.traffic),
		);
	}

	#carry(from: number, to: Receiver, sent: Sent): void {
		const { weather, traffic } = this;
		const random = this.#random;
		if (weather.cut.size > 0 && weather.cut.has(from * 256 + to.id)) {
			traffic.harmed++;
			return;
		}
		if (weather.loss > 0 && random.chance(weather.loss)) {
			traffic.harmed++;
			return;
		}
		const copies = weather.duplicate > 0 && random.chance(weather.duplicate) ? 2 : 1;
		if (copies > 1) traffic.duplicated++;
		for (let i = 0; i < copies; i++) {
			let at = this.#scheduler.now + weather.delay + random.next() * weather.jitter;
			if (weather.lateShare > 0 && random.chance(weather.lateShare)) at += random.next() * weather.late;
			let { bytes } = sent;
			if (weather.flip > 0 && random.chance(weather.flip)) {
				bytes = flipped(bytes, random);
				traffic.harmed++;
			}
			this.#scheduler.push(new Flight(at, to, sent, bytes, traffic));
		}
	}
}

/** A copy with one to eight different bits flipped. */
export function flipped(bytes: Uint8Array, random: Random): Uint8Array {
	const copy = bytes.slice();
	const bits = new Set<number>();
	for (let i = random.below(8); i >= 0; i--) bits.add(random.below(copy.length * 8));
	for (const bit of bits) copy[bit >> 3]! ^= 1 << (bit & 7);
	return copy;
}
