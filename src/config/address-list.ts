// Lists of node addresses: the destinations of a link, the peers.
import { parseAddress } from "../conntrack/address.ts";
import type { Report } from "./problem.ts";
import { show } from "./problem.ts";
import type { Entry } from "./section.ts";

/** The addresses in the order of the file. One that is named twice is reported: another one was meant. */
export function distinctAddresses(entries: readonly Entry[], report: Report): string[] {
	const lines = new Map<string, number>();
	for (const { value, word, directive } of entries) {
		if (value === undefined) continue;
		const line = lines.get(value as string);
		if (line === undefined) lines.set(value as string, directive.line);
		else report.error(word, `${show(word.text)} is named in line ${line} already`);
	}
	return [...lines.keys()];
}

/** 224.0.0.0/4 (RFC 5771) and ff00::/8 (RFC 4291). */
export function isGroup(address: string): boolean {
	const bytes = parseAddress(address)!;
	return bytes.length === 4 ? bytes[0]! >> 4 === 0xe : bytes[0] === 0xff;
}
