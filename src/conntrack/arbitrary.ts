// For tests: random canonical records, every attribute in every combination.
import fc from "fast-check";
import * as X from "./expectation-record.ts";
import { NameTable } from "./names.ts";
import { AF_INET, AF_INET6, hasPorts, isIcmp } from "./protocol.ts";
import { TCP_CONNTRACK_MAX } from "./protoinfo.ts";
import * as R from "./record.ts";
import { invertTuple } from "./tuple.ts";

const NAMES: readonly string[] = ["ftp", "Q.931", "netbios-ns", "nat-follow-master"];

/** A table in which the numbers of arbitrary records have names. */
export function arbitraryNames(): NameTable {
	const names = new NameTable();
	for (const name of NAMES) names.intern(name);
	return names;
}

const family = fc.constantFrom(AF_INET, AF_INET6);
const protocol = fc.oneof(fc.constantFrom(1, 6, 17, 33, 47, 58, 132, 136), fc.nat(255));
const protocols = fc.tuple(family, protocol).map(([l3, l4]) => l3 | (l4 << 8));
const name = fc.integer({ min: 1, max: NAMES.length });
const words = (length: number) => fc.int32Array({ minLength: length, maxLength: length });

/** @param options `id`: with CTA_ID, which the wire does not carry */
export function arbitraryConntrack(options: { id?: boolean } = {}): fc.Arbitrary<R.ConntrackRecord> {
	const allowed = R.H_WIRE | (options.id ? R.H_ID : 0);
	return fc
		.record({
			words: words(R.CONNTRACK_WORDS),
			has: fc.nat(0x1fff),
			protocols,
			master: protocols,
			helper: name,
			tcpState: fc.nat(TCP_CONNTRACK_MAX - 1),
			isTranslated: fc.boolean(),
		})
		.map((random) => {
			const record = Int32Array.from(random.words);
			let has = random.has & allowed;
			if ((has & R.H_TCP) !== 0) has &= ~R.H_SCTP;
			record[R.HAS] = has;
			record[R.PROTOCOLS] = random.protocols;
			record[R.MASTER_PROTOCOLS] = random.master;
			record[R.MASTER_ZONE]! &= 0xffff;
			record[R.HELPER] = random.helper;
			if ((has & R.H_TCP) !== 0) record[R.PROTOINFO] = (record[R.PROTOINFO]! & ~0xff) | random.tcpState;
			else record[R.PROTOINFO]! &= 0xff;
			trim(record, random.protocols, R.ORIG_PORTS, R.ORIG_SRC, R.ORIG_DST);
			trim(record, random.protocols, R.REPLY_PORTS, R.REPLY_SRC, R.REPLY_DST);
			trim(record, random.master, R.MASTER_PORTS, R.MASTER_SRC, R.MASTER_DST);
			if (!random.isTranslated) invertTuple(record);
			R.canonicalizeConntrack(record);
			return record;
		});
}

/** As this kernel sends them: mask and NAT of the expected tuple's family, the mask of its protocol. */
export function arbitraryExpectation(options: { id?: boolean } = {}): fc.Arbitrary<X.ExpectationRecord> {
	const allowed = X.X_WIRE | (options.id ? X.X_ID : 0);
	return fc
		.record({
			words: words(X.EXPECTATION_WORDS),
			protocols,
			master: protocols,
			natProtocol: protocol,
			natDirection: fc.nat(1),
			helper: name,
			fn: name,
		})
		.map((random) => {
			const record = Int32Array.from(random.words);
			const nat = (random.protocols & 0xff) | (random.natProtocol << 8);
			record[X.EXP_HAS]! &= allowed;
			record[X.EXP_PROTOCOLS] = random.protocols;
			record[X.EXP_MASK_PROTOCOLS] = random.protocols;
			record[X.EXP_MASTER_PROTOCOLS] = random.master;
			record[X.EXP_NAT_PROTOCOLS] = nat;
			record[X.EXP_NAT_DIR] = random.natDirection;
			record[X.EXP_ZONE]! &= 0xffff;
			record[X.EXP_HELPER] = random.helper;
			record[X.EXP_FN] = random.fn;
			trim(record, random.protocols, X.EXP_PORTS, X.EXP_SRC, X.EXP_DST);
			trim(record, random.protocols, X.EXP_MASK_PORTS, X.EXP_MASK_SRC, X.EXP_MASK_DST);
			trim(record, random.master, X.EXP_MASTER_PORTS, X.EXP_MASTER_SRC, X.EXP_MASTER_DST);
			trim(record, nat, X.EXP_NAT_PORTS, X.EXP_NAT_SRC, X.EXP_NAT_DST);
			X.canonicalizeExpectation(record);
			return record;
		});
}

/** Zeroes what a tuple of such protocols does not have. */
function trim(record: Int32Array, protocols: number, ports: number, src: number, dst: number): void {
	const layer4 = protocols >>> 8;
	if (!hasPorts(layer4) && !isIcmp(layer4)) record[ports] = 0;
	if ((protocols & 0xff) === AF_INET6) return;
	record.fill(0, src + 1, src + 4);
	record.fill(0, dst + 1, dst + 4);
}
