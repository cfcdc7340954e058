// Conntrack record -> requests to the kernel: create, update, delete, get, flush, dump.
import type { LabelMask } from "../conntrack/labels.ts";
import type { NameTable } from "../conntrack/names.ts";
import { AF_INET6, hasPorts, IPPROTO_GRE, isIcmp } from "../conntrack/protocol.ts";
import {
	IP_CT_TCP_FLAG_BE_LIBERAL,
	IP_CT_TCP_FLAG_CLOSE_INIT,
	IP_CT_TCP_FLAG_SACK_PERM,
	IP_CT_TCP_FLAG_WINDOW_SCALE,
	sctpState,
	TCP_CONNTRACK_MAX,
	tcpFlagsOrig,
	tcpFlagsReply,
	tcpScaleOrig,
	tcpScaleReply,
	tcpState,
} from "../conntrack/protoinfo.ts";
import {
	type ConntrackRecord,
	H_HELPER,
	H_LABELS,
	H_MARK,
	H_MASTER,
	H_REPLY,
	H_SCTP,
	H_SEQ_ORIG,
	H_SEQ_REPLY,
	H_STATUS,
	H_SYNPROXY,
	H_TCP,
	H_TIMEOUT,
	HAS,
	HELPER,
	LABELS,
	MARK,
	MASTER_DST,
	MASTER_PORTS,
	MASTER_PROTOCOLS,
	MASTER_SRC,
	ORIG_DST,
	ORIG_PORTS,
	ORIG_SRC,
	PROTOCOLS,
	REPLY_DST,
	REPLY_PORTS,
	REPLY_SRC,
	SEQ_ORIG,
	SEQ_REPLY,
	STATUS,
	SYNPROXY,
	TIMEOUT,
	VTAGS,
	ZONES,
} from "../conntrack/record.ts";
import { IPS_COMMITTABLE, IPS_CONFIRMED, IPS_FIXED_TIMEOUT } from "../conntrack/status.ts";
import { destinationPort, icmpId, invertPorts, sourcePort } from "../conntrack/tuple.ts";
import type { AttributeWriter } from "./attribute.ts";
import * as C from "./constants.ts";
import { encodeTuple } from "./encode-tuple.ts";
import { beginRequest, endRequest } from "./message.ts";

/** Bytes that no request of this file exceeds; the caller keeps that much room in the writer. */
export const CONNTRACK_REQUEST_MAX = 1024;

/** Seconds for an entry whose timeout the source kernel did not tell (an offloaded flow): UDP's stream timeout. */
const TIMEOUT_UNKNOWN = 120;

/** The TCP flags that describe the connection and not the moment. */
const TCP_FLAGS_KEPT = IP_CT_TCP_FLAG_WINDOW_SCALE | IP_CT_TCP_FLAG_SACK_PERM | IP_CT_TCP_FLAG_CLOSE_INIT;

export interface CreateOptions {
	/**
	 * Let the kernel check windows on. Window edges cannot be restored, so without it both directions are marked
	 * BE_LIBERAL and no segment of a restored connection is classed INVALID.
	 */
	windowTracking: boolean;
	/** Leave the helper out: the kernel refuses the whole entry when it does not know it. */
	withoutHelper?: boolean;
	/** Leave the master out: the kernel refuses an entry whose master it does not have. */
	withoutMaster?: boolean;
	/** The connlabels that may be written; dropped in silence where no rule looks at any. */
	labels?: LabelMask;
}

export class ConntrackEncoder {
	readonly writer: AttributeWriter;
	readonly #names: NameTable;

	constructor(writer: AttributeWriter, names: NameTable) {
		this.writer = writer;
		this.#names = names;
	}

