// Runs inputs through a target, and judges: no exception, no hang, no growth, nothing done to the built-in prototypes.
//
// Input i of a run with seed S is made from S + i alone. The code under test lives for LIFE inputs and is then built
// anew, so that a failure needs no more than the inputs of its life to happen again.
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { loadCorpus } from "./corpus.mjs";
import { changeSince, snapshot } from "./intrinsics.mjs";
import { Random } from "./random.mjs";
import { generate, TARGETS } from "./targets.mjs";

export const LIFE = 1000;
/** Milliseconds; longer than this, and as long of the processor's time when it is tried again, twice, is a hang. */
const HANG_MS = 50;
/** Bytes by which the heap may grow after the third life; it is looked at every so many lives. */
const GROWTH_MAX = 16 << 20;
const LIVES_PER_LOOK = 200;

export class FuzzFailure extends Error {
	/** How many inputs of which seed show it. */
	constructor(message, { target, seed, count, bytes }) {
		super(message);
		Object.assign(this, { target, seed, count, bytes });
	}

	/** What can be handed to another thread. */
	get report() {
		const { seed, count } = this;
		const command = `node test/fuzz/fuzz.mjs --target ${this.target} --seed ${seed} --count ${count}`;
		const lines = [this.message, `again: ${command}`];
		if (this.bytes) lines.splice(1, 0, `input: ${Buffer.from(this.bytes).toString("hex") || "(empty)"}`);
		return { text: lines.join("\n"), seed, count, command };
	}
}

/** A target, loaded from the dist at this URL. */
export async function openTarget(name, dist) {
	const target = TARGETS[name];
	const newLife = await target.create(dist);
	const prepared = await target.prepare?.(dist);
	const named = loadCorpus(target.corpus ?? name);
	const corpus = named.map(([, bytes]) => bytes);
	const shared = snapshot();

	/** Has the code under test finish its life. */
	function finish(life) {
		life.finish();
		const change = changeSince(shared);
		if (change) throw new Error(`a built-in prototype has changed: ${change}`);
	}

	/**
	 * The inputs of one life. Slow ones are reported by their index: the machine may have been busy.
	 *
	 * @param suspects those of which only the processor's time counts; all others are not looked at
	 */
	function live(seed, count, position, suspects = undefined) {
		const life = newLife(seed);
		const slow = new Map();
		let taken = 0;
		position[0] = seed;
		for (let i = 0; i < count; i++) {
			position[1] = i + 1;
			const random = new Random(seed + i);
			const bytes = generate(target, random, corpus, prepared);
			const fail = (message) => new FuzzFailure(message, { target: name, seed, count: i + 1, bytes });
			try {
				const clock = suspects?.has(i) ? processorTime : wallTime;
				const began = clock();
				if (life.run(bytes, random)) taken++;
				const took = suspects && !suspects.has(i) ? 0 : clock() - began;
				if (took > (target.hangMs ?? HANG_MS)) slow.set(i, fail(`took ${took.toFixed(0)} ms`));
				if (i === count - 1) finish(life);
			} catch (error) {
				throw fail(error.stack ?? String(error));
			}
		}
		return { taken, slow };
	}

	return {
		name,
		/** Every kept input in some surroundings; the number of them. */
		replay(rounds = 20) {
			const life = newLife(0);
			for (let round = 0; round < rounds; round++) {
				for (const [file, bytes] of named) {
					try {
						life.run(bytes, new Random(round));
					} catch (error) {
						throw new Error(`corpus/${target.corpus ?? name}/${file}: ${error.stack ?? error}`);
					}
				}
			}
			finish(life);
			return named.length;
		},
		/**
		 * Resolves to what there is to say; rejects with a FuzzFailure.
		 *
		 * @param position is told where the run is: the life's seed, and how many of its inputs it has begun
		 */
		async run(seed, count, position = [0, 0]) {
			const began = performance.now();
			let taken = 0;
			let heap = 0;
			let most = 0;
			for (let done = 0, lives = 0; done < count; done += LIFE, lives++) {
				const inputs = Math.min(LIFE, count - done);
				const { taken: some, slow } = live(seed + done, inputs, position);
				for (let again = 1; again < 3 && slow.size > 0; again++) {
					const other = live(seed + done, inputs, position, slow).slow;
					for (const i of slow.keys()) if (!other.has(i)) slow.delete(i);
				}
				for (const failure of slow.values()) throw failure;
				taken += some;
				const isLast = done + LIFE >= count;
				if (lives === 2) most = heap = await heapUsed();
				else if (lives > 2 && (isLast || lives % LIVES_PER_LOOK === 0)) {
					most = Math.max(most, await heapUsed());
					if (most - heap <= GROWTH_MAX) continue;
					const message = `the heap has grown by ${most - heap} bytes`;
					throw new FuzzFailure(message, { target: name, seed, count: done + inputs });
				}
			}
			const seconds = (performance.now() - began) / 1000;
			return { count, taken, seconds, heap: most, growth: most - heap };
		},
	};
}

const SCHEDSTAT = "/proc/thread-self/schedstat";
const wallTime = () => performance.now();

/** Milliseconds for which this thread has run (Documentation/scheduler/sched-stats.rst). */
function processorTime() {
	if (!existsSync(SCHEDSTAT)) return wallTime();
	return Number(readFileSync(SCHEDSTAT, "latin1").split(" ")[0]) / 1e6;
}

/** Bytes after a collection. Buffers are given back a moment after it, by another thread. */
async function heapUsed() {
	setFlagsFromString("--expose-gc");
	const collect = runInNewContext("gc");
	collect();
	await sleep(50);
	collect();
	const { heapUsed: used, arrayBuffers } = process.memoryUsage();
	return used + arrayBuffers;
}
