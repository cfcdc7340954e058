// How full the kernel's table is. The limit is one for the whole machine, the count is the network namespace's.
import type { Sysctl } from "../system/sysctl.ts";

/** How many entries still fit into the table; undefined if there is no limit, or it cannot be read. */
export function tableRoom(sysctl: Sysctl): number | undefined {
	const max = sysctl("net.netfilter.nf_conntrack_max");
	const count = sysctl("net.netfilter.nf_conntrack_count");
	if (max === undefined || count === undefined || max === 0) return undefined;
	return Math.max(0, max - count);
}

/** What an operator should know before so many entries are put into the table; undefined if there is room for them. */
export function roomWarning(sysctl: Sysctl, entries: number): string | undefined {
	const room = tableRoom(sysctl);
	if (room === undefined || entries <= room) return undefined;
	return (
		`the kernel's table has room for ${room} entries, and ${entries} or more are to come: ` +
		"those worth least will be left (net.netfilter.nf_conntrack_max)"
	);
}
