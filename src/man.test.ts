// The manual pages: every directive of the table and every option of the command line is described, with its default, and
// nothing else is.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { CLIENT_OPTIONS, GENERAL_OPTIONS, XML_OPTION } from "./cli/client-options.ts";
import { OWN_FORMS } from "./cli/usage.ts";
import { parseConfig } from "./config/config.ts";
import type { DirectiveSpec, Place } from "./config/directives.ts";
import { DIRECTIVES } from "./config/directives.ts";

const MAN = fileURLToPath(new URL("../man/", import.meta.url));
const read = (page: string): string => readFileSync(MAN + page, "utf8");

/** The part of a page below a heading of this kind and name. */
function section(page: string, heading: "Sh" | "Ss", title: string): string {
	const start = page.indexOf(`\n.${heading} ${title}\n`);
	assert.ok(start >= 0, `no .${heading} ${title}`);
	const rest = page.slice(start + 1);
	const end = rest.slice(1).search(heading === "Sh" ? /^\.Sh /m : /^\.S[hs] /m);
	return end < 0 ? rest : rest.slice(0, end + 1);
}

/** The text behind each `.It MACRO WORD` of a part; a word that stands twice has both. */
function items(part: string, macro: string): Map<string, string> {
	const found = new Map<string, string>();
	for (const text of part.split(`\n.It ${macro} `).slice(1)) {
		const word = /^\S+/.exec(text)![0];
		found.set(word, (found.get(word) ?? "") + text);
	}
	return found;
}

const conf = read("ctsync.conf.5");
/** The words for one helper stand in one list. */
const HELPERS = "Helper in ExpectationPolicy";
const titleOf = (place: Place): string =>
	(place.startsWith("Helper ") ? HELPERS : place).replace(/^the top/, "The top");
const isCurrent = (spec: DirectiveSpec): boolean => spec.obsolete === undefined && spec.aliasOf === undefined;

const byTitle = new Map<string, DirectiveSpec[]>();
for (const spec of DIRECTIVES.filter(isCurrent)) {
	for (const title of new Set(spec.in.map(titleOf)))
		byTitle.set(title, [...(byTitle.get(title) ?? []), spec]);
}

test("every section of the configuration has its list in ctsync.conf(5), with its words and no others", () => {
	const titles = [...section(conf, "Sh", "SECTIONS").matchAll(/^\.Ss (.*)$/gm)].map(([, title]) => title!);
	assert.deepEqual(titles.toSorted(), [...byTitle.keys()].toSorted());
	for (const [title, specs] of byTitle) {
		const described = [...items(section(conf, "Ss", title), "Ic").keys()];
		assert.deepEqual(described.toSorted(), specs.map(({ word }) => word).toSorted(), title);
	}
});

test("every default and every choice stands in ctsync.conf(5), and what can be reloaded is marked", () => {
	for (const [title, specs] of byTitle) {
		const described = items(section(conf, "Ss", title), "Ic");
		for (const { word, args, default: value, reload, block } of specs) {
			const text = described.get(word)!;
			const written = typeof value === "boolean" ? (value ? "on" : "off") : value;
			const [, told] = /^Default: (.*)\.$/m.exec(text) ?? [];
			// that no expectation is replicated is said otherwise
			assert.equal(told, written === undefined ? undefined : String(written), `${word} in ${title}`);
			assert.equal(/^Reloaded\.$/m.test(text), reload, `${word} in ${title}`);
			assert.equal(
				text.split("\n")[0]!.includes("..."),
				block !== undefined,
				`the braces of ${word} in ${title}`,
			);
			for (const choice of args.flatMap((arg) => arg.words ?? [])) {
				assert.ok(text.includes(choice), `${choice} of ${word} in ${title}`);
			}
		}
	}
});

test("every old word stands among the old words of ctsync.conf(5)", () => {
	const old = new Set(DIRECTIVES.filter((spec) => !isCurrent(spec)).map((spec) => spec.word));
	const described = [...items(section(conf, "Sh", "OLD WORDS"), "Ic").keys()];
	assert.deepEqual(described.toSorted(), [...old].toSorted());
});

test("the example of ctsync.conf(5) is a configuration without a warning", () => {
	const [, whole, links] = /\.Bd[^\n]*\n(.*?)\.Ed\n.*?\.Bd[^\n]*\n(.*?)\.Ed/s.exec(
		section(conf, "Sh", "EXAMPLES"),
	)!;
	assert.deepEqual(parseConfig(whole!, "f").warnings, []);
	assert.deepEqual(parseConfig(`Sync { Mode FTFW { } ${links} }`, "f").warnings, []);
});

const command = read("ctsync.8");

test("every option and every word of the command line stands in ctsync(8), and no others", () => {
	const flags = [...GENERAL_OPTIONS, ...CLIENT_OPTIONS, XML_OPTION].map(({ flag }) => flag.slice(1));
	const described = items(section(command, "Sh", "DESCRIPTION"), "Fl");
	assert.deepEqual([...described.keys()].toSorted(), flags.toSorted());
	for (const { flag, parameters = [] } of CLIENT_OPTIONS) {
		const text = described.get(flag.slice(1))!;
		for (const { word, isHidden } of parameters) {
			assert.equal(new RegExp(`\\b${word}\\b`).test(text), isHidden === undefined, `${word} of ${flag}`);
		}
	}
	const forms = [...items(section(command, "Sh", "WORDS OF OUR OWN"), "Ic").values()].join("\n");
	const plain = forms.replace(/\bFl (-?\w)/g, "-$1");
	for (const { words } of OWN_FORMS) {
		for (const word of words.match(/-{0,2}[a-z]+(-[a-z]+)*/g)!) {
			assert.ok(new RegExp(`(^|[ \n])${word}\\b`, "m").test(plain), `${word} of "${words}"`);
		}
	}
});

for (const page of readdirSync(MAN)) {
	for (const [program, args] of [
		["groff", ["-ww", "-z", "-mdoc", MAN + page]],
		["mandoc", ["-T", "lint", "-W", "warning", MAN + page]],
	] as const) {
		const found = spawnSync(program, ["--version"]);
		const skip = found.error ? `${program} is not installed` : false;
		test(`${program} has nothing to say against ${page}`, { skip }, () => {
			const { stdout, stderr, status } = spawnSync(program, args, { encoding: "utf8" });
			assert.deepEqual(
				[
					stdout.replace(/^mandoc: outdated .*\n/gm, ""),
					stderr.replace(/^mandoc: outdated .*\n/gm, ""),
					status,
				],
				["", "", 0],
			);
		});
	}
}
