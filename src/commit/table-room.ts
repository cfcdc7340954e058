// How full the kernel's table is. The limit is one for the whole machine, the count is the network namespace's.
import type { Sysctl } from "../system/sysctl.ts";

/** How many entries still fit into the table; undefined if there is no limit, or it cannot be read. */
export function tableRoom(sysctl: Sysctl): number | undefined {
	const max = sysctl("net.netfilter.nf_conntrack_max");
	const count = sysctl("net.netfilter.nf_conntrack_count");
	if (max === undefined || count === undefined || max === 0) return undefined;
	return Math.max(0, max - count);
}
