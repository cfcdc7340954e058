// Runs inputs through a target, and judges: no exception, no hang, no growth, nothing done to Object.prototype.
//
// Input i of a run with seed S is made from S + i alone. The code under test lives for LIFE inputs and is then built
// anew, so that a failure needs no more than the inputs of its life to happen again.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { loadCorpus } from "./corpus.mjs";
import { Random } from "./random.mjs";
import { generate, TARGETS } from "./targets.mjs";

const LIFE = 1000;
/** Longer than this, three times running, is a hang; milliseconds. */
const HANG_MS = 50;
/** Bytes by which the heap may grow between the third life and the last. */
const GROWTH_MAX = 16 << 20;

export class FuzzFailure extends Error {
	/** How many inputs of which seed show it. */
	constructor(message, { target, seed, count, bytes }) {
		super(message);
		Object.assign(this, { target, seed, count, bytes });
	}

	/** The one command that shows it again. */
	get command() {
		return `node test/fuzz/fuzz.mjs --target ${this.target} --seed ${this.seed} --count ${this.count}`;
	}
}

/** A target, loaded from the dist at this URL. */
export async function openTarget(name, dist) {
	const target = TARGETS[name];
	const newLife = await target.create(dist);
	const prepared = await target.prepare?.(dist);
	const named = loadCorpus(name);
	const corpus = named.map(([, bytes]) => bytes);
	const prototypes = fingerprint();

	/** Takes one input; milliseconds, or the error. */
	function take(life, bytes, random) {
		const began = performance.now();
		const taken = life.run(bytes, random);
		const took = performance.now() - began;
		if (!isSame(prototypes, fingerprint())) throw new Error("a built-in prototype has changed");
		return { taken, took };
	}

	/** The inputs of one life; a slow one is reported by its index. */
	function live(seed, count) {
		const life = newLife(seed);
		let taken = 0;
		for (let i = 0; i < count; i++) {
			const random = new Random(seed + i);
			const bytes = generate(target, random, corpus, prepared);
			const fail = (message) => new FuzzFailure(message, { target: name, seed, count: i + 1, bytes });
			try {
				const result = take(life, bytes, random);
				if (result.taken) taken++;
				if (result.took > HANG_MS) return { slow: fail(`took ${result.took.toFixed(0)} ms`), taken };
			} catch (error) {
				throw fail(error.stack ?? String(error));
			}
		}
		life.finish();
		return { taken };
	}

	return {
		name,
		/** Every kept input in some surroundings; the number of them. */
		replay(rounds = 20) {
			const life = newLife(0);
			for (let round = 0; round < rounds; round++) {
				for (const [file, bytes] of named) {
					try {
						take(life, bytes, new Random(round));
					} catch (error) {
						throw new Error(`corpus/${name}/${file}: ${error.stack ?? error}`);
					}
				}
			}
			life.finish();
			return named.length;
		},
		/** @returns what to print; throws FuzzFailure */
		run(seed, count, progress = () => {}) {
			const began = performance.now();
			let taken = 0;
			let heap = 0;
			for (let done = 0, lives = 0; done < count; done += LIFE, lives++) {
				const inputs = Math.min(LIFE, count - done);
				let result = live(seed + done, inputs);
				// a machine that was busy is not a hang: the same life again
				for (let again = 0; result.slow; again++) {
					if (again === 3) throw result.slow;
					result = live(seed + done, inputs);
				}
				taken += result.taken;
				if (lives === 2) heap = heapUsed();
				progress(done + inputs);
			}
			const growth = heap === 0 ? 0 : heapUsed() - heap;
			if (growth > GROWTH_MAX) {
				throw new FuzzFailure(`the heap has grown by ${growth} bytes`, { target: name, seed, count });
			}
			const seconds = (performance.now() - began) / 1000;
			return { count, taken, seconds, rate: count / seconds, growth };
		},
	};
}

function heapUsed() {
	setFlagsFromString("--expose-gc");
	runInNewContext("gc")();
	const { heapUsed: used, arrayBuffers } = process.memoryUsage();
	return used + arrayBuffers;
}

const WATCHED = [Object.prototype, Array.prototype, Function.prototype, Uint8Array.prototype, Map.prototype];

function fingerprint() {
	return WATCHED.map((prototype) => Reflect.ownKeys(prototype).length);
}

const isSame = (a, b) => a.every((count, i) => count === b[i]);
