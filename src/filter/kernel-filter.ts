// The Filter clauses as a program for the event socket: `Filter From Kernelspace`. Its verdict on an event is that of
// Filter (`make kernel-filter`), with two things left to that one: what the event does not tell, and our own links' traffic, which is rare.
//
// The end of a connection is never dropped for its TCP state: an entry that was taken must end, whatever it ends in. Mark and
// Label are left to Filter altogether: what changes a mark or a label into one that does not count is the very event by which
// the daemon learns that a connection that it holds is to go.
import { AF_INET, AF_INET6, IPPROTO_TCP } from "../conntrack/protocol.ts";
import * as C from "../netlink/constants.ts";
import {
	FAMILY_OFFSET,
	ignorePorts,
	type Label,
	MESSAGE_OFFSET,
	SocketFilter,
	SUBSYSTEM_OFFSET,
} from "../netlink/socket-filter.ts";
import type { FilterPolicy } from "./filter.ts";
import type { Prefix } from "./prefix-set.ts";

const HEADERS = C.NLMSG_HEADER + C.NFGENMSG_HEADER;
/** Words of the program's memory: where the tuples and the protocol are, and the address that is looked at. */
const ORIG = 0;
const REPLY = 1;
const PROTOCOL = 2;
const ADDRESS = 3;
const ZONE = 7;

/**
 * @param ports events that these netlink ports cause are dropped, too
 * @throws Error when there are more rules than a program has room for
 */
export function kernelFilter(policy: FilterPolicy, ports: readonly number[]): Uint8Array {
	const program = new SocketFilter();
	ignorePorts(program, ports);
	program.byte(SUBSYSTEM_OFFSET);
	// expectations are judged by their masters
	program.jumpUnless(C.NFNL_SUBSYS_CTNETLINK, program.pass);
	if (policy.protocol || policy.address || policy.state || policy.zone) locate(program);
	if (policy.protocol) protocols(program, policy.protocol);
	if (policy.address) addresses(program, policy.address);
	if (policy.zone) zones(program, policy.zone);
	if (policy.state) states(program, policy.state);
	try {
		return program.assemble();
	} catch (error) {
		const cause = (error as Error).message;
		throw new Error(`the Filter is too long for the kernel (${cause}): use "Filter From Userspace"`);
	}
}

/** Remembers the tuples and the protocol. */
function locate(program: SocketFilter): void {
	program.attribute(C.CTA_TUPLE_ORIG, HEADERS, program.pass);
	program.store(ORIG);
	program.attribute(C.CTA_TUPLE_REPLY, HEADERS, program.pass);
	program.store(REPLY);
	program.load(ORIG);
	program.nested(C.CTA_TUPLE_PROTO, program.pass);
	program.nested(C.CTA_PROTO_NUM, program.pass);
	program.stand();
	program.byteBehind(C.NLA_HEADER);
	program.store(PROTOCOL);
}

/** What is listed goes on or is dropped; so does, the other way round, what comes to `end`. */
class Clause {
	readonly listed: Label = Symbol("listed");
	readonly next: Label = Symbol("next");
	readonly #program: SocketFilter;
	readonly #accept: boolean;

	constructor(program: SocketFilter, accept: boolean) {
		this.#program = program;
		this.#accept = accept;
	}

