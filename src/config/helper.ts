// The Helper section: userspace helpers. They are judged as conntrackd does, and not run.
import { nearest } from "./nearest.ts";
import type { Report } from "./problem.ts";
import { listWords, show } from "./problem.ts";
import { Section } from "./section.ts";
import type { Directive, Word } from "./syntax.ts";

/** The helpers that conntrackd 1.4.7 comes with, and what each looks at. Each has one policy, named as itself. */
const HELPERS: ReadonlyMap<string, readonly string[]> = new Map([
	["amanda", ["udp"]],
	["dhcpv6", ["udp"]],
	["ftp", ["tcp"]],
	["mdns", ["udp"]],
	["rpc", ["tcp", "udp"]],
	["sane", ["tcp"]],
	["slp", ["udp"]],
	["ssdp", ["tcp", "udp"]],
	["tftp", ["udp"]],
	["tns", ["tcp"]],
]);

/**
 * Checks the Helper sections. What conntrackd would not start with is an error; the rest is one warning, because this
 * daemon runs no helpers: the kernel's own need none of it.
 */
export function checkHelpers(blocks: readonly Directive[], report: Report): void {
	const section = new Section("Helper", report);
	for (const { block } of blocks) section.add(block!);
	const types = section.blocks("Type");
	for (const type of types) checkType(type, report);
	if (blocks[0]) report.warn(blocks[0], verdict(types));
}

function verdict(types: readonly Directive[]): string {
	const names = [...new Set(types.flatMap(({ args }) => (args[0] ? [args[0].text] : [])))];
	const what = names.length === 0 ? "" : ` (${names.join(", ")})`;
	return `userspace helpers are not available in this version${what}: the section has no effect; let conntrackd run them beside this daemon, with a configuration that has only Helper and General, and sockets and lock file of its own`;
}

function checkType({ args, block }: Directive, report: Report): void {
	const section = new Section("Type", report).add(block!);
	const [name, , transport] = args;
	if (name && transport) checkName(name, transport, report);
	for (const policy of section.blocks("Policy")) {
		new Section("Policy", report).add(policy.block!);
		if (policy.block!.length === 0) report.error(policy, "Policy needs ExpectMax or ExpectTimeout");
		const word = policy.args[0];
		if (word && name && word.text !== name.text) {
			report.badValue(word, `${show(word.text)} is no policy of the helper ${show(name.text)}`, name.text);
		}
	}
}

function checkName(name: Word, transport: Word, report: Report): void {
	const transports = HELPERS.get(name.text);
	if (!transports) {
		report.badValue(
			name,
			`there is no userspace helper ${show(name.text)}`,
			nearest(name.text, HELPERS.keys()),
		);
	} else if (!transports.includes(transport.text) && ["tcp", "udp"].includes(transport.text)) {
		report.badValue(transport, `the helper ${name.text} is one of ${listWords(transports)}`);
	}
}
