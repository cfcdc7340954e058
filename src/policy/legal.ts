// For tests: masters and expectations as the kernel's helpers make them, as plain objects.
import type { Conntrack, Expectation } from "../conntrack/conntrack.ts";
import type { Tuple } from "../conntrack/tuple-object.ts";

export const CLIENT = "192.0.2.10";
export const SERVER = "198.51.100.20";
/** The firewall's address that clients are translated to. */
export const OUTSIDE = "203.0.113.1";
const TCP = 6;
const UDP = 17;

const FULL = "255.255.255.255";

/** From the client to the server; with `nat` the client's address and port are translated. */
export function masterOf(
	helper: string,
	options: { nat?: boolean; protocol?: number; sport?: number; dport?: number } = {},
): Conntrack {
	const [protocol, port] = MASTERS[helper.replace(/-\d+$/, "")] ?? [TCP, 80];
	const { nat = false, sport = 40_000, dport = port } = options;
	return {
		family: "ipv4",
		protocol: options.protocol ?? protocol,
		zoneOrig: 0,
		zoneReply: 0,
		orig: { src: CLIENT, dst: SERVER, sport, dport },
		reply: { src: SERVER, dst: nat ? OUTSIDE : CLIENT, sport: dport, dport: nat ? 50_000 : sport },
		status: nat ? 0x219e : 0x200e,
		timeout: 100,
		helper,
	};
}

const MASTERS: Readonly<Record<string, readonly [protocol: number, port: number]>> = {
	ftp: [TCP, 21],
	tftp: [UDP, 69],
	amanda: [UDP, 10080],
	sane: [TCP, 6566],
	irc: [TCP, 6667],
	pptp: [TCP, 1723],
	RAS: [UDP, 1719],
	"Q.931": [TCP, 1720],
	"H.245": [TCP, 5000],
	sip: [UDP, 5060],
	"netbios-ns": [UDP, 137],
	snmp: [UDP, 161],
};

/** An expectation under the master, from one address to another. */
export function expectationOf(
	master: Conntrack,
	change: Partial<Omit<Expectation, "mask">> & { mask?: Partial<Tuple> },
): Expectation {
	const { family, protocol, orig, helper } = master;
	const ports = change.protocol === 47 ? { srcKey: 0, dstKey: 0xffff } : { sport: 0, dport: 0xffff };
	const own = change.protocol === 47 ? { srcKey: 0, dstKey: 7 } : { sport: 0, dport: 30_000 };
	const base: Expectation = {
		family,
		protocol: TCP,
		src: SERVER,
		dst: master.reply!.dst,
		...own,
		zone: 0,
		mask: {
			family,
			protocol: change.protocol ?? TCP,
			src: FULL,
			dst: FULL,
			...ports,
			...change.mask,
		},
		master: { family, protocol, ...orig },
		class: 0,
		timeout: 180,
		helper: helper!,
		flags: 0,
	};
	const { mask: _, ...rest } = change;
	return { ...base, ...rest };
}

const ANY = { src: "0.0.0.0" } as const;

/** One of everything that a helper makes, by a name for it. */
export function legal(nat = false): [name: string, expectation: Expectation, master: Conntrack][] {
	const made: [string, Expectation, Conntrack][] = [];
	const add = (
		name: string,
		helper: string,
		change: Parameters<typeof expectationOf>[1],
		port: number | null = 41_000,
		fn = "nat-follow-master",
		natSrc = "0.0.0.0",
	): void => {
		const master = masterOf(helper, { nat });
		const protocol = change.protocol ?? TCP;
		const translated =
			nat && port !== null
				? {
						...(fn === "" ? {} : { fn }),
						nat: {
							family: "ipv4" as const,
							protocol,
							src: natSrc,
							dst: "0.0.0.0",
							...(protocol === 47 ? { srcKey: port, dstKey: 0 } : { sport: port, dport: 0 }),
							direction: 1,
						},
					}
				: {};
		made.push([name, expectationOf(master, { ...translated, ...change }), master]);
	};
	add("ftp active", "ftp", { timeout: 300 });
	add("ftp passive", "ftp", { src: CLIENT, dst: SERVER, timeout: 1 });
	add("ftp on another port", "ftp-2121", { timeout: 300 });
	const clientPort = nat ? 50_000 : 40_000;
	add("tftp", "tftp", { protocol: UDP, dport: clientPort, timeout: 300 }, 40_000);
	add("amanda", "amanda", { src: CLIENT, dst: SERVER, timeout: 180 });
	add("sane", "sane", { src: CLIENT, dst: SERVER, timeout: 300 }, null);
	add("irc", "irc", { ...ANY, mask: ANY, timeout: 300 });
	const call = { protocol: 47, timeout: 300, mask: { srcKey: 0xffff } } as const;
	add("pptp", "pptp", { ...call, srcKey: 3, dstKey: 5 }, 9, "");
	add("pptp back", "pptp", { ...call, src: CLIENT, dst: SERVER, srcKey: 5, dstKey: 3 }, 5, "");
	add("registered endpoint", "RAS", { flags: 1, timeout: 300, dport: 1720 }, 1720, "Q.931");
	add("gatekeeper", "RAS", { protocol: UDP, timeout: 240, dport: 1719 });
	add("h245", "Q.931", { timeout: 240 });
	add("forwarded call", "Q.931", { timeout: 240 }, 41_000, "callforwarding");
	add("rtp", "Q.931", { protocol: UDP, timeout: 240, dport: 30_001 });
	add("rtcp", "H.245", { protocol: UDP, timeout: 240, dport: 30_001 });
	add("t120", "H.245", { flags: 1, timeout: 240 });
	add(
		"sip registration",
		"sip",
		{ protocol: UDP, flags: 1, timeout: 3600, dport: 5060 },
		5060,
		"sip",
		CLIENT,
	);
	add("sip registration under way", "sip-5061", { protocol: UDP, flags: 3 }, 5060, "sip", CLIENT);
	for (const [name, number] of [
		["audio", 1],
		["video", 2],
		["image", 3],
	] as const) {
		add(`sip ${name}`, "sip", { protocol: UDP, class: number }, 41_000, "sip", CLIENT);
	}
	return made;
}

/** What the broadcast helpers make: for the firewall's own questions, never translated. */
export function broadcast(helper: "netbios-ns" | "snmp"): [expectation: Expectation, master: Conntrack] {
	const port = helper === "snmp" ? 161 : 137;
	const master: Conntrack = {
		...masterOf(helper),
		orig: { src: "10.2.0.1", dst: "10.2.0.255", sport: 46_709, dport: port },
		reply: { src: "10.2.0.255", dst: "10.2.0.1", sport: port, dport: 46_709 },
		status: 0x2188,
	};
	const expectation = expectationOf(master, {
		protocol: UDP,
		src: "10.2.0.255",
		dst: "10.2.0.1",
		sport: port,
		dport: 46_709,
		flags: 1,
		timeout: helper === "snmp" ? 29 : 2,
		mask: { src: "255.255.255.0", sport: 0xffff },
	});
	return [expectation, master];
}
