// Expectations for the oracle: half of them as a helper makes them, with none, one or a few things changed; masters with
// and without translation; configurations that widen and narrow.
const TCP = 6;
const UDP = 17;
const GRE = 47;
const MASTERS = [
	["ftp", TCP, 21],
	["tftp", UDP, 69],
	["amanda", UDP, 10080],
	["sane", TCP, 6566],
	["irc", TCP, 6667],
	["pptp", TCP, 1723],
	["RAS", UDP, 1719],
	["Q.931", TCP, 1720],
	["H.245", TCP, 5000],
	["sip", UDP, 5060],
	["sip", TCP, 5060],
	["netbios-ns", UDP, 137],
	["snmp", UDP, 161],
];
const V4 = [0xc000020an, 0xc633641en, 0xcb007101n, 0x0a000001n, 0xac100002n].map((n) => n);
const V6 = ["c000020a", "c633641e", "cb007101", "0a000001", "ac100002"].map((hex) =>
	BigInt(`0x20010db8${"0".repeat(16)}${hex}`),
);
const SPECIAL4 = [0n, 0x7f000001n, 0xe0000001n, 0xffffffffn, 0xefffffffn, 0xf0000001n, 5n];
const SPECIAL6 = [0n, 1n, 0xffff0a000001n, 0x0a000001n, 0xff02n << 112n, 0xfe80n << 112n, 0x100000000n];
const FULL = { 4: (1n << 32n) - 1n, 6: (1n << 128n) - 1n };
const HELPERS = [
	"ftp",
	"ftp-2121",
	"tftp",
	"amanda",
	"sane",
	"irc",
	"pptp",
	"RAS",
	"Q.931",
	"H.245",
	"sip",
	"sip-5061",
	"netbios-ns",
	"snmp",
	"rpc",
	"ftpx",
	"",
];
const FUNCTIONS = ["nat-follow-master", "sip", "Q.931", "callforwarding", "other", ""];
const PORTS = [
	0, 1, 20, 21, 22, 137, 161, 1023, 1024, 1025, 1719, 1720, 2000, 2001, 5060, 40000, 50000, 65535,
];

/** @param random { below(n), chance(p), pick(list) } */
export function makeCase(random) {
	const six = random.chance(0.3);
	const pool = six ? V6 : V4;
	const family = six ? 6 : 4;
	const [helper, proto, port] = random.pick(MASTERS);
	const isBroadcast = helper === "netbios-ns" || helper === "snmp";
	const nat = random.pick(["none", "none", "snat", "dnat", "both", "port"]);
	const [client, server, outside, vip] = pool;
	const osp = random.pick([40000, 700, 5060]);
	const master = {
		family,
		proto,
		os: client,
		od: nat === "dnat" || nat === "both" ? vip : server,
		osp,
		odp: random.chance(0.9) ? port : random.pick(PORTS),
		rs: server,
		rd: nat === "snat" || nat === "both" ? outside : client,
		rsp: port,
		rdp: nat === "port" ? 50000 : osp,
		helper: random.chance(0.85) ? helper : "",
		dying: random.chance(0.02),
	};
	master.rsp = master.odp;
	if (helper === "sip" && random.chance(0.2) && master.helper) master.helper = "sip-5061";
	const e = legal(random, helper, master, nat !== "none" && !isBroadcast);
	for (let changes = random.pick([0, 0, 1, 1, 1, 2, 4]); changes > 0; changes--)
		change(random, e, master, pool, six);
	const hasMaster = random.chance(0.95);
	const standing = random.chance(0.3)
		? {
				inClass: random.below(20),
				ofMaster: random.below(20),
				ofOrigin: random.pick([0, 1023, 1024]),
				isTooFast: random.chance(0.2),
			}
		: undefined;
	return { e, master: hasMaster ? master : undefined, standing };
}

function legal(random, helper, master, isTranslated) {
	const back = random.chance(0.5);
	const { family } = master;
	const e = {
		family,
		proto: TCP,
		src: back ? master.rs : master.os,
		dst: back ? master.rd : master.od,
		sport: 0,
		dport: random.pick([1024, 2001, 2002, 30000, 30001, 65535]),
		mask: { family, proto: TCP, src: FULL[family], dst: FULL[family], sport: 0, dport: 0xffff },
		masterFamily: family,
		helper: random.chance(0.9) ? master.helper || helper : "",
		fn: "",
		class: 0,
		flags: 0,
		timeout: random.pick([1, 3, 30, 180]),
		nat: undefined,
	};
	const udp = () => {
		e.proto = UDP;
		e.mask.proto = UDP;
	};
	switch (helper) {
		case "tftp":
			udp();
			e.dport = master.rdp;
			break;
		case "irc":
			e.dst = random.pick([master.os, master.rd]);
			e.src = 0n;
			e.mask.src = 0n;
			break;
		case "pptp":
			e.proto = GRE;
			e.mask.proto = GRE;
			e.mask.sport = 0xffff;
			e.sport = random.below(65536);
			e.dport = random.below(65536);
			break;
		case "RAS":
			if (random.chance(0.3)) udp();
			else e.flags = random.below(2);
			break;
		case "Q.931":
		case "H.245":
			if (random.chance(0.6)) udp();
			else e.flags = random.below(2);
			break;
		case "sip":
			udp();
			e.class = random.below(4);
			if (e.class === 0) {
				e.flags = random.below(4);
				e.timeout = random.pick([180, 3600]);
				if (random.chance(0.2)) e.proto = e.mask.proto = TCP;
			}
			break;
		case "netbios-ns":
		case "snmp":
			udp();
			e.src = master.rs;
			e.dst = master.rd;
			e.mask.src = FULL[family] ^ (family === 4 ? 0xffn : (1n << 64n) - 1n);
			e.sport = helper === "snmp" ? 161 : 137;
			e.mask.sport = 0xffff;
			e.dport = master.rdp;
			e.flags = 1;
			e.timeout = 3;
			break;
		default:
	}
	if (isTranslated && random.chance(0.7)) {
		e.nat = {
			family,
			src: random.pick([0n, master.os, master.rs]),
			sport: helper === "tftp" ? master.osp : 2000,
			dir: random.below(2),
		};
		e.fn = { sip: "sip", pptp: "", sane: "" }[helper] ?? "nat-follow-master";
	}
	return e;
}

