// Whether the kernel has made of a creation what was meant. It computes translations itself, and where it cannot have
// what was asked for it may take something else without an error.
import {
	type ConntrackRecord,
	H_HELPER,
	H_REPLY,
	H_SEQ_ORIG,
	H_SEQ_REPLY,
	HAS,
	REPLY_DST,
	REPLY_PORTS,
	REPLY_SRC,
	STATUS,
} from "../conntrack/record.ts";
import {
	IPS_DST_NAT,
	IPS_DST_NAT_DONE,
	IPS_SEQ_ADJUST,
	IPS_SRC_NAT,
	IPS_SRC_NAT_DONE,
} from "../conntrack/status.ts";
import { isPlainReply } from "../conntrack/tuple.ts";

/** Entries without NAT, helper and sequence adjustment are what was asked for, or an error. */
export function needsReadBack(record: ConntrackRecord): boolean {
	const has = record[HAS]!;
	return (
		(has & (H_HELPER | H_SEQ_ORIG | H_SEQ_REPLY)) !== 0 || ((has & H_REPLY) !== 0 && !isPlainReply(record))
	);
}

/** Whether the kernel's entry translates as the record says. */
export function isAsMeant(record: ConntrackRecord, made: ConntrackRecord): boolean {
	const has = record[HAS]!;
	if ((has & H_REPLY) !== 0) {
		if (record[REPLY_PORTS] !== made[REPLY_PORTS]) return false;
		for (let i = 0; i < 4; i++) {
			if (record[REPLY_SRC + i] !== made[REPLY_SRC + i]) return false;
			if (record[REPLY_DST + i] !== made[REPLY_DST + i]) return false;
		}
		const status = made[STATUS]!;
		const isTranslated =
			(status & (IPS_SRC_NAT | IPS_SRC_NAT_DONE)) === (IPS_SRC_NAT | IPS_SRC_NAT_DONE) ||
			(status & (IPS_DST_NAT | IPS_DST_NAT_DONE)) === (IPS_DST_NAT | IPS_DST_NAT_DONE);
		// a translated reply tuple without these bits looks right and translates nothing
		if (!isPlainReply(record) && !isTranslated) return false;
	}
	const isAdjusted = (has & (H_SEQ_ORIG | H_SEQ_REPLY)) !== 0;
	return !isAdjusted || (made[STATUS]! & IPS_SEQ_ADJUST) !== 0;
}
