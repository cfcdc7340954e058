// The completion files are what the tables say, and the shells understand them. UPDATE_COMPLETION=1 writes them anew.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseArgv } from "./argv.ts";
import { CLIENT_OPTIONS, GENERAL_OPTIONS, XML_OPTION } from "./client-options.ts";
import { bashCompletion, zshCompletion } from "./completion.ts";
import { OWN_FORMS } from "./usage.ts";

const FOLDER = fileURLToPath(new URL("../../completion/", import.meta.url));
const BASH = `${FOLDER}ctsync.bash`;
const ZSH = `${FOLDER}_ctsync`;

for (const [file, text] of [
	[BASH, bashCompletion()],
	[ZSH, zshCompletion()],
] as const) {
	test(`${file.slice(FOLDER.length)} is what the tables of the command line say`, () => {
		if (process.env.UPDATE_COMPLETION) writeFileSync(file, text);
		assert.equal(readFileSync(file, "utf8"), text);
	});
}

/** What a shell offers for the last of these words. */
type Offer = (...words: string[]) => string[];

const linesOf = (command: string, args: string[]): string[] => {
	const { stdout, stderr, status } = spawnSync(command, args, { encoding: "utf8", cwd: FOLDER });
	assert.deepEqual([stderr, status], ["", 0]);
	return stdout.split("\n").filter((line) => line !== "");
};

const bash: Offer = (...words) =>
	linesOf("bash", [
		"--norc",
		"-c",
		`source "$0"; COMP_WORDS=(ctsync "$@"); COMP_CWORD=$#; _ctsync; printf "%s\\n" "\${COMPREPLY[@]}"`,
		BASH,
		...words,
	]);

/** zsh itself filters by what is typed; here all is shown that it is given. */
const zsh: Offer = (...words) =>
	linesOf("zsh", [
		"-f",
		"-c",
		`compadd() { shift; print -l -- "$@" }; _files() { print -l -- *(N) }
		_describe() { print -l -- \${(P)4%%:*} }
		file=$1; shift; words=(ctsync "$@"); CURRENT=$#words; offer() { source $file }; offer`,
		"zsh",
		ZSH,
		...words,
	]);

const isInstalled = (shell: string): boolean => spawnSync(shell, ["-c", ":"]).error === undefined;
const flags = [...GENERAL_OPTIONS, ...CLIENT_OPTIONS, XML_OPTION].map(({ flag }) => flag);
const longForms = GENERAL_OPTIONS.flatMap(({ word }) => word ?? []);

for (const [name, offer] of [
	["bash", bash],
	["zsh", zsh],
] as const) {
	const skip = isInstalled(name) ? false : `${name} is not installed`;

	test(`${name} offers every option and verb, and behind an option its parameters`, { skip }, () => {
		const verbs = OWN_FORMS.map(({ words }) => words.split(" ")[0]!);
		for (const word of [...flags, ...longForms, ...verbs]) assert.ok(offer("").includes(word), word);
		for (const { flag, parameters = [] } of CLIENT_OPTIONS) {
			const offered = offer(flag, "");
			for (const { word, isHidden } of parameters)
				assert.equal(offered.includes(word), !isHidden, `${flag} ${word}`);
			for (const word of offered.filter((word) => /^[a-z]/.test(word) && !verbs.includes(word))) {
				assert.equal(parseArgv([flag, word]).kind, "client", `${flag} ${word}`);
			}
		}
	});

	test(`${name} offers behind a verb its words, and files where one is named`, { skip }, () => {
		const words = (line: string): string[] => offer(...line.split(" "));
		assert.deepEqual(words("commit ").toSorted(), [
			"--dry-run",
			"--json",
			"--show",
			"--verbose",
			"-C",
			"all",
			"ct",
			"expect",
		]);
		assert.deepEqual(words("-C x verify "), ["--peer", "--json", "-C"]);
		assert.deepEqual(words("--check ").toSorted(), ["--json", "-C", "-v"]);
		assert.ok(words("keys ").includes("remove") && words("keys ").includes("ctsync.bash"));
		assert.ok(!words("keygen ").includes("ctsync.bash"));
		for (const line of ["-C ", "keygen --out ", "policy test "]) {
			assert.ok(words(line).includes("ctsync.bash"), line);
		}
		assert.ok(!words("-C ").includes("-s"));
		// what follows -C is no verb
		assert.ok(words("-C commit ").includes("-s"));
	});
}

test("bash offers what begins as typed", { skip: !isInstalled("bash") }, () => {
	assert.deepEqual(bash("-s", "r"), ["runtime", "rsqueue"]);
	assert.deepEqual(bash("com"), ["commit"]);
});
