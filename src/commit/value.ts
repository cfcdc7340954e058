// What an entry is worth when not all of them find room: who is interrupted, and how badly.
import { IPPROTO_TCP } from "../conntrack/protocol.ts";
import { TCP_ESTABLISHED, tcpState } from "../conntrack/protoinfo.ts";
import { type ConntrackRecord, H_HELPER, H_TCP, HAS, PROTOCOLS, STATUS } from "../conntrack/record.ts";
import { IPS_ASSURED } from "../conntrack/status.ts";

/** 0 is committed first. The last are those that the kernel itself drops first when its table is full. */
export type Value = 0 | 1 | 2 | 3;
export const VALUES: readonly Value[] = [0, 1, 2, 3];
/** The kernel makes room for others by dropping entries that are not ASSURED. */
export const NOT_ASSURED: Value = 3;
export const VALUE_NAMES = [
	"established TCP and helpers' masters",
	"other assured TCP",
	"assured",
	"not assured",
] as const;

export function entryValue(record: ConntrackRecord): Value {
	if ((record[HAS]! & H_HELPER) !== 0) return 0;
	if ((record[STATUS]! & IPS_ASSURED) === 0) return NOT_ASSURED;
	if (((record[PROTOCOLS]! >>> 8) & 0xff) !== IPPROTO_TCP) return 2;
	// without a state it is offloaded, and so established
	return (record[HAS]! & H_TCP) === 0 || tcpState(record) === TCP_ESTABLISHED ? 0 : 1;
}
