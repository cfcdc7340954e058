// `ctsync policy test`: what each rule says of expectations that are given as text, under the configuration of the
// daemon. Each expectation is a line of `conntrack -L expect` or `-e expect`, and may have its master's line before or
// behind it; or all is one JSON document.
import type { Config } from "../config/config.ts";
import { parseAddress, storeAddress } from "../conntrack/address.ts";
import {
	type Conntrack,
	conntrackToRecord,
	type Expectation,
	expectationToRecord,
} from "../conntrack/conntrack.ts";
import { formatExpectation } from "../conntrack/format.ts";
import { isMasterOf } from "../conntrack/master.ts";
import { NameTable } from "../conntrack/names.ts";
import { parseConntrackLine, parseExpectationLine } from "../conntrack/parse-line.ts";
import { invertTuple } from "../conntrack/tuple.ts";
import { formatCode, RULES } from "../policy/codes.ts";
import { ExpectationPolicy } from "../policy/expectation-policy.ts";
import { findHelper } from "../policy/helpers.ts";

export interface PolicyTest {
	text: string;
	/** One object a line for each expectation; its members are an interface (docs/json.md). */
	json: string;
	/** Expectations that are rejected, and that were read at all. */
	rejected: number;
	judged: number;
}

/** An expectation and its master as they were given. */
interface Case {
	expectation: Expectation;
	master: Conntrack | undefined;
}

/**
 * @param input the text
 * @param ownAddresses those of this host
 * @throws Error naming the line that cannot be read
 */
