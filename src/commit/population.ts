// For tests: what a busy firewall pair replicates, a little of everything.
import type { Conntrack, Expectation } from "../conntrack/conntrack.ts";
import { EXPECTATION, NAT, TCP, UDP } from "../netlink/kernel-cases.ts";

export interface Population {
	conntracks: Conntrack[];
	expectations: Expectation[];
}

const SNAT_ADDRESS = "203.0.113.9";

/** The FTP session of client `n`: its control connection behind source NAT, a data connection, the next one's hole. */
function ftpSession(n: number): Population {
	const client = `10.1.${n >> 8}.${n & 0xff}`;
	const server = "198.51.100.2";
	const port = 20_000 + n;
	const zone = n % 4 === 0 ? 7 : 0;
	const zones = { zoneOrig: zone, zoneReply: zone };
	const control: Conntrack = {
		...TCP,
		...zones,
		orig: { src: client, dst: server, sport: port, dport: 21 },
		reply: { src: server, dst: SNAT_ADDRESS, sport: 21, dport: port },
		status: 0x21de,
		helper: "ftp",
		seqOrig: { correctionPosition: 1000 + n, offsetBefore: 2, offsetAfter: 4 },
		seqReply: { correctionPosition: 0, offsetBefore: 0, offsetAfter: 0 },
	};
	const master = { family: "ipv4", protocol: 6, ...control.orig } as const;
	const data: Conntrack = {
		...TCP,
		...zones,
		orig: { src: server, dst: SNAT_ADDRESS, sport: 20, dport: port },
		reply: { src: client, dst: server, sport: port + 7, dport: 20 },
		status: 0x1af,
		master: { ...master, zone },
	};
	const hole: Expectation = {
		...EXPECTATION,
		zone,
		src: server,
		dst: SNAT_ADDRESS,
		dport: port + 1,
		master,
		fn: "nat-follow-master",
		nat: { ...NAT, sport: port + 9, direction: 1 },
		timeout: 60,
	};
	// the data connection comes first: whoever commits in this order has to wait for the master
	return { conntracks: [data, control], expectations: zone === 0 ? [hole] : [] };
}

function plain(n: number): Conntrack {
	const sport = 1024 + (n % 60_000);
	const src = `192.0.2.${n % 250}`;
	const dst = "198.51.100.2";
	const base = {
		orig: { src, dst, sport, dport: 443 },
		reply: { src: dst, dst: src, sport: 443, dport: sport },
	};
	switch (n % 8) {
		case 0:
			return {
				...TCP,
				...base,
				reply: { ...base.reply, dst: SNAT_ADDRESS, dport: 1024 + (n % 60_000) },
				status: 0x19e,
			};
		case 1:
			return { ...TCP, ...base, reply: { ...base.reply, src: "10.0.0.5", sport: 8443 }, status: 0x1ae };
		case 2:
			return { ...UDP, ...base, mark: n };
		case 3: {
			const echo = { icmpCode: 0, icmpId: sport };
			return {
				...UDP,
				protocol: 1,
				orig: { src, dst, ...echo, icmpType: 8 },
				reply: { src: dst, dst: src, ...echo, icmpType: 0 },
			};
		}
		case 4:
			return {
				...TCP,
				family: "ipv6",
				orig: { ...base.orig, src: `2001:db8::${n.toString(16)}`, dst: "2001:db8:1::1" },
				reply: { ...base.reply, src: "2001:db8:2::5", dst: `2001:db8::${n.toString(16)}` },
				status: 0x1ae,
			};
		case 5:
			return {
				...UDP,
				...base,
				protocol: 132,
				sctp: { state: "ESTABLISHED", vtagOrig: n, vtagReply: ~n >>> 0 },
			};
		case 6:
			return { ...TCP, ...base, zoneOrig: 3, zoneReply: 0, synproxy: { isn: n, its: 1, tsoff: 2 } };
		default:
			return { ...TCP, ...base, tcp: { ...TCP.tcp, state: n % 16 === 7 ? "TIME_WAIT" : "SYN_SENT" } };
	}
}

/** @param count about so many conntracks, one in ten of an FTP session */
export function populate(count: number): Population {
	const conntracks: Conntrack[] = [];
	const expectations: Expectation[] = [];
	for (let n = 0; conntracks.length < count; n++) {
		conntracks.push(plain(n));
		if (n % 18 !== 0) continue;
		const session = ftpSession(n);
		conntracks.push(...session.conntracks);
		expectations.push(...session.expectations);
	}
	return { conntracks, expectations };
}
