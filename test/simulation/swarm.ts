// Which faults a schedule has, and how much of each. Many schedules without a fault show what the fault hides.
import type { Random } from "./random.ts";

/** What a schedule has of each fault: a rate per second or a share; 0 is not at all. */
export interface Swarm {
	nodes: number;
	isSealed: boolean;
	/** Milliseconds. */
	duration: number;
	/** Keys that a node's traffic uses. */
	keys: number;
	/** Changes of one kernel a second, and the share of ends among them. */
	changes: number;
	ends: number;
	expectations: number;
	replays: number;
	forgeries: number;
	cuts: number;
	partitions: number;
	crashes: number;
	reboots: number;
	overruns: number;
	stalls: number;
	splitBrains: number;
	commits: number;
	kernelFlushes: number;
	internalFlushes: number;
	externalFlushes: number;
	resyncs: number;
	bulks: number;
	requests: number;
	/** The attackers go on while everything else heals. */
	staysHostile: boolean;
}

export function drawSwarm(random: Random, nodes: number): Swarm {
	const isOn = (share: number): boolean => random.chance(share);
	return {
		nodes,
		isSealed: isOn(0.08),
		duration: random.scale(100, nodes > 4 ? 1200 : 2500),
		keys: Math.round(random.scale(2, nodes > 4 ? 40 : 100)),
		changes: random.scale(5, nodes > 4 ? 80 : 400),
		ends: random.between(0.1, 0.6),
		expectations: isOn(0.5) ? random.between(0.1, 0.6) : 0,
		replays: isOn(0.3) ? random.scale(5, 100) : 0,
		forgeries: isOn(0.25) ? random.scale(5, 100) : 0,
		cuts: isOn(0.3) ? random.scale(0.3, 3) : 0,
		partitions: isOn(0.2) ? random.scale(0.3, 2) : 0,
		crashes: isOn(0.35) ? random.scale(0.3, 3) : 0,
		reboots: isOn(0.15) ? random.scale(0.3, 2) : 0,
		overruns: isOn(0.25) ? random.scale(0.3, 4) : 0,
		stalls: isOn(0.25) ? random.scale(0.3, 4) : 0,
		splitBrains: isOn(0.15) ? random.scale(0.3, 2) : 0,
		commits: isOn(0.25) ? random.scale(0.3, 2) : 0,
		kernelFlushes: isOn(0.12) ? random.scale(0.3, 1) : 0,
		internalFlushes: isOn(0.12) ? random.scale(0.3, 2) : 0,
		externalFlushes: isOn(0.12) ? random.scale(0.3, 2) : 0,
		resyncs: isOn(0.15) ? random.scale(0.3, 3) : 0,
		bulks: isOn(0.2) ? random.scale(0.3, 4) : 0,
		requests: isOn(0.2) ? random.scale(0.3, 4) : 0,
		staysHostile: isOn(0.5),
	};
}