export function testPolicy(input: string, config: Config, ownAddresses: readonly string[]): PolicyTest {
	const names = new NameTable();
	const sync = config.sync;
	const helpers = sync?.expectationSync ?? false;
	const own = ownAddresses.flatMap((text) => {
		const bytes = parseAddress(text);
		if (!bytes) return [];
		const words = new Int32Array(4);
		storeAddress(words, 0, bytes);
		return [words];
	});
	const policy = new ExpectationPolicy({
		names,
		settings: sync?.expectationPolicy ?? { onViolation: "quarantine", minDstPort: 1024, helpers: {} },
		replicated: helpers === false ? [] : helpers,
		isOwnAddress: (record, at) => own.some((words) => words.every((word, i) => word === record[at + i])),
	});
	const cases = /^\s*[[{]/.test(input) ? readJson(input) : readLines(input);
	let text = "";
	let json = "";
	let rejected = 0;
	for (const one of cases) {
		const { report, told, isRejected } = judge(one, policy, names);
		text += report;
		json += `${JSON.stringify(told)}\n`;
		if (isRejected) rejected++;
	}
	return { text, json, rejected, judged: cases.length };
}

function judge({ expectation, master: given }: Case, policy: ExpectationPolicy, names: NameTable) {
	const lines = [formatExpectation(expectationToRecord(expectation, names), names)];
	const { master, helper } = expectation;
	let known = given;
	if (!known) {
		lines.push("  its master is not given: taken as not translated, with the helper of the expectation");
		const { family: _, protocol: __, ...orig } = master;
		const zones = { zoneOrig: expectation.zone, zoneReply: expectation.zone };
		known = { family: master.family, protocol: master.protocol, ...zones, orig, ...(helper && { helper }) };
	}
	const entry = findHelper(known.helper ?? helper ?? "");
	const judged = { ...expectation };
	if (judged.timeout === undefined && entry) {
		judged.timeout = 1;
		lines.push("  its timeout is not given: taken as allowed");
	}
	const record = conntrackToRecord(known, names);
	if (!known.reply) invertTuple(record);
	const verdicts = policy.explain(expectationToRecord(judged, names), record);
	const broken: string[] = [];
	const rules: { rule: string; verdict: string; problem?: string }[] = [];
	for (const { code, verdict, problem } of verdicts) {
		const name = formatCode(code);
		if (verdict === "broken") broken.push(name);
		rules.push({ rule: name, verdict, ...(problem === undefined ? {} : { problem }) });
		lines.push(
			`  ${name} ${verdict.padEnd(6)}  ${RULES[code]}${problem === undefined ? "" : `: ${problem}`}`,
		);
	}
	lines.push(broken.length === 0 ? "  accepted" : `  rejected: ${broken.join(", ")}`);
	const isRejected = broken.length > 0;
	const told = { accepted: !isRejected, expectation, master: given ?? null, rules };
	return { report: `${lines.join("\n")}\n`, told, isRejected };
}

function readLines(input: string): Case[] {
	const cases: Case[] = [];
	const masters: Conntrack[] = [];
	const expectations: { line: string; number: number }[] = [];
	input.split("\n").forEach((raw, i) => {
		const line = raw.trim();
		if (line === "" || line.startsWith("#") || line.startsWith("conntrack v")) return;
		if (/^(\d+ +)?proto=/.test(line)) expectations.push({ line, number: i + 1 });
		else
			masters.push(
				at(i + 1, () => parseConntrackLine(line), "neither a connection nor an expectation: line"),
			);
	});
	for (const { line, number } of expectations) {
		// the line does not tell the master's protocol: its own line does, else what the helper is for
		const read = (protocol: number) => at(number, () => parseExpectationLine(line, () => protocol));
		const probe = at(number, () => parseExpectationLine(line, defaultProtocol));
		const master = masters.find(({ family, orig }) => {
			const { src, dst, sport, dport } = probe.master;
			return (
				family === probe.master.family &&
				orig.src === src &&
				orig.dst === dst &&
				orig.sport === sport &&
				orig.dport === dport
			);
		});
		cases.push({ expectation: master ? read(master.protocol) : probe, master });
	}
	return cases;
}

const defaultProtocol = (helper: string): number => findHelper(helper)?.masterProtocols.at(-1) ?? 6;

/**
 * One expectation, or one with its master, or a list of such and of connections, their masters; or an object on each line,
 * as `dump external --json` and `dump external expect --json` have them.
 */
function readJson(input: string): Case[] {
	const lines = input.split("\n").filter((line) => line.trim() !== "");
	const isOnePerLine = lines.length > 1 && lines.every((line) => /^\{.*\}\s*$/.test(line));
	const value: unknown = isOnePerLine
		? lines.map((line, i) => at(i + 1, () => JSON.parse(line) as unknown))
		: JSON.parse(input);
	const names = new NameTable();
	const all: readonly unknown[] = Array.isArray(value) ? value : [value];
	// a connection has the member `orig`
	const masters = all
		.flatMap((one, i) => (isConntrack(one) ? [{ one, number: i + 1 }] : []))
		.map(({ one, number }) => ({ one, record: at(number, () => conntrackToRecord(one, names), "master") }));
	return all.flatMap((one: unknown, i): Case[] => {
		if (isConntrack(one)) return [];
		const given = one as { expectation?: Expectation; master?: Conntrack };
		const found = given.expectation
			? { expectation: given.expectation, master: given.master }
			: { expectation: one as Expectation, master: undefined as Conntrack | undefined };
		// whatever is missing or wrong in it shows here
		at(
			i + 1,
			() => {
				const record = expectationToRecord(found.expectation, names);
				if (!found.master) {
					found.master = masters.find((candidate) => isMasterOf(candidate.record, record))?.one;
				} else if (!isMasterOf(conntrackToRecord(found.master, names), record)) {
					throw new Error("its master's orig is not that of the master beside it");
				}
			},
			"expectation",
		);
		return [found];
	});
}

const isConntrack = (one: unknown): one is Conntrack =>
	(one as Partial<Conntrack> | null)?.orig !== undefined;

function at<T>(number: number, action: () => T, what = "line"): T {
	try {
		return action();
	} catch (error) {
		throw new Error(`${what} ${number}: ${(error as Error).message}`);
	}
}
