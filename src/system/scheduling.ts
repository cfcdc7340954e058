// How the kernel's scheduler treats the daemon: the section `Scheduler`.
import type { Native } from "./native.ts";

/** linux/sched.h */
const POLICY = { FIFO: 1, RR: 2 } as const;

/** Priority 1 to 99; with 0 nothing is asked for. */
export interface Scheduling {
	type: keyof typeof POLICY;
	priority: number;
}

/** Applies what is asked for. What is refused is told, and the daemon runs all the same. */
export function applyScheduling(
	native: Pick<Native, "setScheduler">,
	{ type, priority }: Scheduling,
	warning: (text: string) => void,
): void {
	if (priority === 0) return;
	try {
		native.setScheduler(POLICY[type], priority);
	} catch (error) {
		const cause = (error as Error).message;
		warning(`cannot have Scheduler ${type}, priority ${priority}: ${cause} (it takes CAP_SYS_NICE)`);
	}
}
