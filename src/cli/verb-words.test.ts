import assert from "node:assert/strict";
import { test } from "node:test";
import { parseArgv } from "./argv.ts";
import { usageError } from "./usage-error.ts";
import { readWords, type TakeWord } from "./verb-words.ts";

const read = (line: string, take: TakeWord = () => false) => readWords(line.split(" "), "before", take);

test("the words of all verbs are read from left to right, and the first that decides does", () => {
	assert.deepEqual(
		readWords([], undefined, () => false),
		{},
	);
	assert.deepEqual(
		readWords([], "before", () => false),
		{ config: "before" },
	);
	assert.deepEqual(read("-C a -C b"), { config: "b" });
	assert.deepEqual(read("-C a -v -h"), { kind: "version" });
	assert.deepEqual(read("-h -v --nonsense"), { kind: "help" });
	assert.deepEqual(read("--nonsense -h"), usageError("Unknown option: --nonsense"));
	for (const words of [["-C"], ["-C", ""]]) {
		assert.deepEqual(
			readWords(words, "before", () => false),
			usageError("Missing config filename"),
		);
	}
});

test("a verb is asked first, takes the word behind its own, and may end the reading", () => {
	const taken: (string | undefined)[] = [];
	const take: TakeWord = (word, next) => {
		if (word === "--end") return usageError("it ends");
		if (word !== "-v" && word !== "--with") return false;
		taken.push(word === "-v" ? word : next());
		return true;
	};
	assert.deepEqual(read("-v --with -h -C a --with", take), { config: "a" });
	assert.deepEqual(taken, ["-v", "-h", undefined]);
	assert.deepEqual(read("--end -h", take), usageError("it ends"));
});

test("every verb has them", () => {
	for (const verb of ["check", "stats", "dump", "stop", "commit", "keys", "keygen", "policy", "verify"]) {
		assert.deepEqual(parseArgv([verb, "-h"]), { kind: "help" }, verb);
		if (verb !== "check") assert.deepEqual(parseArgv([verb, "-v"]), { kind: "version" }, verb);
		assert.deepEqual(parseArgv([verb, "-C"]), usageError("Missing config filename"), verb);
		assert.deepEqual(parseArgv([verb, "--nonsense"]), usageError("Unknown option: --nonsense"), verb);
	}
});
