// Kernel settings, as files below /proc/sys.
import { readFileSync } from "node:fs";

/** @param name as in "net.netfilter.nf_conntrack_max" @returns undefined if this kernel does not have it */
export type Sysctl = (name: string) => number | undefined;

export const readSysctl: Sysctl = (name) => {
	try {
		const value = Number.parseInt(readFileSync(`/proc/sys/${name.replaceAll(".", "/")}`, "ascii"), 10);
		return Number.isNaN(value) ? undefined : value;
	} catch {
		return undefined;
	}
};