function change(random, e, master, pool, six) {
	const address = () => (random.chance(0.7) ? random.pick(pool) : random.pick(six ? SPECIAL6 : SPECIAL4));
	const width = six ? 128n : 32n;
	const changes = [
		() => (e.src = address()),
		() => (e.dst = address()),
		() => {
			e.src = 0n;
			e.mask.src = 0n;
		},
		() => (e.mask.src = FULL[six ? 6 : 4] ^ ((1n << BigInt(random.below(Number(width)))) - 1n)),
		() => (e.mask.src ^= 1n << BigInt(random.below(Number(width)))),
		() => (e.mask.dst ^= 1n << BigInt(random.below(Number(width)))),
		() => (e.mask.sport = random.pick([0, 0xffff, 0xff00])),
		() => (e.mask.dport = random.pick([0, 0xffff, 0xfffe])),
		() => (e.sport = random.pick(PORTS)),
		() => (e.dport = random.pick(PORTS)),
		() => (e.proto = e.mask.proto = random.pick([TCP, UDP, GRE])),
		() => (e.class = random.pick([0, 1, 2, 3, 4, 0xffffffff])),
		() => (e.flags = random.pick([0, 1, 2, 3, 4, 5, 8, 0x80000000])),
		() =>
			(e.timeout = random.pick([
				undefined,
				0,
				1,
				3,
				4,
				30,
				31,
				180,
				181,
				240,
				241,
				300,
				301,
				3600,
				3601,
				2 ** 31,
			])),
		() => (e.helper = random.pick(HELPERS)),
		() => (e.fn = random.pick(FUNCTIONS)),
		() =>
			(e.nat = { family: e.family, src: address(), sport: random.pick(PORTS), dir: random.pick([0, 1, 2]) }),
		() => (e.nat = undefined),
		() => (master.helper = random.pick(HELPERS)),
		() => (master.proto = random.pick([TCP, UDP])),
		() => {
			e.src = random.pick(pool);
			e.mask.src = FULL[six ? 6 : 4];
		},
	];
	random.pick(changes)();
}

export function makePolicy(random) {
	const net = () =>
		random.chance(0.6)
			? {
					family: 4,
					address: random.pick([0xc0000200n, 0xc6336400n, 0n, 0xcb000000n]),
					length: random.pick([24, 24, 0]),
				}
			: { family: 6, address: BigInt("0x20010db8") << 96n, length: 32 };
	const fixed = (one) => {
		const width = one.family === 4 ? 32n : 128n;
		const rest = (1n << (width - BigInt(one.length))) - 1n;
		return { ...one, address: one.address & ~rest };
	};
	const some = (chance, make) => (random.chance(chance) ? make() : undefined);
	const helper = () => ({
		loose: some(0.3, () => random.chance(0.7)),
		fxp: some(0.3, () => random.chance(0.7)),
		directMedia: some(0.3, () => random.chance(0.3)),
		directSignalling: some(0.3, () => random.chance(0.3)),
		gkRoutedOnly: some(0.3, () => random.chance(0.3)),
		callForwardFilter: some(0.3, () => random.chance(0.3)),
		minPrefix: some(0.2, () => random.pick([8, 25, 32])),
		srcNet: some(0.15, () => [fixed(net()), fixed(net())]),
		dstNet: some(0.25, () => [fixed(net()), fixed(net())]),
		dstPort: some(0.2, () =>
			random.pick([
				{ from: 20, to: 22 },
				{ from: 1024, to: 30000 },
			]),
		),
		maxExpectations: some(0.2, () => random.pick([1, 5, 20])),
		timeout: some(0.2, () => random.pick([1, 400, 7200])),
		userspace: some(0.2, () => random.chance(0.5)),
	});
	const helpers = {};
	if (random.chance(0.7)) {
		for (const name of [
			"ftp",
			"tftp",
			"amanda",
			"sane",
			"irc",
			"pptp",
			"h323",
			"sip",
			"netbios-ns",
			"snmp",
		]) {
			if (random.chance(0.4)) helpers[name] = JSON.parse(JSON.stringify(helper(), big), unbig);
		}
	}
	return {
		replicated: random.chance(0.5)
			? true
			: ["ftp", "tftp", "amanda", "irc", "pptp", "ras", "q.9", "h.245", "sip", "netbios-ns", "snmp"],
		minDstPort: random.pick([1024, 1024, 1, 2001]),
		own: random.chance(0.3) ? [random.pick([...V4, ...V6])] : [],
		helpers,
	};
}

/** Leaves out what is undefined, and keeps the big numbers. */
const big = (_, value) => (typeof value === "bigint" ? `${value}n` : value);
const unbig = (_, value) =>
	typeof value === "string" && /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value;
