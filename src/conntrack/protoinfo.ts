// Protocol-private state of TCP and SCTP conntracks (linux/netfilter/nf_conntrack_tcp.h, _sctp.h).
import type { ConntrackRecord } from "./record.ts";
import { PROTOINFO } from "./record.ts";

export const TCP_CONNTRACK_MAX = 10;

/** Names as conntrack(8) prints them; index is the state. */
export const TCP_STATES: readonly string[] = [
	"NONE",
	"SYN_SENT",
	"SYN_RECV",
	"ESTABLISHED",
	"FIN_WAIT",
	"CLOSE_WAIT",
	"LAST_ACK",
	"TIME_WAIT",
	"CLOSE",
	"SYN_SENT2",
];

export const TCP_SYN_SENT = 1;
export const TCP_SYN_RECV = 2;
export const TCP_ESTABLISHED = 3;
export const TCP_TIME_WAIT = 7;
export const TCP_CLOSE = 8;

export const SCTP_STATES: readonly string[] = [
	"NONE",
	"CLOSED",
	"COOKIE_WAIT",
	"COOKIE_ECHOED",
	"ESTABLISHED",
	"SHUTDOWN_SENT",
	"SHUTDOWN_RECD",
	"SHUTDOWN_ACK_SENT",
	"HEARTBEAT_SENT",
	"HEARTBEAT_ACKED",
];

export const IP_CT_TCP_FLAG_WINDOW_SCALE = 0x01;
export const IP_CT_TCP_FLAG_SACK_PERM = 0x02;
export const IP_CT_TCP_FLAG_CLOSE_INIT = 0x04;
/** Window tracking is off for this direction. */
export const IP_CT_TCP_FLAG_BE_LIBERAL = 0x08;

export const tcpState = (record: ConntrackRecord): number => record[PROTOINFO]! & 0xff;
export const tcpScaleOrig = (record: ConntrackRecord): number => (record[PROTOINFO]! >>> 8) & 0xf;
export const tcpScaleReply = (record: ConntrackRecord): number => (record[PROTOINFO]! >>> 12) & 0xf;
export const tcpFlagsOrig = (record: ConntrackRecord): number => (record[PROTOINFO]! >>> 16) & 0xff;
export const tcpFlagsReply = (record: ConntrackRecord): number => record[PROTOINFO]! >>> 24;
export const sctpState = tcpState;

/** The PROTOINFO word of a TCP conntrack; window scales are 0..14 (RFC 7323). */
export function packTcp(
	state: number,
	scaleOrig: number,
	scaleReply: number,
	flagsOrig: number,
	flagsReply: number,
): number {
	return (
		(state & 0xff) |
		((scaleOrig & 0xf) << 8) |
		((scaleReply & 0xf) << 12) |
		((flagsOrig & 0xff) << 16) |
		((flagsReply & 0xff) << 24)
	);
}