	/** A request to create the entry; EEXIST if its tuple, or its translated reply tuple, is taken. */
	create(record: ConntrackRecord, sequence: number, flags: number, options: CreateOptions): void {
		const writer = this.writer;
		const request = this.#begin(
			C.IPCTNL_MSG_CT_NEW,
			C.NLM_F_REQUEST | C.NLM_F_CREATE | C.NLM_F_EXCL | flags,
			sequence,
			record,
		);
		const has = record[HAS]!;
		this.#original(record);
		this.#untranslatedReply(record);
		// EXPECTED is the kernel's to set when there is a master: asked for, it gives EBUSY
		const status = has & H_STATUS ? record[STATUS]! & IPS_COMMITTABLE : 0;
		writer.u32(C.CTA_STATUS, status | IPS_CONFIRMED);
		writer.u32(C.CTA_TIMEOUT, has & H_TIMEOUT ? record[TIMEOUT]! : TIMEOUT_UNKNOWN);
		if (has & H_MARK) writer.u32(C.CTA_MARK, record[MARK]!);
		this.#protoinfo(record, options.windowTracking);
		if (has & H_HELPER && record[HELPER] !== 0 && !options.withoutHelper) this.#help(record);
		this.#nat(record);
		if (has & H_MASTER && !options.withoutMaster) {
			encodeTuple(
				writer,
				C.CTA_TUPLE_MASTER,
				record,
				MASTER_SRC,
				MASTER_DST,
				record[MASTER_PROTOCOLS]!,
				record[MASTER_PORTS]!,
				0, // the kernel looks for it in the entry's own zone, and refuses one in this tuple (EINVAL)
			);
		}
		this.#sequenceAdjustments(record);
		if (has & H_SYNPROXY) this.#three(C.CTA_SYNPROXY, record, SYNPROXY);
		if (has & H_LABELS && options.labels) {
			writer.raw(C.CTA_LABELS, record, LABELS, 4);
			writer.raw(C.CTA_LABELS_MASK, options.labels, 0, 4);
		}
		this.#zone(record);
		endRequest(writer, request);
	}

	/**
	 * A request to change the existing entry in place: NAT, helper and master cannot be given there (EOPNOTSUPP).
	 * STATUS must repeat what the entry has, or the kernel answers EBUSY: the caller ORs it in. A liberal entry stays so,
	 * with window tracking, too: what it knows of windows may be of long ago, and would be checked from now on.
	 */
	update(record: ConntrackRecord, sequence: number, flags: number, options: CreateOptions): void {
		const writer = this.writer;
		const request = this.#begin(C.IPCTNL_MSG_CT_NEW, C.NLM_F_REQUEST | flags, sequence, record);
		const has = record[HAS]!;
		this.#original(record);
		if (has & H_STATUS) writer.u32(C.CTA_STATUS, record[STATUS]!);
		// the timeout of an entry that has a fixed one cannot be changed: EPERM for the whole request
		const isFixed = (has & H_STATUS) !== 0 && (record[STATUS]! & IPS_FIXED_TIMEOUT) !== 0;
		if (has & H_TIMEOUT && !isFixed) writer.u32(C.CTA_TIMEOUT, record[TIMEOUT]!);
		if (has & H_MARK) writer.u32(C.CTA_MARK, record[MARK]!);
		this.#protoinfo(record, options.windowTracking);
		this.#sequenceAdjustments(record);
		this.#zone(record);
		endRequest(writer, request);
	}

	/** A request to give the existing entry the helper that it has: what the helper knows of the stream is forgotten. */
	helper(record: ConntrackRecord, sequence: number): void {
		const request = this.#begin(C.IPCTNL_MSG_CT_NEW, C.NLM_F_REQUEST, sequence, record);
		this.#original(record);
		this.#help(record);
		this.#zone(record);
		endRequest(this.writer, request);
	}

	/** A request to give the existing entry its labels, as far as the mask goes; ENOSPC where no rule looks at any. */
	labels(record: ConntrackRecord, sequence: number, mask: LabelMask): void {
		const request = this.#begin(C.IPCTNL_MSG_CT_NEW, C.NLM_F_REQUEST, sequence, record);
		this.#original(record);
		this.#zone(record);
		this.writer.raw(C.CTA_LABELS, record, LABELS, 4);
		this.writer.raw(C.CTA_LABELS_MASK, mask, 0, 4);
		endRequest(this.writer, request);
	}

	/** A request to delete the entry with this original tuple; ENOENT if there is none. */
	delete(record: ConntrackRecord, sequence: number, flags: number): void {
		const request = this.#begin(C.IPCTNL_MSG_CT_DELETE, C.NLM_F_REQUEST | flags, sequence, record);
		this.#original(record);
		this.#zone(record);
		endRequest(this.writer, request);
	}

	/** A request for the entry with this original tuple; ENOENT if there is none. */
	get(record: ConntrackRecord, sequence: number): void {
		const request = this.#begin(C.IPCTNL_MSG_CT_GET, C.NLM_F_REQUEST, sequence, record);
		this.#original(record);
		this.#zone(record);
		endRequest(this.writer, request);
	}

	/** A request for the entry to which packets with the record's reply tuple belong, in whichever direction. */
	getByReply(record: ConntrackRecord, sequence: number): void {
		const request = this.#begin(C.IPCTNL_MSG_CT_GET, C.NLM_F_REQUEST, sequence, record);
		const zones = record[ZONES]!;
		encodeTuple(
			this.writer,
			C.CTA_TUPLE_REPLY,
			record,
			REPLY_SRC,
			REPLY_DST,
			record[PROTOCOLS]!,
			record[REPLY_PORTS]!,
			zoneOfOneDirection(zones >>> 16, zones & 0xffff),
		);
		this.#zone(record);
		endRequest(this.writer, request);
	}

	/** A request for the whole table. */
	dump(sequence: number): void {
		const flags = C.NLM_F_REQUEST | C.NLM_F_DUMP;
		const subsystem = C.NFNL_SUBSYS_CTNETLINK;
		endRequest(this.writer, beginRequest(this.writer, subsystem, C.IPCTNL_MSG_CT_GET, flags, sequence, 0));
	}

	/** Empties the whole table, all families. */
	flush(sequence: number): void {
		const flags = C.NLM_F_REQUEST | C.NLM_F_ACK;
		const subsystem = C.NFNL_SUBSYS_CTNETLINK;
		endRequest(this.writer, beginRequest(this.writer, subsystem, C.IPCTNL_MSG_CT_DELETE, flags, sequence, 0));
	}

	#begin(message: number, flags: number, sequence: number, record: ConntrackRecord): number {
		const family = record[PROTOCOLS]! & 0xff;
		return beginRequest(this.writer, C.NFNL_SUBSYS_CTNETLINK, message, flags, sequence, family);
	}

	#help(record: ConntrackRecord): void {
		const help = this.writer.begin(C.CTA_HELP);
		this.writer.string(C.CTA_HELP_NAME, this.#names.name(record[HELPER]!));
		this.writer.end(help);
	}

	#original(record: ConntrackRecord): void {
		const zone = zoneOfOneDirection(record[ZONES]! & 0xffff, record[ZONES]! >>> 16);
		encodeTuple(
			this.writer,
			C.CTA_TUPLE_ORIG,
			record,
			ORIG_SRC,
			ORIG_DST,
			record[PROTOCOLS]!,
			record[ORIG_PORTS]!,
			zone,
		);
	}

	/**
	 * The kernel translates it itself: a translated tuple here gives an entry that translates nothing. But it never
	 * changes the keys of GRE for an entry that has no master yet (nf_nat_l4proto_unique_tuple), and takes those that it
	 * is given.
	 */
	#untranslatedReply(record: ConntrackRecord): void {
		const protocols = record[PROTOCOLS]!;
		const protocol = (protocols >>> 8) & 0xff;
		const keepsKeys = protocol === IPPROTO_GRE && (record[HAS]! & H_REPLY) !== 0;
		const ports = keepsKeys ? record[REPLY_PORTS]! : invertPorts(protocol, record[ORIG_PORTS]!);
		const zone = zoneOfOneDirection(record[ZONES]! >>> 16, record[ZONES]! & 0xffff);
		encodeTuple(this.writer, C.CTA_TUPLE_REPLY, record, ORIG_DST, ORIG_SRC, protocols, ports, zone);
	}

	/** A zone of both directions; one of a single direction stands in its tuple. */
	#zone(record: ConntrackRecord): void {
		const zones = record[ZONES]!;
		if (zones !== 0 && (zones & 0xffff) === zones >>> 16) this.writer.u16(C.CTA_ZONE, zones & 0xffff);
	}

	/**
	 * Source translation: the reply goes to another address or port than the original came from. Destination
	 * translation: the reply comes from elsewhere than the original went to. The port is always given, or the
	 * kernel would choose one.
	 */
	#nat(record: ConntrackRecord): void {
		if ((record[HAS]! & H_REPLY) === 0) return;
		const protocol = (record[PROTOCOLS]! >>> 8) & 0xff;
		const plain = invertPorts(protocol, record[ORIG_PORTS]!);
		const reply = record[REPLY_PORTS]!;
		const icmp = isIcmp(protocol);
		// an ICMP id stands in for the source port
		const sourceMoved = icmp
			? icmpId(plain) !== icmpId(reply)
			: destinationPort(plain) !== destinationPort(reply);
		if (sourceMoved || differs(record, REPLY_DST, ORIG_SRC)) {
			this.#natRange(C.CTA_NAT_SRC, record, REPLY_DST, icmp ? icmpId(reply) : destinationPort(reply));
		}
		const destinationMoved = !icmp && sourcePort(plain) !== sourcePort(reply);
		if (destinationMoved || differs(record, REPLY_SRC, ORIG_DST)) {
			this.#natRange(C.CTA_NAT_DST, record, REPLY_SRC, icmp ? 0 : sourcePort(reply));
		}
	}

	#natRange(type: number, record: ConntrackRecord, address: number, port: number): void {
		const writer = this.writer;
		const ipv6 = (record[PROTOCOLS]! & 0xff) === AF_INET6;
		const protocol = (record[PROTOCOLS]! >>> 8) & 0xff;
		const nat = writer.begin(type);
		writer.raw(ipv6 ? C.CTA_NAT_V6_MINIP : C.CTA_NAT_V4_MINIP, record, address, ipv6 ? 4 : 1);
		if (hasPorts(protocol) || (isIcmp(protocol) && type === C.CTA_NAT_SRC)) {
			const proto = writer.begin(C.CTA_NAT_PROTO);
			writer.u16(C.CTA_PROTONAT_PORT_MIN, port);
			writer.u16(C.CTA_PROTONAT_PORT_MAX, port);
			writer.end(proto);
		}
		writer.end(nat);
	}

	#protoinfo(record: ConntrackRecord, windowTracking: boolean): void {
		const writer = this.writer;
		const has = record[HAS]!;
		if (has & H_TCP) {
			const liberal = windowTracking ? 0 : IP_CT_TCP_FLAG_BE_LIBERAL;
			const mask = TCP_FLAGS_KEPT | liberal;
			const info = writer.begin(C.CTA_PROTOINFO);
			const tcp = writer.begin(C.CTA_PROTOINFO_TCP);
			// a state beyond the kernel's last is refused with ERANGE
			writer.u8(C.CTA_PROTOINFO_TCP_STATE, Math.min(tcpState(record), TCP_CONNTRACK_MAX - 1));
			// without the WINDOW_SCALE flag in both directions the kernel ignores the scales
			writer.pair(
				C.CTA_PROTOINFO_TCP_FLAGS_ORIGINAL,
				(tcpFlagsOrig(record) & TCP_FLAGS_KEPT) | liberal,
				mask,
			);
			writer.pair(C.CTA_PROTOINFO_TCP_FLAGS_REPLY, (tcpFlagsReply(record) & TCP_FLAGS_KEPT) | liberal, mask);
			writer.u8(C.CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, tcpScaleOrig(record));
			writer.u8(C.CTA_PROTOINFO_TCP_WSCALE_REPLY, tcpScaleReply(record));
			writer.end(tcp);
			writer.end(info);
		} else if (has & H_SCTP) {
			const info = writer.begin(C.CTA_PROTOINFO);
			const sctp = writer.begin(C.CTA_PROTOINFO_SCTP);
			writer.u8(C.CTA_PROTOINFO_SCTP_STATE, sctpState(record));
			writer.u32(C.CTA_PROTOINFO_SCTP_VTAG_ORIGINAL, record[VTAGS]!);
			writer.u32(C.CTA_PROTOINFO_SCTP_VTAG_REPLY, record[VTAGS + 1]!);
			writer.end(sctp);
			writer.end(info);
		}
	}

	#sequenceAdjustments(record: ConntrackRecord): void {
		const has = record[HAS]!;
		if (has & H_SEQ_ORIG) this.#three(C.CTA_SEQ_ADJ_ORIG, record, SEQ_ORIG);
		if (has & H_SEQ_REPLY) this.#three(C.CTA_SEQ_ADJ_REPLY, record, SEQ_REPLY);
	}

	#three(type: number, record: ConntrackRecord, from: number): void {
		const nest = this.writer.begin(type);
		for (let i = 0; i < 3; i++) this.writer.u32(i + 1, record[from + i]!);
		this.writer.end(nest);
	}
}

/** What stands in a direction's tuple: nothing when both directions have the same zone (CTA_ZONE says it then). */
const zoneOfOneDirection = (own: number, other: number): number => (own === other ? 0 : own);

function differs(record: ConntrackRecord, a: number, b: number): boolean {
	for (let i = 0; i < 4; i++) if (record[a + i] !== record[b + i]) return true;
	return false;
}
