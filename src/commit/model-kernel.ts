// A kernel of one's own behind the calls of the native addon: it takes the requests that the committers write, and
// answers them from model tables. For rehearsals that may not have a network namespace.

import {
	EXPECTATION_WORDS,
	type ExpectationRecord,
	newExpectationRecord,
} from "../conntrack/expectation-record.ts";
import type { NameTable } from "../conntrack/names.ts";
import { isIcmp } from "../conntrack/protocol.ts";
import { IP_CT_TCP_FLAG_BE_LIBERAL, tcpFlagsOrig, tcpFlagsReply } from "../conntrack/protoinfo.ts";
import {
	type ConntrackRecord,
	canonicalizeConntrack,
	H_HELPER,
	H_REPLY,
	HAS,
	newConntrackRecord,
	PROTOCOLS,
	REPLY_DST,
	REPLY_PORTS,
	REPLY_SRC,
	STATUS,
	ZONES,
} from "../conntrack/record.ts";
import { AttributeWriter, align, WireBuffer } from "../netlink/attribute.ts";
import * as C from "../netlink/constants.ts";
import { ConntrackDecoder } from "../netlink/decode-conntrack.ts";
import { ExpectationDecoder } from "../netlink/decode-expectation.ts";
import { TupleDecoder } from "../netlink/decode-tuple.ts";
import { CONNTRACK_REQUEST_MAX, ConntrackEncoder } from "../netlink/encode-conntrack.ts";
import { ExpectationEncoder } from "../netlink/encode-expectation.ts";
import { encodeTuple } from "../netlink/encode-tuple.ts";
import {
	attributesOf,
	beginRequest,
	eachMessage,
	endRequest,
	familyOf,
	messageFlags,
	messageSequence,
	messageType,
} from "../netlink/message.ts";
import { EAGAIN, type Native } from "../system/native.ts";
import { type ModelTables, originalKey, tupleKey } from "./model-tables.ts";

const ENOENT = 2;
const EINVAL = 22;
const EOPNOTSUPP = 95;
/** Numbers of its sockets, far from those of descriptors. */
const FIRST_SOCKET = 1 << 24;

const CT = C.NFNL_SUBSYS_CTNETLINK << 8;
const EXP = C.NFNL_SUBSYS_CTNETLINK_EXP << 8;

export class ModelKernel {
	readonly #tables: ModelTables;
	readonly #decoder: ConntrackDecoder;
	readonly #expectations: ExpectationDecoder;
	readonly #tuple = new TupleDecoder();
	readonly #writer = new AttributeWriter(2 * CONNTRACK_REQUEST_MAX);
	readonly #answer = new AttributeWriter(2 * CONNTRACK_REQUEST_MAX);
	readonly #encoder: ConntrackEncoder;
	readonly #expectationEncoder: ExpectationEncoder;
	/** Answers that wait, by socket. Bounded: whoever sends a batch reads its answers before the next. */
	readonly #answers = new Map<number, Uint8Array[]>();

	constructor(tables: ModelTables, names: NameTable) {
		this.#tables = tables;
		this.#decoder = new ConntrackDecoder(names);
		this.#expectations = new ExpectationDecoder(names);
		this.#encoder = new ConntrackEncoder(this.#writer, names);
		this.#expectationEncoder = new ExpectationEncoder(this.#writer, names);
	}

	/** The addon's calls, with sockets that lead here. */
	native(real: Native): Native {
		return {
			...real,
			openSocket: () => {
				const fd = FIRST_SOCKET + this.#answers.size;
				this.#answers.set(fd, []);
				return fd;
			},
			bindSocket: () => {},
			netlinkPort: (fd) => fd,
			setOption: () => {},
			getOption: () => 0,
			attachFilter: () => {},
			closeSocket: (fd) => void this.#answers.set(fd, []),
			send: (fd, bytes, offset, length) => {
				const wire = new WireBuffer(bytes);
				eachMessage(wire, offset, offset + length, (start, end) => this.#request(fd, wire, start, end));
				return length;
			},
			receive: (fd, buffer, stride, lengths) => {
				const waiting = this.#answers.get(fd) ?? [];
				const taken = waiting.splice(0, lengths.length);
				taken.forEach((answer, i) => {
					buffer.set(answer, i * stride);
					lengths[i] = answer.length;
				});
				return taken.length === 0 ? -EAGAIN : taken.length;
			},
		};
	}

	#request(fd: number, wire: WireBuffer, start: number, end: number): void {
		const errno = this.#handle(fd, wire, start, end);
		if (errno === 0 && (messageFlags(wire, start) & C.NLM_F_ACK) === 0) return;
		const answer = new Int32Array(9);
		new Uint8Array(answer.buffer).set(wire.bytes.subarray(start, start + C.NLMSG_HEADER), 20);
		answer[0] = answer.byteLength;
		answer[1] = C.NLMSG_ERROR;
		answer[2] = messageSequence(wire, start);
		answer[4] = -errno;
		this.#answers.get(fd)?.push(new Uint8Array(answer.buffer));
	}

