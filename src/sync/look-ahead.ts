// The entries of a datagram are looked up all at once before they are dealt with one by one.
import type { ExternalCache } from "../cache/external-cache.ts";
import type { Datagram } from "./datagram.ts";

/**
 * Computes the hash of each key, and has the processor fetch what the look-ups will read. In a cache of a million entries
 * each look-up waits for memory, once for the place in the index and once for the slot; what is asked for in a row comes
 * together.
 */
export function lookAhead(
	{ states, stateCount }: Datagram,
	external: readonly [ExternalCache, ExternalCache],
): void {
	for (let i = 0; i < stateCount; i++) {
		const state = states[i]!;
		state.hash = external[state.kind].store.hash(state.record);
	}
	for (let i = 0; i < stateCount; i++) external[states[i]!.kind].store.fetch(states[i]!.hash);
}
