// An expectation's master: the conntrack whose original tuple the expectation names.
import {
	EXP_MASTER_DST,
	EXP_MASTER_PORTS,
	EXP_MASTER_PROTOCOLS,
	EXP_MASTER_SRC,
	type ExpectationRecord,
} from "./expectation-record.ts";
import { type ConntrackRecord, HAS, ORIG_DST, ORIG_PORTS, ORIG_SRC, PROTOCOLS, ZONES } from "./record.ts";

/** Fills `master` with the key of the expectation's master and nothing else. @param zones as in ZONES */
export function writeMasterKey(master: ConntrackRecord, expectation: ExpectationRecord, zones: number): void {
	master.fill(0);
	master[HAS] = 0;
	master[PROTOCOLS] = expectation[EXP_MASTER_PROTOCOLS]!;
	master[ZONES] = zones;
	master[ORIG_PORTS] = expectation[EXP_MASTER_PORTS]!;
	for (let i = 0; i < 4; i++) {
		master[ORIG_SRC + i] = expectation[EXP_MASTER_SRC + i]!;
		master[ORIG_DST + i] = expectation[EXP_MASTER_DST + i]!;
	}
}

/** Whether the expectation names this conntrack's original tuple; zones do not count. */
export function isMasterOf(master: ConntrackRecord, expectation: ExpectationRecord): boolean {
	if (
		master[PROTOCOLS] !== expectation[EXP_MASTER_PROTOCOLS] ||
		master[ORIG_PORTS] !== expectation[EXP_MASTER_PORTS]
	) {
		return false;
	}
	for (let i = 0; i < 4; i++) {
		if (master[ORIG_SRC + i] !== expectation[EXP_MASTER_SRC + i]) return false;
		if (master[ORIG_DST + i] !== expectation[EXP_MASTER_DST + i]) return false;
	}
	return true;
}
