// Which helper a committed entry gets, where its own one is not to be had or would harm.
import { NAME_UNKNOWN, type NameTable } from "../conntrack/names.ts";
import { type ConntrackRecord, H_HELPER, H_REPLY, HAS, HELPER } from "../conntrack/record.ts";
import { isPlainReply } from "../conntrack/tuple.ts";

/**
 * Adapts the record's helper; true if it has to do without.
 *
 * H.245 is registered for UDP, so netlink cannot give it to the TCP connection that needs it. Q.931 can hold the media
 * that were agreed on: it makes nothing of the messages of H.245, and drops none.
 *
 * The NAT half of pptp wants an extension that only a packet of a new connection brings (nf_nat_pptp.c): with the helper,
 * a committed connection that is translated would lose every control message, with a warning of the kernel.
 */
export function chooseHelper(record: ConntrackRecord, names: NameTable): boolean {
	const has = record[HAS]!;
	if ((has & H_HELPER) === 0) return false;
	const name = names.name(record[HELPER]!);
	if (name === "H.245") {
		const standIn = names.intern("Q.931");
		if (standIn !== 0 && standIn !== NAME_UNKNOWN) record[HELPER] = standIn;
		return false;
	}
	if (name !== "pptp" || (has & H_REPLY) === 0 || isPlainReply(record)) return false;
	record[HAS] = has & ~H_HELPER;
	record[HELPER] = 0;
	return true;
}
