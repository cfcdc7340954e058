// Sends all that is mine in some buckets again, to the peers that asked: they have found a difference there.
import type { RecordStore } from "../cache/record-store.ts";
import { BUCKETS, bucketOf } from "../cache/version-digest.ts";
import type { DirtySet } from "./dirty-set.ts";
import { hasBucket } from "./peer-equality.ts";
import { SlotWalk } from "./slot-walk.ts";

/** Requests that came while a walk was under way are one request: bounded by a bitmap. */
interface Request {
	peers: number;
	readonly buckets: Uint8Array;
}

const newRequest = (): Request => ({ peers: 0, buckets: new Uint8Array(BUCKETS / 8) });

export class BucketResend {
	readonly #stores: readonly [RecordStore, RecordStore];
	readonly #dirty: DirtySet;
	#walk: SlotWalk | undefined;
	#serving = newRequest();
	#waiting = newRequest();

	constructor(stores: readonly [RecordStore, RecordStore], dirty: DirtySet) {
		this.#stores = stores;
		this.#dirty = dirty;
	}

	get isBusy(): boolean {
		return this.#walk !== undefined;
	}

	/** @param peers their bits @param buckets a bit for each */
	add(peers: number, buckets: Uint8Array): void {
		this.#waiting.peers |= peers;
		for (let i = 0; i < BUCKETS / 8; i++) this.#waiting.buckets[i]! |= buckets[i]!;
		if (!this.#walk) this.#begin();
	}

	step(): void {
		if (!this.#walk) return;
		const { peers, buckets } = this.#serving;
		this.#walk.step((kind, slot) => {
			if (hasBucket(buckets, bucketOf(this.#stores[kind].version(slot)))) this.#dirty.mark(kind, slot, peers);
			return true;
		});
		if (!this.#walk.isOver) return;
		this.#walk = undefined;
		if (this.#waiting.peers !== 0) this.#begin();
	}

	#begin(): void {
		this.#serving = this.#waiting;
		this.#waiting = newRequest();
		this.#walk = new SlotWalk(this.#stores);
	}
}
