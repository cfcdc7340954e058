// The caches of what one peer has, and their end where nothing is heard of them any more.
import { ConntrackLayout } from "../cache/conntrack-layout.ts";
import { ExpectationLayout } from "../cache/expectation-layout.ts";
import { Expiry } from "../cache/expiry.ts";
import { ExternalCache } from "../cache/external-cache.ts";
import { RecordStore } from "../cache/record-store.ts";
import type { VersionDigest } from "../cache/version-digest.ts";
import { MODE, type ReplicationMode } from "./mode.ts";
import type { Peer } from "./peer.ts";

export interface PeerCacheOptions {
	/** Seed of the key hash. */
	hashSeed: number;
	/** Entries that one peer may have here, of each kind. */
	externalLimit: number;
	mode: ReplicationMode;
}

/** @param digest that both share; without one they are for what comes back (return-snapshot.ts) */
export function newPeerCaches(
	{ hashSeed, externalLimit, mode }: PeerCacheOptions,
	digest?: VersionDigest,
): readonly [ExternalCache, ExternalCache] {
	const caches = [
		new ExternalCache(new RecordStore(new ConntrackLayout(), hashSeed), externalLimit, digest),
		new ExternalCache(new RecordStore(new ExpectationLayout(), hashSeed, 64), externalLimit, digest),
	] as const;
	const { cacheTimeout } = mode;
	if (cacheTimeout !== undefined && digest) {
		for (const cache of caches) cache.expiry = new Expiry(cache, cacheTimeout);
	}
	return caches;
}

/** Mode ALARM: gives up what a peer in that mode has not told of again. One in another mode does not repeat anything. */
export function expireSilent(peer: Peer, now: number): void {
	for (const { expiry } of peer.external) {
		if (!expiry) continue;
		expiry.isRunning = peer.state.mode === MODE.ALARM;
		expiry.tick(now);
	}
}
