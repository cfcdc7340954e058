// A second opinion on expectations, written from docs/expectation-policy.md alone: it shares no line with src/policy, works
// on plain objects and big numbers, and knows the table as text.

// helper | master l4 | server port | what | l4 | source | source port | destination | port | classes | flags | seconds | functions
const TABLE = `
ftp        | tcp     | 21    | all     | tcp     | E   | any  | E      | high   | 1       | -  | 300  | nat-follow-master
tftp       | udp     | 69    | all     | udp     | E   | any  | E      | client | 1       | -  | 300  | nat-follow-master
amanda     | udp     | 10080 | all     | tcp     | E   | any  | E      | high   | 4       | -  | 180  | nat-follow-master
sane       | tcp     | 6566  | all     | tcp     | E   | any  | E      | high   | 1       | -  | 300  | -
irc        | tcp     | 6667  | all     | tcp     | any | any  | client | high   | 8       | -  | 300  | nat-follow-master
pptp       | tcp     | 1723  | all     | gre     | E   | one  | E      | call   | 2       | -  | 300  | -
RAS        | udp     | 1719  | tcp     | tcp     | E   | any  | E      | high*  | 16      | P  | 300  | Q.931 nat-follow-master
RAS        | udp     | 1719  | udp     | udp     | E   | any  | E      | high   | 16      | -  | 240  | Q.931 nat-follow-master
Q.931      | tcp     | 1720  | tcp     | tcp     | E   | any  | E      | high   | 16      | P  | 240  | callforwarding nat-follow-master
Q.931      | tcp     | 1720  | udp     | udp     | E   | any  | E      | pair   | 16      | -  | 240  | callforwarding nat-follow-master
H.245      | tcp     | none  | tcp     | tcp     | E   | any  | E      | high   | 16      | P  | 240  | nat-follow-master
H.245      | tcp     | none  | udp     | udp     | E   | any  | E      | pair   | 16      | -  | 240  | nat-follow-master
sip        | tcp/udp | 5060  | class 0 | tcp/udp | E   | any  | E      | high   | 1 4 4 2 | PI | 3600 | sip nat-follow-master
sip        | tcp/udp | 5060  | others  | udp     | E   | any  | E      | high   | 1 4 4 2 | -  | 180! | sip nat-follow-master
netbios-ns | udp     | 137   | all     | udp     | net | =137 | E      | client | 1       | P  | 3    | -
snmp       | udp     | 161   | all     | udp     | net | =161 | E      | client | 1       | P  | 30   | -
`;
const ROWS = TABLE.trim()
	.split("\n")
	.map((line) => {
		const [
			helper,
			l4,
			server,
			what,
			proto,
			source,
			sport,
			destination,
			port,
			classes,
			flags,
			seconds,
			functions,
		] = line.split("|").map((cell) => cell.trim());
		return {
			helper,
			l4,
			server,
			what,
			proto,
			source,
			sport,
			destination,
			port,
			classes,
			flags,
			seconds,
			functions,
		};
	});
const CHAINS = ["RAS RAS", "RAS Q.931", "Q.931 Q.931", "Q.931 H.245", "H.245 H.245", "sip sip"];
const L4 = { 6: "tcp", 17: "udp", 47: "gre" };
const SECTION = { RAS: "h323", "Q.931": "h323", "H.245": "h323" };
const WIDE = { 4: 32n, 6: 128n };

/** The row's name for a helper of the kernel, which may have a port behind it. */
const baseName = (name) => {
	const found =
		ROWS.find((row) => row.helper === name) ??
		ROWS.find((row) => new RegExp(`^${row.helper.replace(".", "\\.")}-[0-9]{1,5}$`).test(name));
	return found?.helper;
};

const ones = (family, length = WIDE[family]) => ((1n << length) - 1n) << (WIDE[family] - length);

