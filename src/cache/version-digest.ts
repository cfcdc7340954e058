// Whether two caches hold the same entries, in eight kilobytes.
//
// Every state of every entry has a version that its origin never gives to another (one counter for both kinds). So
// the set of the versions that are held says which states are held, and the origin and a peer can compare these sets
// without a word about keys: each version falls into a bucket, and a bucket is the XOR of a 64-bit mix of its
// versions. Versions are numbered through, so the buckets fill evenly, whatever somebody sends through the firewall.

/** A power of two: the low bits of a version are its bucket. */
export const BUCKETS = 1024;

export class VersionDigest {
	/** Two words per bucket. */
	readonly words = new Int32Array(BUCKETS * 2);

	/** Puts a version in, or takes it out. */
	toggle(version: number): void {
		const low = version | 0;
		const high = Math.floor(version / 2 ** 32) | 0;
		const at = bucketOf(version) * 2;
		this.words[at]! ^= mix(low ^ Math.imul(high, 0x27d4eb2f));
		this.words[at + 1]! ^= mix(Math.imul(low, 0x165667b1) + high + 0x5bd1e995);
	}

	clear(): void {
		this.words.fill(0);
	}

	/**
	 * A digest is kept up to date change by change; what has once gone wrong in it stays wrong. This computes it anew, which
	 * takes tens of milliseconds for a million entries.
	 */
	rebuild(caches: readonly { addTo(digest: VersionDigest): void }[]): void {
		this.clear();
		for (const cache of caches) cache.addTo(this);
	}
}

export function bucketOf(version: number): number {
	return (version % 2 ** 32) & (BUCKETS - 1);
}

/** The finishing mix of MurmurHash3. */
function mix(word: number): number {
	let hash = word ^ (word >>> 16);
	hash = Math.imul(hash, 0x85ebca6b);
	hash ^= hash >>> 13;
	hash = Math.imul(hash, 0xc2b2ae35);
	return hash ^ (hash >>> 16);
}
