// CTA_COUNTERS_* and CTA_TIMESTAMP of the event that ends a conntrack: what is told of a flow once, and held of none.
// The kernel tells the former with net.netfilter.nf_conntrack_acct = 1, the latter with nf_conntrack_timestamp = 1.
import type { DirectionCount, FlowAccount } from "../conntrack/format.ts";
import { align, type WireBuffer } from "./attribute.ts";
import * as C from "./constants.ts";

/** Nanoseconds of a second. */
const NANOSECONDS = 1_000_000_000n;

/** The account of the message that was decoded last. */
export class AccountDecoder implements FlowAccount {
	/** Packets and bytes of each direction; undefined: not told. */
	orig: DirectionCount | undefined;
	reply: DirectionCount | undefined;
	/** Seconds of the wall clock since 1970 at which the flow began, and ended; undefined: not told. */
	startedAt: number | undefined;
	stoppedAt: number | undefined;

	/** Reads the attributes in bytes [start, end); what cannot be read counts as not told. */
	decode(wire: WireBuffer, start: number, end: number): void {
		this.clear();
		eachAttribute(wire, start, end, (type, from, to) => {
			if (type === C.CTA_COUNTERS_ORIG) this.orig = counters(wire, from, to);
			else if (type === C.CTA_COUNTERS_REPLY) this.reply = counters(wire, from, to);
			else if (type === C.CTA_TIMESTAMP) {
				eachAttribute(wire, from, to, (inner, at, stop) => {
					if (stop - at < 8) return;
					const seconds = Number(u64(wire, at) / NANOSECONDS);
					if (inner === C.CTA_TIMESTAMP_START) this.startedAt = seconds;
					else if (inner === C.CTA_TIMESTAMP_STOP) this.stoppedAt = seconds;
				});
			}
		});
	}

	/** Nothing is told. */
	clear(): void {
		this.orig = undefined;
		this.reply = undefined;
		this.startedAt = undefined;
		this.stoppedAt = undefined;
	}
}

/** A direction of which only one of the two is told is not told. */
function counters(wire: WireBuffer, start: number, end: number): DirectionCount | undefined {
	let packets: bigint | undefined;
	let bytes: bigint | undefined;
	eachAttribute(wire, start, end, (type, at, stop) => {
		if (stop - at < 8) return;
		if (type === C.CTA_COUNTERS_PACKETS) packets = u64(wire, at);
		else if (type === C.CTA_COUNTERS_BYTES) bytes = u64(wire, at);
	});
	return packets === undefined || bytes === undefined ? undefined : { packets, bytes };
}

/** Big-endian, as inside attributes. */
const u64 = (wire: WireBuffer, at: number): bigint =>
	(BigInt(wire.u32(at)) << 32n) | BigInt(wire.u32(at + 4));

function eachAttribute(
	wire: WireBuffer,
	start: number,
	end: number,
	visit: (type: number, start: number, end: number) => void,
): void {
	for (let at = start; at + C.NLA_HEADER <= end; ) {
		const length = wire.halves[at >> 1]!;
		if (length < C.NLA_HEADER || at + length > end) return;
		visit(wire.halves[(at >> 1) + 1]! & C.NLA_TYPE_MASK, at + C.NLA_HEADER, at + length);
		at += align(length);
	}
}