	end(): void {
		const program = this.#program;
		program.jump(this.#accept ? program.drop : this.next);
		program.here(this.listed);
		if (!this.#accept) program.jump(program.drop);
		program.here(this.next);
	}
}

function protocols(
	program: SocketFilter,
	{ accept, protocols }: NonNullable<FilterPolicy["protocol"]>,
): void {
	const clause = new Clause(program, accept);
	program.load(PROTOCOL);
	for (const protocol of protocols) program.jumpIf(protocol, clause.listed);
	clause.end();
}

/** The original source, and the source of the reply, which is the real destination. */
function addresses(program: SocketFilter, { accept, rules }: NonNullable<FilterPolicy["address"]>): void {
	const clause = new Clause(program, accept);
	const isV6: Label = Symbol("IPv6");
	const unlisted: Label = Symbol("not listed");
	const four = rules.filter(({ family }) => family === 4);
	const six = rules.filter(({ family }) => family === 6);
	program.byte(FAMILY_OFFSET);
	program.jumpIf(AF_INET6, isV6);
	program.jumpUnless(AF_INET, program.pass);
	for (const tuple of [ORIG, REPLY]) sourceIn(program, tuple, C.CTA_IP_V4_SRC, 1, four, clause.listed);
	program.jump(unlisted);
	program.here(isV6);
	for (const tuple of [ORIG, REPLY]) sourceIn(program, tuple, C.CTA_IP_V6_SRC, 4, six, clause.listed);
	program.here(unlisted);
	clause.end();
}

/** Goes to `listed` when the tuple's source address, of so many words, is one of the prefixes. */
function sourceIn(
	program: SocketFilter,
	tuple: number,
	type: number,
	words: number,
	prefixes: readonly Prefix[],
	listed: Label,
): void {
	if (prefixes.length === 0) return;
	program.load(tuple);
	program.nested(C.CTA_TUPLE_IP, program.pass);
	program.nested(type, program.pass);
	program.stand();
	for (let i = 0; i < words; i++) {
		program.wordBehind(C.NLA_HEADER + i * 4);
		program.store(ADDRESS + i);
	}
	for (const { address, prefixLength } of prefixes) {
		const another: Label = Symbol("the next prefix");
		const bytes = new DataView(address.buffer, address.byteOffset);
		for (let i = 0; i * 32 < prefixLength; i++) {
			const bits = Math.min(32, prefixLength - i * 32);
			const mask = (0xffffffff << (32 - bits)) >>> 0;
			program.load(ADDRESS + i);
			if (bits < 32) program.and(mask);
			program.jumpUnless((bytes.getUint32(i * 4) & mask) >>> 0, another);
		}
		program.jump(listed);
		program.here(another);
	}
}

/** That of the connection, else that of either direction; who has none is in 0. */
function zones(program: SocketFilter, { accept, zones }: NonNullable<FilterPolicy["zone"]>): void {
	const clause = new Clause(program, accept);
	const none: Label = Symbol("no zone of both directions");
	const known: Label = Symbol("the zone of both directions");
	program.attribute(C.CTA_ZONE, HEADERS, none);
	program.stand();
	program.halfBehind(C.NLA_HEADER);
	program.jump(known);
	program.here(none);
	program.value(0);
	program.here(known);
	program.store(ZONE);
	for (const tuple of [ORIG, REPLY]) {
		const ofBoth: Label = Symbol("no zone of its own");
		const listed: Label = Symbol("compare");
		program.load(tuple);
		program.nested(C.CTA_TUPLE_ZONE, ofBoth);
		program.stand();
		program.halfBehind(C.NLA_HEADER);
		program.jump(listed);
		program.here(ofBoth);
		program.load(ZONE);
		program.here(listed);
		for (const zone of zones) program.jumpIf(zone, clause.listed);
	}
	clause.end();
}

function states(program: SocketFilter, { accept, tcpStates }: NonNullable<FilterPolicy["state"]>): void {
	const clause = new Clause(program, accept);
	program.byte(MESSAGE_OFFSET);
	program.jumpIf(C.IPCTNL_MSG_CT_DELETE, program.pass);
	program.load(PROTOCOL);
	program.jumpUnless(IPPROTO_TCP, program.pass);
	program.attribute(C.CTA_PROTOINFO, HEADERS, program.pass);
	program.nested(C.CTA_PROTOINFO_TCP, program.pass);
	program.nested(C.CTA_PROTOINFO_TCP_STATE, program.pass);
	program.stand();
	program.byteBehind(C.NLA_HEADER);
	for (const state of tcpStates) program.jumpIf(state, clause.listed);
	clause.end();
}
