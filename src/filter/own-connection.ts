// Connections of the firewall itself, as opposed to those that it forwards: a flush must not cut them.
import {
	type ConntrackRecord,
	H_REPLY,
	HAS,
	ORIG_DST,
	ORIG_SRC,
	PROTOCOLS,
	REPLY_SRC,
} from "../conntrack/record.ts";

/** Whatever knows which addresses are this node's. */
export interface LocalAddresses {
	/** @param family 2 or 10, of the address in words[at..] */
	has(words: Int32Array, at: number, family: number): boolean;
}

/**
 * Whether one end is a process of this node: it opened the connection (the original source), or it answers it (the
 * reply source, which is the real destination even when a rule redirected it). A connection that is merely translated
 * to an own address has neither: masquerading shows in the reply destination, a published address in the original one.
 */
export function isOwnConnection(record: ConntrackRecord, addresses: LocalAddresses): boolean {
	const family = record[PROTOCOLS]! & 0xff;
	const target = (record[HAS]! & H_REPLY) !== 0 ? REPLY_SRC : ORIG_DST;
	return addresses.has(record, ORIG_SRC, family) || addresses.has(record, target, family);
}
