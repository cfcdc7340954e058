// For tests: broken files, and where and how each is found to be broken.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError, parseConfig } from "./config.ts";

export interface Case {
	title: string;
	text: string;
	/** One `line:column` and part of the message for each problem. */
	problems: readonly (readonly [string, string])[];
}

export const LINK = "Multicast { IPv4_address 225.0.0.50 Group 3780 Interface eth3 }";
export const inSync = (text: string): string => `Sync { Mode FTFW { }\n${text}\n}`;
export const inGeneral = (text: string): string => `General {\n${text}\n}`;
/** The node 10.0.0.1 and the others up to 10.0.0.`last`, a line each; behind the first line. */
export const udp = (last: number): string => {
	const others = Array.from({ length: last - 1 }, (_, i) => `IPv4_Destination_Address 10.0.0.${i + 2}`);
	return ["UDP { IPv4_address 10.0.0.1 Port 1", ...others].join("\n").concat("\n}");
};
export const one = (title: string, text: string, place: string, message: string): Case => ({
	title,
	text,
	problems: [[place, message]],
});

/** A test for each. */
export function testBroken(cases: readonly Case[]): void {
	for (const { title, text, problems } of cases) {
		test(`${title} is found at ${problems.map(([place]) => place).join(", ")}`, () => {
			assert.throws(
				() => parseConfig(text, "ct.conf"),
				(error) => {
					assert.ok(error instanceof ConfigError, String(error));
					const lines = error.message.split("\n");
					assert.equal(lines.length, problems.length, error.message);
					problems.forEach(([place, message], i) => {
						assert.ok(lines[i]!.startsWith(`ct.conf:${place}: `), lines[i]);
						assert.ok(lines[i]!.includes(message), lines[i]);
					});
					return true;
				},
			);
		});
	}
}
