// A firewall that reboots comes back with an empty table, and its peer holds the only copy of what it had. The peer
// keeps it for a while (bulk-receipt.ts) and says so in its HELLO; the node fetches it, and a commit brings it back.
//
//   node   FETCH    kind and slot to go on from
//   peer   FETCHED  kind, first slot, slot to go on from, whether the node shall ask again now; then RETURN records
//
// The node accepts what begins where it stands, so nothing is missed; it asks again when nothing comes. What was
// fetched stays apart from all caches that are compared, and is forgotten after a while.
import type { ExternalCache } from "../cache/external-cache.ts";
import { CONNTRACK, EXPECTATION, KINDS, type Kind } from "../conntrack/kind.ts";
import type { NameTable } from "../conntrack/names.ts";
import type { OtherRecord, StateRecord } from "./datagram.ts";
import { RECORDS_MAX } from "./in-flight.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Peer } from "./peer.ts";
import { readPresent } from "./present-state.ts";
import { RecordEncoder } from "./wire/encode.ts";
import { RecordType } from "./wire/record-type.ts";

/** Datagrams in answer to one FETCH. */
const DATAGRAMS = 16;
/** Slots passed over in search of one that is to be given back, per datagram. */
const STRIDE = 8192;
/** Milliseconds without an answer before the node asks again. */
const ASK_AGAIN = 60;
/** ... and before it stops asking. */
const GIVE_UP_AFTER = 5000;
/** How long what was fetched can be committed, milliseconds. */
const KEPT_FOR = 120_000;
/** A node that has been up for longer has no use for it any more. */
const USEFUL_FOR = 60_000;
/** Behind the last slot. */
const END = 0xffffffff;

interface Fetch {
	peer: Peer;
	kind: Kind;
	slot: number;
	askedAt: number;
	/** When it last went on. */
	heardAt: number;
}

export interface ReturnOptions {
	node: number;
	names: NameTable;
	datagramMax: number;
	outgoing: Outgoing;
	/** Makes the caches for what comes back. */
	newCaches: () => readonly [ExternalCache, ExternalCache];
	notice: (text: string) => void;
}

export class ReturnSnapshot {
	/** What came back, by Kind; undefined: nothing has. */
	caches: readonly [ExternalCache, ExternalCache] | undefined;
	readonly #options: ReturnOptions;
	readonly #encoder: RecordEncoder;
	readonly #records: readonly [Int32Array, Int32Array];
	#startedAt: number | undefined;
	#fetch: Fetch | undefined;
	readonly #served = new Set<Peer>();
	/** When the last fetch ended; Infinity: what it brought is forgotten. */
	#fetchedAt = Number.POSITIVE_INFINITY;
	/** Slots that are still to be forgotten, by Kind; -1 is none. */
	readonly #forgetAt: [number, number] = [-1, -1];

	constructor(options: ReturnOptions, recordWords: readonly [number, number]) {
		this.#options = options;
		this.#encoder = new RecordEncoder(options.outgoing.writer, options.names);
		this.#records = [new Int32Array(recordWords[0]), new Int32Array(recordWords[1])];
	}

	get isBusy(): boolean {
		return this.#fetch !== undefined || this.#forgetAt.some((at) => at >= 0);
	}