	/** 0 or an errno. */
	#handle(fd: number, wire: WireBuffer, start: number, end: number): number {
		const flags = messageFlags(wire, start);
		const isNew = (flags & C.NLM_F_CREATE) !== 0;
		const type = messageType(wire, start);
		if (type === (CT | C.IPCTNL_MSG_CT_GET) && (flags & C.NLM_F_DUMP) !== C.NLM_F_DUMP) {
			return this.#get(fd, wire, start, end);
		}
		if (type === (CT | C.IPCTNL_MSG_CT_NEW) || type === (CT | C.IPCTNL_MSG_CT_DELETE)) {
			const record = newConntrackRecord();
			if (!this.#decoder.decode(wire, attributesOf(start), end, record)) return EINVAL;
			canonicalizeConntrack(record);
			if (type === (CT | C.IPCTNL_MSG_CT_DELETE)) return this.#tables.delete(record);
			if (!isNew) return this.#tables.update(record);
			// the reply tuple of a request is that of an entry that translates nothing
			if ((record[HAS]! & H_REPLY) === 0) return EINVAL;
			this.#translate(wire, attributesOf(start), end, record);
			const errno = this.#tables.create(record);
			const made = this.#tables.find(originalKey(record));
			if (errno === 0 && made && (flags & C.NLM_F_ECHO) !== 0) {
				this.#answers.get(fd)?.push(this.#shown(made, 0, familyOf(wire, start)));
			}
			return errno;
		}
		if (type === (EXP | C.IPCTNL_MSG_EXP_GET) && (flags & C.NLM_F_DUMP) === C.NLM_F_DUMP) {
			for (const one of this.#tables.expectations) this.#show(fd, one, messageSequence(wire, start));
			return 0;
		}
		const record = newExpectationRecord();
		// only a creation has mask and master
		const isWhole = this.#expectations.decode(wire, attributesOf(start), end, record);
		if (type === (EXP | C.IPCTNL_MSG_EXP_GET)) {
			const found = this.#tables.findExpectation(record);
			if (found) this.#show(fd, found, messageSequence(wire, start));
			return found ? 0 : ENOENT;
		}
		if (type !== (EXP | C.IPCTNL_MSG_EXP_NEW) && type !== (EXP | C.IPCTNL_MSG_EXP_DELETE)) return EOPNOTSUPP;
		if (type === (EXP | C.IPCTNL_MSG_EXP_DELETE)) return this.#tables.deleteExpectation(record);
		if (!isWhole) return EINVAL;
		if (!isNew) return this.#tables.updateExpectation(record);
		return this.#tables.createExpectation(record.slice(0, EXPECTATION_WORDS));
	}

	/** Answers with an expectation: like the request that makes it. */
	#show(fd: number, record: ExpectationRecord, sequence: number): void {
		const source = this.#writer;
		source.at = 0;
		this.#expectationEncoder.create(record, sequence);
		this.#answers.get(fd)?.push(source.wire.bytes.slice(0, source.at));
	}

