// Datagrams that were sent and not acknowledged by everybody yet: which keys, in which version, for which peers.
// Bounded: IN_FLIGHT_MAX datagrams; whoever sends waits while it is full.

/** A power of two. Half the replay window of the receiver, so that nothing in flight ever falls out of it. */
export const IN_FLIGHT_MAX = 1024;
/** Records of one datagram that are tracked; a datagram is closed when it holds as many. */
export const RECORDS_MAX = 64;

export class InFlight {
	/** Datagrams that somebody has not acknowledged. */
	count = 0;
	/** No datagram before this sequence number is pending. */
	lowest = 1;
	/** When something was acknowledged last, or went out while nothing was in flight; milliseconds. */
	answeredAt = 0;
	readonly #sequence = new Float64Array(IN_FLIGHT_MAX);
	readonly #pending = new Uint32Array(IN_FLIGHT_MAX);
	readonly #sentAt = new Float64Array(IN_FLIGHT_MAX);
	/** Peers whose bulk waits for the datagram. */
	readonly #bulk = new Uint32Array(IN_FLIGHT_MAX);
	/** How many such datagrams there are, by peer index. */
	readonly #bulkCount = new Int32Array(16);
	readonly #records = new Uint8Array(IN_FLIGHT_MAX);
	readonly #keys = new Int32Array(IN_FLIGHT_MAX * RECORDS_MAX);
	readonly #versions = new Float64Array(IN_FLIGHT_MAX * RECORDS_MAX);
	/** Records of the datagram under construction. */
	#building = 0;

	/** Whether a datagram with this number has a place. */
	hasRoom(sequence: number): boolean {
		return sequence - this.lowest < IN_FLIGHT_MAX;
	}

	/** Adds a record to the datagram that will get number `sequence`. */
	add(sequence: number, key: number, version: number): void {
		const at = place(sequence) * RECORDS_MAX + this.#building++;
		this.#keys[at] = key;
		this.#versions[at] = version;
	}

	get building(): number {
		return this.#building;
	}

	/** The datagram is on its way to these peers; the bulk to some of them is not complete without it. */
	commit(sequence: number, peers: number, bulkPeers: number, now: number): void {
		// nobody acknowledges it: it must not take the place of a datagram that is still in flight
		if (peers === 0) return;
		if (this.count === 0) this.answeredAt = now;
		const at = place(sequence);
		this.#sequence[at] = sequence;
		this.#pending[at] = peers;
		this.#sentAt[at] = now;
		this.#records[at] = this.#building;
		this.#building = 0;
		this.#bulk[at] = bulkPeers & peers;
		for (let i = 0; i < 16; i++) if (((bulkPeers & peers) >>> i) & 1) this.#bulkCount[i]!++;
		this.count++;
	}

	/** Milliseconds for which something has been in flight, and nobody has acknowledged anything; 0 if nothing is. */
	unanswered(now: number): number {
		return this.count > 0 ? now - this.answeredAt : 0;
	}

	/** Peers that have not acknowledged the datagram. */
	pending(sequence: number): number {
		const at = place(sequence);
		return this.#sequence[at] === sequence ? this.#pending[at]! : 0;
	}

	/** Datagrams that the bulk to this peer (a single bit) waits for. */
	bulkPending(peer: number): number {
		return this.#bulkCount[31 - Math.clz32(peer)]!;
	}

	/** Those that somebody has not acknowledged, the oldest first, and how many records each carries. */
	waiting(): { sequence: number; records: number }[] {
		const found: { sequence: number; records: number }[] = [];
		for (let sequence = this.lowest; sequence < this.lowest + IN_FLIGHT_MAX; sequence++) {
			if (this.pending(sequence) !== 0) found.push({ sequence, records: this.#records[place(sequence)]! });
		}
		return found;
	}

	isBulk(sequence: number, peer: number): boolean {
		return (this.#bulk[place(sequence)]! & peer) !== 0;
	}

	sentAt(sequence: number): number {
		return this.#sentAt[place(sequence)]!;
	}

	/** The datagram is settled for one peer (a single bit): calls `visit` with each of its records. */
	settle(sequence: number, peer: number, visit: (key: number, version: number, peer: number) => void): void {
		const at = place(sequence);
		this.#pending[at]! &= ~peer;
		if (this.#pending[at] === 0) this.count--;
		if ((this.#bulk[at]! & peer) !== 0) {
			this.#bulk[at]! &= ~peer;
			this.#bulkCount[31 - Math.clz32(peer)]!--;
		}
		const first = at * RECORDS_MAX;
		for (let i = first; i < first + this.#records[at]!; i++) visit(this.#keys[i]!, this.#versions[i]!, peer);
	}

	/** Moves `lowest` over what is settled; `next` is the number that the next datagram will get. */
	advance(next: number): void {
		while (this.lowest < next && this.pending(this.lowest) === 0) this.lowest++;
	}
}

const place = (sequence: number): number => sequence % IN_FLIGHT_MAX;
