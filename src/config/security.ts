// The Security section: how the datagrams of the dedicated link are sealed.
import { omitUndefined } from "./omit-undefined.ts";
import { isBefore, type Report } from "./problem.ts";
import { Section } from "./section.ts";
import type { Directive } from "./syntax.ts";
import type { SecurityConfig, Suite } from "./types.ts";

/**
 * Builds the configuration of the one Security section. Other sections are joined when they are given twice; here a
 * second one is an error, because a key file that silently gives way to another one is a link that stays down.
 *
 * @param blocks the Security sections of Sync and of General
 * @returns undefined without a section, or when it has no KeyFile, which is reported
 */
export function buildSecurity(blocks: readonly Directive[], report: Report): SecurityConfig | undefined {
	const [first, ...others] = blocks.toSorted((a, b) => (isBefore(a, b) ? -1 : 1));
	if (!first) return undefined;
	for (const other of others) {
		report.error(other, `${other.name} stands in line ${first.line} already: it is allowed once in a file`);
	}
	const section = new Section("Security", report).add(first.block!);
	for (const other of others) new Section("Security", report).add(other.block!);
	const keyFile = section.entry("KeyFile");
	if (!keyFile) report.error(first, `${first.name} needs KeyFile`);
	if (keyFile?.value === undefined) return undefined;
	return {
		keyFile: section.text("KeyFile"),
		cluster: section.text("Cluster"),
		suite: section.text("Suite") as Suite,
		...omitUndefined({ node: section.optionalNumber("Node") }),
	};
}
