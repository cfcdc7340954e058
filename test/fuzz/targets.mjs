// What is fuzzed. Each target's `create` builds lives of the code under test from a built dist; a life takes inputs
// one after another and throws when something is wrong with how it took one.
import { ConfigGrammar } from "./config-grammar.mjs";
import { HelloGrammar } from "./hello-grammar.mjs";
import { KeyGrammar } from "./key-grammar.mjs";
import { NetlinkGrammar } from "./netlink-grammar.mjs";
import { mutate, randomBytes } from "./random.mjs";
import { createConfig, directivesByPlace } from "./targets/config.mjs";
import { controlInput, createControl } from "./targets/control.mjs";
import { createFrame } from "./targets/frame.mjs";
import { createHello } from "./targets/hello.mjs";
import { createKeys } from "./targets/keys.mjs";
import { createNetlink } from "./targets/netlink.mjs";
import { createPair } from "./targets/pair.mjs";
import { createRecord } from "./targets/record.mjs";
import { createSealed } from "./targets/sealed.mjs";
import { WireGrammar } from "./wire-grammar.mjs";

const wire = (random) => new WireGrammar(random).datagram();
const hello = (random) => new HelloGrammar(random).hello();

/**
 * What makes a life, what makes an input of its grammar, whose corpus it takes (its own unless it says so), how
 * long an input may take, and how many inputs are many.
 */
export const TARGETS = {
	frame: { create: createFrame, grammar: (random) => (random.chance(0.9) ? wire : hello)(random), full: 5e6 },
	record: { create: createRecord, grammar: wire, full: 5e6 },
	hello: { create: createHello, grammar: hello, full: 1e6 },
	pair: {
		create: createPair,
		grammar: (random) => new WireGrammar(random, true).datagram(),
		corpus: "record",
		// after every hundredth input half a minute passes for the nodes
		hangMs: 2000,
		full: 1e6,
	},
	sealed: { create: createSealed, grammar: wire, corpus: "record", full: 1e6 },
	netlink: { create: createNetlink, grammar: (random) => new NetlinkGrammar(random).datagram(), full: 1e7 },
	control: { create: createControl, grammar: controlInput, full: 1e6 },
	config: {
		create: createConfig,
		prepare: directivesByPlace,
		grammar: (random, directives) => new ConfigGrammar(random, directives).file(),
		full: 1e6,
	},
	keys: { create: createKeys, grammar: (random) => new KeyGrammar(random).file(), full: 1e6 },
};

/** One input: random bytes, a mutation of the corpus, or the grammar's. */
export function generate(target, random, corpus, prepared) {
	const way = random.below(10);
	if (way === 0) return randomBytes(random);
	return way < 5 ? mutate(random, corpus) : target.grammar(random, prepared);
}
