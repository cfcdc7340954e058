// Keys that fall together: what somebody could open through the firewall who knows the seed of the hash.

/** Rotates 32 bits left. */
const rotate = (word: number, by: number): number => (word << by) | (word >>> (32 - by));
/** The inverse of an odd number modulo 2^32, by Newton's method. */
function inverse(odd: number): number {
	let x = odd;
	for (let i = 0; i < 5; i++) x = Math.imul(x, 2 - Math.imul(odd, x));
	return x;
}

/**
 * Conntrack keys whose records all have one and the same 32-bit hash under this seed. The key number is the ports
 * word; the addresses are free in an attack, and in the simulation they are not: so the ports and the original source
 * are what varies here.
 */
export function collidingSources(seed: number, count: number): { ports: number; source: number }[] {
	// one round of MurmurHash3 is a bijection of its word: the source that leads to a given state can be computed
	const mix = (hash: number, word: number): number => {
		hash ^= Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
		return (Math.imul(rotate(hash, 13), 5) + 0xe6546b64) | 0;
	};
	const protocols = 2 | (6 << 8);
	const before = (ports: number): number => mix(mix(mix(seed, protocols), 0), ports);
	const target = mix(before(1), 0x0100000a);
	const found: { ports: number; source: number }[] = [];
	for (let ports = 1; found.length < count; ports++) {
		const mixed = rotate(Math.imul((target - 0xe6546b64) | 0, inverse(5)), 19) ^ before(ports);
		const word = Math.imul(rotate(Math.imul(mixed, inverse(0x1b873593)), 17), inverse(0xcc9e2d51));
		found.push({ ports, source: word });
	}
	return found;
}
