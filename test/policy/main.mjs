// Compares the policy with the oracle on generated expectations.
//
// usage: node test/policy/main.mjs [COUNT] [SEED]     prints the verdicts by rule; status 1 if any differs
import { randomInt } from "node:crypto";
import { Random } from "../fuzz/random.mjs";
import { makeCase, makePolicy } from "./generate.mjs";
import { firstBroken } from "./oracle.mjs";

const DIST = new URL("../../dist/", import.meta.url);
const load = (path) => import(new URL(path, DIST).href);
const [{ ExpectationPolicy }, { NameTable }, X, R] = await Promise.all([
	load("policy/expectation-policy.js"),
	load("conntrack/names.js"),
	load("conntrack/expectation-record.js"),
	load("conntrack/record.js"),
]);

const count = Number(process.argv[2] ?? 20_000);
const seed = Number(process.argv[3] ?? randomInt(2 ** 31));
/** Cases under one configuration. */
const BATCH = 50;
const FAMILY = { 4: 2, 6: 10 };
const random = new Random(seed);
const names = new NameTable();

function putAddress(record, at, family, value) {
	const bytes = new Uint8Array(record.buffer, at * 4, 16);
	const size = family === 4 ? 4 : 16;
	for (let i = size - 1, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
}

function expectationOf(e, master) {
	const r = X.newExpectationRecord();
	r[X.EXP_PROTOCOLS] = FAMILY[e.family] | (e.proto << 8);
	r[X.EXP_MASK_PROTOCOLS] = FAMILY[e.mask.family] | (e.mask.proto << 8);
	r[X.EXP_MASTER_PROTOCOLS] = FAMILY[e.masterFamily] | (master.proto << 8);
	r[X.EXP_PORTS] = e.sport | (e.dport << 16);
	r[X.EXP_MASK_PORTS] = e.mask.sport | (e.mask.dport << 16);
	putAddress(r, X.EXP_SRC, e.family, e.src);
	putAddress(r, X.EXP_DST, e.family, e.dst);
	putAddress(r, X.EXP_MASK_SRC, e.family, e.mask.src);
	putAddress(r, X.EXP_MASK_DST, e.family, e.mask.dst);
	let has = X.X_CLASS | X.X_FLAGS;
	r[X.EXP_CLASS] = e.class;
	r[X.EXP_FLAGS] = e.flags;
	if (e.timeout !== undefined) {
		has |= X.X_TIMEOUT;
		r[X.EXP_TIMEOUT] = e.timeout;
	}
	if (e.helper) {
		has |= X.X_HELPER;
		r[X.EXP_HELPER] = names.intern(e.helper);
	}
	if (e.fn) {
		has |= X.X_FN;
		r[X.EXP_FN] = names.intern(e.fn);
	}
	if (e.nat) {
		has |= X.X_NAT;
		r[X.EXP_NAT_DIR] = e.nat.dir;
		r[X.EXP_NAT_PROTOCOLS] = FAMILY[e.nat.family] | (e.proto << 8);
		r[X.EXP_NAT_PORTS] = e.nat.sport;
		putAddress(r, X.EXP_NAT_SRC, e.nat.family, e.nat.src);
	}
	r[X.EXP_HAS] = has;
	return r;
}

function masterOf(m) {
	const r = R.newConntrackRecord();
	r[R.HAS] = R.H_REPLY | R.H_STATUS | (m.helper ? R.H_HELPER : 0);
	r[R.PROTOCOLS] = FAMILY[m.family] | (m.proto << 8);
	r[R.ORIG_PORTS] = m.osp | (m.odp << 16);
	r[R.REPLY_PORTS] = m.rsp | (m.rdp << 16);
	for (const [at, value] of [
		[R.ORIG_SRC, m.os],
		[R.ORIG_DST, m.od],
		[R.REPLY_SRC, m.rs],
		[R.REPLY_DST, m.rd],
	])
		putAddress(r, at, m.family, value);
	r[R.STATUS] = m.dying ? 0x20e : 0xe;
	if (m.helper) r[R.HELPER] = names.intern(m.helper);
	return r;
}

const bytesOf = ({ family, address, length }) => {
	const words = new Int32Array(4);
	putAddress(words, 0, family, address);
	return { family, address: new Uint8Array(words.buffer, 0, family === 4 ? 4 : 16), prefixLength: length };
};

function policyOf(policy) {
	const helpers = Object.fromEntries(
		Object.entries(policy.helpers).map(([name, { srcNet, dstNet, ...rest }]) => [
			name,
			{
				...rest,
				...(srcNet && { srcNet: srcNet.map(bytesOf) }),
				...(dstNet && { dstNet: dstNet.map(bytesOf) }),
			},
		]),
	);
	const own = policy.own.map((address) => {
		const words = new Int32Array(4);
		putAddress(words, 0, address < 1n << 32n ? 4 : 6, address);
		return words;
	});
	return new ExpectationPolicy({
		names,
		replicated: policy.replicated,
		settings: { onViolation: "quarantine", minDstPort: policy.minDstPort, helpers },
		isOwnAddress: (record, at) => own.some((words) => words.every((word, i) => word === record[at + i])),
	});
}

const tally = new Map();
let wrong = 0;
let settings;
let policy;
for (let i = 0; i < count; i++) {
	if (i % BATCH === 0) {
		settings = makePolicy(random);
		policy = policyOf(settings);
	}
	const one = makeCase(random);
	const expected = firstBroken(one.e, one.master, settings, one.standing);
	const master = one.master && masterOf(one.master);
	const got = policy.judge(expectationOf(one.e, one.master ?? { proto: 6 }), master, one.standing);
	tally.set(expected, (tally.get(expected) ?? 0) + 1);
	if (got === expected) continue;
	if (wrong++ < 5) {
		const shown = JSON.stringify({ ...one, settings }, (_, value) =>
			typeof value === "bigint" ? `0x${value.toString(16)}` : value,
		);
		console.log(`case ${i} of seed ${seed}: the policy says ${got}, the oracle ${expected}: ${shown}`);
	}
}
const verdicts = [...tally]
	.sort(([a], [b]) => a - b)
	.map(
		([code, n]) =>
			`${code === 0 ? "accepted" : code === 17 ? "waiting" : `X${String(code).padStart(2, "0")}`} ${n}`,
	);
console.log(`${count} expectations, ${wrong} wrong verdicts, seed ${seed}: ${verdicts.join(", ")}`);
process.exitCode = wrong > 0 || tally.size < 18 ? 1 : 0;
