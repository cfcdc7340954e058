// What Node and malloc take for themselves in a process that runs for months: little.
import { setFlagsFromString } from "node:v8";
import { loadNative } from "./native.ts";

/** malloc's own threshold, which it gives up when the first larger block is freed, bytes. */
const RETURNED_FROM = 128 << 10;

/**
 * Bytecode that the optimizing compiler takes into one function, three tenths of V8's own limit. The path of a datagram is
 * many small functions, which it would compile once for each caller: `create` at 10,000/s in the first four seconds
 * 7.7 -> 6.9 us of the receiver's CPU per event, of which the compiler's 2.6 -> 1.9; a storm 1.8 -> 1.5.
 */
const INLINED_AT_MOST = 300;

/**
 * Call it before the daemon's modules are loaded. What matters is in shared memory; the young generation holds nothing
 * but what a datagram needs, so that growing it to 32 MiB, as V8 does when much survives during the start, is no gain.
 * The tables that the caches outgrow are returned to the system.
 *
 * Saves 5 MiB of an empty daemon, and of one with 100,000 entries a third (`make bench ROWS=memory`).
 */
export function keepSmall(): void {
	keepYoungSmall();
	setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${INLINED_AT_MOST}`);
	loadNative().returnMemory(RETURNED_FROM);
}

/** To be called once more when a worker has started: for every new isolate V8 sets the flag, which all share, to 2 again. */
export function keepYoungSmall(): void {
	setFlagsFromString("--semi-space-growth-factor=1");
}