	/** CTA_NAT_SRC and CTA_NAT_DST: ranges of one address and one port. */
	#translate(wire: WireBuffer, start: number, end: number, record: ConntrackRecord): void {
		const protocol = (record[PROTOCOLS]! >>> 8) & 0xff;
		each(wire, start, end, (type, payload, stop) => {
			if (type !== C.CTA_NAT_SRC && type !== C.CTA_NAT_DST) return;
			const isSource = type === C.CTA_NAT_SRC;
			const address = isSource ? REPLY_DST : REPLY_SRC;
			each(wire, payload, stop, (part, at, partEnd) => {
				if (part === C.CTA_NAT_V4_MINIP || part === C.CTA_NAT_V6_MINIP) {
					for (let i = 0; i < (partEnd - at) >> 2; i++) record[address + i] = wire.words[(at >> 2) + i]!;
				} else if (part === C.CTA_NAT_PROTO) {
					each(wire, at, partEnd, (name, value) => {
						if (name !== C.CTA_PROTONAT_PORT_MIN) return;
						const ports = record[REPLY_PORTS]!;
						const port = wire.u16(value);
						const isHigh = isSource && !isIcmp(protocol);
						record[REPLY_PORTS] = isHigh ? (ports & 0xffff) | (port << 16) : (ports & ~0xffff) | port;
					});
				}
			});
		});
	}

	#get(fd: number, wire: WireBuffer, start: number, end: number): number {
		const words = new Int32Array(8);
		let key: string | undefined;
		let zone = 0;
		each(wire, attributesOf(start), end, (type, payload) => {
			if (type === C.CTA_ZONE) zone = wire.u16(payload);
		});
		each(wire, attributesOf(start), end, (type, payload, stop) => {
			if (key !== undefined || (type !== C.CTA_TUPLE_ORIG && type !== C.CTA_TUPLE_REPLY)) return;
			const tuple = this.#tuple;
			if (!tuple.decode(wire, payload, stop, words, 0, 4)) return;
			key = tupleKey(words, tuple.protocols, tuple.ports, 0, 4, tuple.zone || zone);
		});
		if (key === undefined) return EINVAL;
		const found = this.#tables.find(key);
		if (!found) return ENOENT;
		this.#answers.get(fd)?.push(this.#shown(found, messageSequence(wire, start), familyOf(wire, start)));
		return 0;
	}

	/** The entry as the kernel shows it: like the request that makes it, but with what came of it. */
	#shown(record: ConntrackRecord, sequence: number, family: number): Uint8Array {
		const source = this.#writer;
		source.at = 0;
		const isLiberal = (tcpFlagsOrig(record) & tcpFlagsReply(record) & IP_CT_TCP_FLAG_BE_LIBERAL) !== 0;
		const withoutHelper = (record[HAS]! & H_HELPER) === 0;
		this.#encoder.create(record, 0, 0, { windowTracking: !isLiberal, withoutHelper });
		const answer = this.#answer;
		answer.at = 0;
		const begin = beginRequest(answer, C.NFNL_SUBSYS_CTNETLINK, C.IPCTNL_MSG_CT_NEW, 0, sequence, family);
		each(source.wire, attributesOf(0), source.at, (type, payload, stop) => {
			if (type === C.CTA_TUPLE_REPLY) {
				const zones = record[ZONES]!;
				const zone = (zones & 0xffff) === zones >>> 16 ? 0 : zones >>> 16;
				const protocols = record[PROTOCOLS]!;
				encodeTuple(answer, type, record, REPLY_SRC, REPLY_DST, protocols, record[REPLY_PORTS]!, zone);
			} else if (type === C.CTA_STATUS) answer.u32(type, record[STATUS]!);
			else if (type !== C.CTA_NAT_SRC && type !== C.CTA_NAT_DST) {
				const from = payload - C.NLA_HEADER;
				answer.wire.bytes.set(source.wire.bytes.subarray(from, stop), answer.at);
				answer.at += align(stop - from);
			}
		});
		endRequest(answer, begin);
		return answer.wire.bytes.slice(0, answer.at);
	}
}

/** Calls `visit(type, payload, end)` for each attribute in bytes [start, end). */
function each(
	wire: WireBuffer,
	start: number,
	end: number,
	visit: (type: number, payload: number, end: number) => void,
): void {
	for (let at = start; at + C.NLA_HEADER <= end; ) {
		const length = wire.halves[at >> 1]!;
		if (length < C.NLA_HEADER || at + length > end) return;
		visit(wire.halves[(at >> 1) + 1]! & C.NLA_TYPE_MASK, at + C.NLA_HEADER, at + length);
		at += align(length);
	}
}