	tick(now: number): void {
		this.#startedAt ??= now;
		for (const kind of KINDS) {
			const at = this.#forgetAt[kind];
			if (at >= 0) this.#forgetAt[kind] = this.caches![kind].sweep(at, STRIDE);
		}
		const fetch = this.#fetch;
		if (fetch && (!fetch.peer.isUp || now - fetch.heardAt >= GIVE_UP_AFTER)) {
			// it offers again what it has when it is back
			this.#served.delete(fetch.peer);
			this.#fetch = undefined;
			this.#fetchedAt = now;
		} else if (fetch && now - fetch.askedAt >= ASK_AGAIN) this.#ask(fetch, now);
		if (this.caches && !fetch && now - this.#fetchedAt >= KEPT_FOR) this.#forget();
	}

	/** The peer says that it holds entries which this node has lost. */
	offered(peer: Peer, now: number): void {
		this.#startedAt ??= now;
		if (this.#fetch || this.#served.has(peer) || now - this.#startedAt > USEFUL_FOR) return;
		this.#served.add(peer);
		this.caches ??= this.#options.newCaches();
		this.#fetch = { peer, kind: CONNTRACK, slot: 0, askedAt: now, heardAt: now };
		this.#ask(this.#fetch, now);
	}

	/** @param states those of the same datagram */
	other(
		peer: Peer,
		record: OtherRecord,
		states: readonly StateRecord[],
		stateCount: number,
		now: number,
	): boolean {
		const [node, kind = 0, slot = 0, next = 0, isLast = 0] = record.numbers;
		if (record.type === RecordType.fetch) {
			if (node === this.#options.node && kind <= 1) this.#serve(peer, kind as Kind, slot, now);
			return true;
		}
		if (record.type !== RecordType.fetched) return false;
		const fetch = this.#fetch;
		if (node !== this.#options.node || fetch?.peer !== peer || kind !== fetch.kind || slot !== fetch.slot)
			return true;
		this.#take(states, stateCount, now);
		fetch.slot = next;
		fetch.heardAt = now;
		if (next === END && fetch.kind === EXPECTATION) {
			this.#fetch = undefined;
			this.#fetchedAt = now;
			const count = this.caches!.reduce((sum, { store }) => sum + store.live, 0);
			this.#options.notice(`${count} entries of before the restart came back: a commit restores them`);
			return true;
		}
		if (next === END) {
			fetch.kind = EXPECTATION;
			fetch.slot = 0;
		}
		fetch.askedAt = now;
		if (isLast === 1) this.#ask(fetch, now);
		return true;
	}

	#take(states: readonly StateRecord[], stateCount: number, now: number): void {
		for (let i = 0; i < stateCount; i++) {
			const { op, kind, record } = states[i]!;
			if (op === "return") this.caches![kind].set(record, 1, Math.floor(now / 1000));
		}
	}

	#ask(fetch: Fetch, now: number): void {
		fetch.askedAt = now;
		const { outgoing } = this.#options;
		const writer = outgoing.begin();
		writer.array(4);
		writer.uint(RecordType.fetch);
		writer.uint(fetch.peer.node);
		writer.uint(fetch.kind);
		writer.uint(fetch.slot);
		outgoing.end(0, now);
	}

	/** Sends what is held of the peer and unconfirmed, from this slot on. */
	#serve(peer: Peer, kind: Kind, from: number, now: number): void {
		const { outgoing, datagramMax } = this.#options;
		const external = peer.external[kind];
		const { store } = external;
		for (let i = 1; i <= DATAGRAMS; i++) {
			const writer = outgoing.begin();
			const stop = Math.min(store.end, from + STRIDE);
			// the numbers that are known at the end only are written with their full size, at the end
			const head = writer.at;
			writer.at += FETCHED_SIZE;
			let slot = from;
			let count = 0;
			for (; slot < stop && count < RECORDS_MAX; slot++) {
				if (!store.isLive(slot) || external.isConfirmed(slot)) continue;
				const start = writer.at;
				const record = this.#records[kind];
				// it has gone on ageing here
				readPresent(store, kind, slot, record, now);
				this.#encoder.giveBack(kind, record);
				if (writer.at > datagramMax) {
					writer.at = start;
					break;
				}
				count++;
			}
			const end = writer.at;
			const isOver = slot >= store.end;
			writer.at = head;
			writer.array(6);
			writer.uint(RecordType.fetched);
			writer.fixed32(peer.node);
			writer.uint(kind);
			writer.fixed32(from);
			writer.fixed32(isOver ? END : slot);
			writer.uint(i === DATAGRAMS || isOver ? 1 : 0);
			writer.at = end;
			outgoing.end(0, now);
			if (isOver) return;
			from = slot;
		}
	}

	/** Forgets what nobody has committed, some slots at a time. */
	#forget(): void {
		this.#fetchedAt = Number.POSITIVE_INFINITY;
		const count = this.caches!.reduce((sum, { store }) => sum + store.live, 0);
		if (count > 0) this.#options.notice(`${count} entries of before the restart are given up`);
		for (const kind of KINDS) {
			this.caches![kind].beginEpoch();
			this.#forgetAt[kind] = 0;
		}
	}
}

/** Bytes of a FETCHED record whose large numbers are written with their full size: array, type, kind, last; three words. */
const FETCHED_SIZE = 4 + 3 * 5;
