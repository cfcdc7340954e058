// The General and Stats sections.
import { SYSLOG_FACILITIES } from "./argument.ts";
import { buildFilter } from "./filter.ts";
import { nearest } from "./nearest.ts";
import { omitUndefined } from "./omit-undefined.ts";
import type { Report } from "./problem.ts";
import { show } from "./problem.ts";
import { Section } from "./section.ts";
import type { Directive } from "./syntax.ts";
import type { GeneralConfig, StatsConfig } from "./types.ts";

/**
 * Builds the configuration of the General sections.
 * @param oldFilters IgnoreProtocol, IgnoreTrafficFor and Replicate, wherever they stand in an old file
 */
export function buildGeneral(
	section: Section,
	oldFilters: readonly Directive[],
	report: Report,
): GeneralConfig {
	const unix = new Section("UNIX", report);
	for (const block of section.blocks("UNIX")) unix.add(block.block!);
	return {
		hashSize: section.number("HashSize"),
		hashLimit: section.number("HashLimit"),
		logFile: section.textOrOff("LogFile"),
		syslog: readSyslog(section, report),
		lockFile: section.text("LockFile"),
		unixPath: unix.text("Path"),
		netlinkOverrunResync: section.numberOrOff("NetlinkOverrunResync"),
		netlinkEventsReliable: section.flag("NetlinkEventsReliable"),
		eventIterationLimit: section.number("EventIterationLimit"),
		systemd: section.flag("Systemd"),
		...omitUndefined({
			netlinkBufferSize: section.optionalNumber("NetlinkBufferSize"),
			netlinkBufferSizeMaxGrowth: section.optionalNumber("NetlinkBufferSizeMaxGrowth"),
			pollSecs: section.optionalNumber("PollSecs"),
			nice: section.optionalNumber("Nice"),
			scheduler: buildScheduler(section.blocks("Scheduler"), report),
			filter: buildFilter(section.blocks("Filter"), oldFilters, report),
		}),
	};
}

function buildScheduler(blocks: readonly Directive[], report: Report): GeneralConfig["scheduler"] {
	if (blocks.length === 0) return undefined;
	const section = new Section("Scheduler", report);
	for (const block of blocks) section.add(block.block!);
	return { type: section.text("Type") as "RR" | "FIFO", priority: section.number("Priority") };
}

/** Builds the configuration of the Stats sections. A facility that differs from that of General gives way to it. */
export function buildStats(section: Section, general: GeneralConfig, report: Report): StatsConfig {
	let syslog = readSyslog(section, report);
	if (syslog !== false && general.syslog !== false && syslog !== general.syslog) {
		const { word } = section.entry("Syslog")!;
		report.warn(word, `${show(syslog)} differs from the facility of General: "${general.syslog}" is taken`);
		syslog = general.syslog;
	}
	return {
		logFile: section.textOrOff("LogFile"),
		syslog,
		netlinkEventsReliable: section.flag("NetlinkEventsReliable"),
	};
}

/** conntrackd starts with a facility it does not know, and ignores it. */
function readSyslog(section: Section, report: Report): string | false {
	const facility = section.textOrOff("Syslog");
	if (facility === false || SYSLOG_FACILITIES.includes(facility)) return facility;
	const { word } = section.entry("Syslog")!;
	const suggestion = nearest(facility, SYSLOG_FACILITIES);
	report.warn(word, `unknown syslog facility ${show(facility)}: nothing goes to syslog`, suggestion);
	return false;
}
