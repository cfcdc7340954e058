// A conntrackd.conf as a typed, frozen value. Does not read files, and does not look at the host it runs on.
import { buildGeneral, buildStats } from "./general.ts";
import { checkHelpers } from "./helper.ts";
import { lint } from "./lint.ts";
import type { ConfigProblem } from "./problem.ts";
import { isBefore, Report } from "./problem.ts";
import { Section } from "./section.ts";
import { buildSecurity } from "./security.ts";
import { buildSync } from "./sync.ts";
import type { Directive } from "./syntax.ts";
import { parseSyntax, wholeOnes } from "./syntax.ts";
import type { Config } from "./types.ts";

export type { ConfigProblem } from "./problem.ts";
export { ConfigError, formatProblem } from "./problem.ts";
export type * from "./types.ts";

/**
 * Parses the text of a configuration file. An empty text gives the defaults, without sync and stats.
 * @param fileName stands in messages and in the result; no file is opened
 * @throws ConfigError with every problem that was found
 */
export function parseConfig(text: string, fileName: string): { config: Config; warnings: ConfigProblem[] } {
	const report = new Report(fileName);
	const tree = parseSyntax(text, report);
	if (report.hasErrors) {
		// bad values are named in the same round; what is missing may be what was not understood
		report.setIncomplete();
		if (!report.isTorn) buildConfig(wholeOnes(tree), fileName, report);
		report.throwIfErrors();
	}
	const config = buildConfig(tree, fileName, report);
	report.throwIfErrors();
	return { config: deepFreeze(config), warnings: report.warnings };
}

function buildConfig(tree: readonly Directive[], file: string, report: Report): Config {
	const top = new Section("the top level", report).add(tree);
	const [syncs, stats, generals] = [top.blocks("Sync"), top.blocks("Stats"), top.blocks("General")];
	if (syncs[0] && stats[0]) {
		const [first, second] = isBefore(syncs[0], stats[0]) ? [syncs[0], stats[0]] : [stats[0], syncs[0]];
		report.error(second, `${second.name} cannot be used together with ${first.name} of line ${first.line}`);
	}
	checkHelpers(top.blocks("Helper"), report);

	const syncSection = joined(new Section("Sync", report), syncs);
	const generalSection = joined(new Section("General", report), generals);
	const oldFilters = [top, syncSection, generalSection].flatMap((section) =>
		section.blocks("IgnoreTrafficFor", "IgnoreProtocol", "Replicate"),
	);
	const general = buildGeneral(generalSection, oldFilters, report);
	const security = buildSecurity(
		[syncSection, generalSection].flatMap((section) => section.blocks("Security")),
		report,
	);
	const config: Config = { file, general };
	if (security) config.security = security;
	if (syncs[0]) config.sync = buildSync(syncs[0], syncSection, report);
	if (stats[0]) config.stats = buildStats(joined(new Section("Stats", report), stats), general, report);
	lint(config, tree, report);
	return config;
}

function joined(section: Section, blocks: readonly Directive[]): Section {
	for (const { block } of blocks) section.add(block!);
	return section;
}

function deepFreeze<T>(value: T): T {
	// typed arrays with elements cannot be frozen
	if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
	for (const inner of Object.values(value)) deepFreeze(inner);
	return Object.freeze(value);
}
