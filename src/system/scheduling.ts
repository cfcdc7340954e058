// How the kernel's scheduler treats the daemon: the section `Scheduler`.
import { readdirSync } from "node:fs";
import type { Native, SystemError } from "./native.ts";

/** linux/sched.h */
const POLICY = { FIFO: 1, RR: 2 } as const;

/** Priority 1 to 99; with 0 nothing is asked for. */
export interface Scheduling {
	type: keyof typeof POLICY;
	priority: number;
}

/**
 * Applies what is asked for, to all threads that there are: a commit's worker and a dump's reader must not wait behind what
 * the main thread is put before. What is refused is told, and the daemon runs all the same.
 */
export function applyScheduling(
	native: Pick<Native, "setScheduler">,
	{ type, priority }: Scheduling,
	warning: (text: string) => void,
	threads: () => number[] = ownThreads,
): void {
	if (priority === 0) return;
	for (const thread of threads()) {
		try {
			native.setScheduler(thread, POLICY[type], priority);
		} catch (error) {
			const { code, message } = error as SystemError;
			// it has ended meanwhile
			if (code === "ESRCH") continue;
			warning(`cannot have Scheduler ${type}, priority ${priority}: ${message} (it takes CAP_SYS_NICE)`);
			return;
		}
	}
}

const ownThreads = (): number[] => readdirSync("/proc/self/task").map(Number);