/** Leading ones of a mask; undefined when there is a hole. */
function prefix(family, mask) {
	for (let length = 0n; length <= WIDE[family]; length++)
		if (ones(family, length) === mask) return Number(length);
	return undefined;
}

const inNet = (net, family, address) =>
	net.family === family && (address & ones(family, BigInt(net.length))) === net.address;

function isSpecial(family, address) {
	if (family === 4) {
		const first = Number(address >> 24n);
		return first === 0 || first === 127 || (first >= 224 && first <= 239) || address === 0xffffffffn;
	}
	return address >> 120n === 0xffn || address >> 32n === 0n || address >> 32n === 0xffffn;
}

/**
 * The number of the first rule that is broken, 0 if none is, 17 if only the master is missing.
 *
 * e: { family, proto, src, dst, sport, dport, mask: { family, proto, src, dst, sport, dport }, masterFamily, helper, fn,
 *      class, flags, timeout, nat: { family, src, sport, dir } }
 * master: { family, proto, os, od, osp, odp, rs, rd, rsp, rdp, helper, dying }
 * policy: { replicated, minDstPort, own: [address], helpers: { ftp: { ... } } }
 */
export function firstBroken(e, master, policy, standing) {
	const name = master?.helper || e.helper || "";
	const base = baseName(name);
	const candidates = ROWS.filter((row) => row.helper === base);
	const row =
		candidates.length === 1
			? candidates[0]
			: (candidates.find(
					({ what }) => what === (base === "sip" ? (e.class === 0 ? "class 0" : "others") : L4[e.proto]),
				) ?? candidates[0]);
	const set = policy.helpers[SECTION[base] ?? base] ?? {};
	const E = master ? [master.os, master.od, master.rs, master.rd] : [];
	const clients = master ? [master.os, master.rd] : [];
	const any = {
		src:
			row?.source === "any" ||
			(base === "ftp" && set.fxp === true) ||
			(base === "RAS" && row.what === "tcp" && set.gkRoutedOnly === false) ||
			(base === "sip" &&
				(row.what === "class 0" ? set.directSignalling === false : set.directMedia === false)),
		dst:
			(base === "ftp" && set.loose === true) ||
			((base === "RAS" || base === "Q.931") && row.what === "tcp" && set.callForwardFilter === false) ||
			(base === "sip" &&
				(row.what === "class 0" ? set.directSignalling === false : set.directMedia === false)),
	};
	const length = prefix(e.family, e.mask.src);
	const all = Number(WIDE[e.family]);
	const isBroadcast = base === "netbios-ns" || base === "snmp";
	const rules = {
		1: () => {
			if (name === "") return master !== undefined;
			if (!base) return true;
			if (policy.replicated === true) return isBroadcast;
			return !policy.replicated.some((beginning) => name.toLowerCase().startsWith(beginning));
		},
		2: () =>
			master &&
			(master.dying ||
				(base && !row.l4.split("/").includes(L4[master.proto])) ||
				(base && !master.helper && String(master.odp) !== row.server)),
		3: () =>
			master &&
			e.helper &&
			master.helper &&
			e.helper !== master.helper &&
			!CHAINS.includes(`${base} ${baseName(e.helper)}`),
		4: () =>
			e.mask.family !== e.family ||
			e.mask.proto !== e.proto ||
			e.masterFamily !== e.family ||
			(master && master.family !== e.family) ||
			(e.nat && e.nat.family !== e.family) ||
			(row?.source !== "net" && (e.src & ~e.mask.src) !== 0n) ||
			(e.sport & ~e.mask.sport) !== 0 ||
			(e.proto !== 0 && (e.dport & ~e.mask.dport) !== 0),
		5: () =>
			e.mask.dst !== ones(e.family) ||
			e.mask.dport !== 0xffff ||
			![0, 0xffff].includes(e.mask.sport) ||
			(row && row.sport !== "any" && e.mask.sport === 0) ||
			length === undefined ||
			(length > 0 &&
				length < all &&
				(row?.source !== "net" || length < (e.family === 4 ? (set.minPrefix ?? 24) : 64))),
		6: () => {
			if (!master || !row) return false;
			if (row.sport.startsWith("=") && `=${e.sport}` !== row.sport) return true;
			if (any.src) return false;
			if (row.source === "net") return !(length > 0) || ((e.src ^ master.rs) & e.mask.src) !== 0n;
			return length !== all || !E.includes(e.src);
		},
		7: () => {
			if (!master) return false;
			if (isSpecial(e.family, e.dst)) return true;
			if (!row) return false;
			if (row.destination === "client" ? !clients.includes(e.dst) : !any.dst && !E.includes(e.dst))
				return true;
			const isNat =
				(e.dst === master.rd && master.rd !== master.os) || (e.dst === master.od && master.od !== master.rs);
			return !isBroadcast && !isNat && policy.own.includes(e.dst);
		},
		8: () => row && !row.proto.split("/").includes(L4[e.proto]),
		9: () => {
			if ([6, 17].includes(e.proto) && e.dport === 0) return true;
			if (!row || row.port === "call") return false;
			if (row.port === "client") return master !== undefined && e.dport !== master.rdp;
			const low = row.port === "pair" && e.dport % 2 === 1 ? e.dport - 1 : e.dport;
			if (low >= policy.minDstPort || (row.port === "high*" && e.dport === 1720)) return false;
			return !(set.dstPort && e.dport >= set.dstPort.from && e.dport <= set.dstPort.to);
		},
		10: () => row && e.class >= row.classes.split(" ").length,
		11: () => {
			if (!row) return false;
			const may =
				(row.flags.includes("P") ? 1 : 0) + (row.flags.includes("I") ? 2 : 0) + (set.userspace ? 4 : 0);
			return (e.flags & ~may) !== 0;
		},
		12: () => {
			if (e.timeout === undefined || e.timeout === 0) return true;
			if (!row) return false;
			const most = row.seconds.endsWith("!")
				? Number.parseInt(row.seconds, 10)
				: (set.timeout ?? Number(row.seconds));
			return e.timeout > most;
		},
		13: () => {
			if (!master || !standing || !row) return false;
			const ofClass = set.maxExpectations ?? Number(row.classes.split(" ")[e.class] ?? 0);
			return (
				standing.inClass >= ofClass ||
				standing.ofMaster >= Math.max(16, set.maxExpectations ?? 16) ||
				standing.ofOrigin >= 1024 ||
				standing.isTooFast
			);
		},
		14: () => {
			if (!master || !e.nat) return false;
			const plain =
				master.rs === master.od &&
				master.rd === master.os &&
				master.rsp === master.odp &&
				master.rdp === master.osp;
			if (plain || ![0, 1].includes(e.nat.dir)) return true;
			if (e.nat.src !== 0n && !E.includes(e.nat.src)) return true;
			if (e.nat.sport === 0 || row?.port === "call") return false;
			return row?.port === "client" ? e.nat.sport !== master.osp : e.nat.sport < 1024;
		},
		15: () => row && e.fn && !row.functions.split(" ").includes(e.fn),
		16: () => {
			if (!row) return false;
			const inSource = (net) => net.length <= (length ?? -1) && inNet(net, e.family, e.src & e.mask.src);
			if (set.srcNet && !set.srcNet.some(inSource)) return true;
			if (set.dstNet && !set.dstNet.some((net) => inNet(net, e.family, e.dst))) {
				if (!any.dst || (master && !E.includes(e.dst))) return true;
			}
			const isFree = ["high", "high*", "pair"].includes(row.port);
			return isFree && set.dstPort !== undefined && (e.dport < set.dstPort.from || e.dport > set.dstPort.to);
		},
	};
	for (let code = 1; code <= 16; code++) if (rules[code]()) return code;
	return master ? 0 : 17;
}
