// Configuration -> what the parts are opened with. Everything that depends on this host's interfaces is here.
import { networkInterfaces } from "node:os";
import type { DatagramLink } from "./channel/datagram-channel.ts";
import type { Network, Speakers } from "./channel/source-guard.ts";
import type { Config, ExpectationPolicyConfig, FilterConfig, LinkConfig } from "./config/config.ts";
import { formatBytes, parseAddress } from "./conntrack/address.ts";
import { IPPROTO_TCP, IPPROTO_UDP } from "./conntrack/protocol.ts";
import type { OwnTraffic } from "./filter/filter.ts";
import { kernelFilter } from "./filter/kernel-filter.ts";
import { AlarmMode } from "./sync/alarm.ts";
import { ftfwMode, type ReplicationMode } from "./sync/mode.ts";
import { notrackMode, PassingNotrack, type PassingOptions } from "./sync/notrack.ts";
import { crc32c } from "./sync/wire/crc32c.ts";
import { u32 } from "./sync/wire/frame.ts";
import type { Clock } from "./system/clock.ts";
import { DaemonLog } from "./system/log.ts";
import { AF_INET, AF_INET6, explain, type Native, SOCK_DGRAM } from "./system/native.ts";
import { socketAddress } from "./system/socket-address.ts";
import { readSysctl, type Sysctl } from "./system/sysctl.ts";

/** Socket buffers where the configuration does not say, bytes. */
const LINK_BUFFER = 2 << 20;
const NETLINK_BUFFER = 8 << 20;

/** What a configuration as a whole comes to and may not have been meant; lines for the log and `--check`. */
export function cautions(config: Config): string[] {
	const warnings: string[] = [];
	const { sync, stats, general } = config;
	if (!sync && !stats) {
		warnings.push(
			"no running mode specified: collecting statistics, as with an empty Stats section. Nothing is replicated",
		);
	}
	if (sync?.disableInternalCache && general.pollSecs !== undefined) {
		warnings.push("PollSecs compares the kernel with the internal cache: DisableInternalCache has no effect");
	}
	if (sync && !config.security)
		warnings.push("the dedicated link is not authenticated: whoever reaches it can insert connections");
	return warnings;
}

/** Conntracks of this kernel are passed on and not kept. */
export function keepsNothing({ sync, general }: Config): boolean {
	return sync?.mode === "NOTRACK" && sync.disableInternalCache && general.pollSecs === undefined;
}

/** How this node replicates. @param entropy random bytes */
export function replicationMode(
	config: Config,
	passing: PassingOptions,
	entropy: (size: number) => Uint8Array,
): ReplicationMode {
	const { mode, refreshTime, cacheTimeout } = config.sync!;
	if (keepsNothing(config)) return new PassingNotrack(passing);
	if (mode === "ALARM") return new AlarmMode({ refreshTime, cacheTimeout, entropy });
	return mode === "NOTRACK" ? notrackMode : ftfwMode;
}

/** The log that the configuration asks for, and the console's if the daemon has one. */
export function openLog(
	{ logFile, syslog }: Pick<Config["general"], "logFile" | "syslog">,
	{ clock, native, console }: { clock: Clock; native: Native; console: boolean },
): DaemonLog {
	return new DaemonLog({
		clock,
		console,
		...(logFile === false ? {} : { file: logFile }),
		...(syslog === false ? {} : { syslog: { facility: syslog, native } }),
	});
}

/** @throws Error when an address of the link is not this host's or the interface does not exist */
export function linkOf(config: LinkConfig): DatagramLink {
	const device = config.interface ?? deviceWith(config.address);
	if (device === undefined) {
		throw new Error(`no interface has the address ${config.address}: name one with "Interface"`);
	}
	return {
		type: config.type === "multicast" ? "multicast" : "udp",
		address: parseAddress(config.address)!,
		...(config.destinations && { destinations: config.destinations.map(bytesOf) }),
		port: config.port,
		device,
		...(config.interfaceAddress === undefined
			? {}
			: { interfaceAddress: parseAddress(config.interfaceAddress)! }),
		sendBuffer: config.sndSocketBuffer ?? LINK_BUFFER,
		receiveBuffer: config.rcvSocketBuffer ?? LINK_BUFFER,
		checksum: config.checksum,
	};
}

/**
 * Whose datagrams are looked at: those of the destinations of a unicast link, of the Peers, else of everybody who has a
 * key; without a key those of the first node on the link's own network that shakes hands.
 */
export function speakersOf({ sync, security }: Config, link: LinkConfig, device: string): Speakers {
	if (link.destinations) {
		return { who: "listed", addresses: link.destinations.map(bytesOf), named: "the destinations" };
	}
	if (sync?.peers) {
		const others = sync.peers.filter((peer) => peer !== link.interfaceAddress);
		return { who: "listed", addresses: others.map(bytesOf), named: "the Peers" };
	}
	return security ? { who: "all" } : { who: "first", networks: () => networksOf(device) };
}

/**
 * Whether the link could be opened on this host: its interface is there, and so is its own address, if one is named.
 *
 * @throws Error with a line for the operator
 */
export function lookForLink(native: Native, link: LinkConfig): void {
	const { device } = linkOf(link);
	const own = link.type === "multicast" ? link.interfaceAddress : link.address;
	try {
		const [index] = native.interfaceInfo(device);
		if (own !== undefined) tryAddress(native, bytesOf(own), index);
	} catch (error) {
		throw explain(`interface ${device}`, error);
	}
}

/** A socket can be bound to an address of this host, also while its interface is down. */
function tryAddress(native: Native, address: Uint8Array, index: number): void {
	const fd = native.openSocket(address.length === 4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
	try {
		native.bindSocket(fd, socketAddress(address, 0, index));
	} catch (error) {
		throw new Error(`${formatBytes(address)}: ${(error as Error).message}`);
	} finally {
		native.closeSocket(fd);
	}
}

/**
 * The node's id: the IPv4 address of the link, or a checksum of its IPv6 address. Two nodes of a segment cannot have
 * the same address, so they do not have the same id.
 *
 * @throws Error when the interface has no address
 */
export function nodeIdOf(config: LinkConfig, device: string): number {
	const text =
		config.type === "multicast"
			? (config.interfaceAddress ?? addressOf(device, config.family))
			: config.address;
	if (text === undefined) throw new Error(`interface ${device} has no IPv${config.family} address`);
	const address = parseAddress(text)!;
	return address.length === 4 ? u32(address, 0) : crc32c(address, 0, 16);
}

/** The replication itself, which must never be replicated. */
export function ownTraffic(links: readonly LinkConfig[]): OwnTraffic[] {
	return links.flatMap(({ type, address, destinations = [], port }) => {
		const protocol = type === "tcp" ? IPPROTO_TCP : IPPROTO_UDP;
		return [address, ...destinations].map((each) => ({ protocol, address: bytesOf(each), port }));
	});
}

/**
 * A checksum of what decides which entries are replicated, to be compared between nodes. Addresses are left out: each
 * node ignores its own.
 */
export function policyChecksum({ general, sync }: Config): number {
	const { protocol, state, mark, zone, label, minimumAge, ownConnections } = general.filter ?? {};
	const ours = { mark, zone, label, minimumAge, ownConnections };
	const expectations = sync?.expectationSync ?? false;
	const text = JSON.stringify([
		protocol && [protocol.accept, protocol.protocols.toSorted((a, b) => a - b)],
		state && [state.accept, state.tcpStates.toSorted((a, b) => a - b)],
		Array.isArray(expectations) ? expectations.toSorted() : expectations,
		...widened(sync?.expectationPolicy),
		// as for a node that knows no such clauses, where there are none
		...(Object.values(ours).some((clause) => clause !== undefined) ? [JSON.stringify(ours)] : []),
	]);
	const bytes = new TextEncoder().encode(text);
	return crc32c(bytes, 0, bytes.length) >>> 0;
}

/** What is allowed otherwise than by default: nothing, as a rule, and then it is as for a node that knows no such thing. */
function widened(policy: ExpectationPolicyConfig | undefined): unknown[] {
	if (!policy || (policy.minDstPort === 1024 && Object.keys(policy.helpers).length === 0)) return [];
	const plain = (_: string, value: unknown): unknown =>
		value instanceof Uint8Array ? formatBytes(value) : value;
	return [JSON.stringify([policy.minDstPort, policy.helpers], plain)];
}

/** What the kernel of this namespace does not do and should; lines for the log. */
export function kernelWarnings(isActiveActive = false, sysctl: Sysctl = readSysctl): string[] {
	const lines: string[] = [];
	if (sysctl("net.netfilter.nf_conntrack_events") === 0) {
		lines.push(
			"net.netfilter.nf_conntrack_events is 0: the kernel does not tell of new connections, set it to 1",
		);
	}
	if (isActiveActive && sysctl("net.netfilter.nf_conntrack_tcp_be_liberal") === 0) {
		lines.push(
			"net.netfilter.nf_conntrack_tcp_be_liberal is 0: a TCP connection that comes back to this node after it has passed another is INVALID, set it to 1",
		);
	}
	return lines;
}

/**
 * The program of the event socket: it drops what this daemon's own requests to `ports` cause and, if the file says so,
 * what the Filter is against. Dumps are filtered here in any case, and so is everything when the program gets too long.
 */
export function eventFilter(
	filter: FilterConfig | undefined,
	ports: readonly number[],
	log: Pick<DaemonLog, "warning">,
): { program: Uint8Array; place: "kernel-space" | "user-space" } {
	if (filter?.from === "kernelspace") {
		try {
			return { program: kernelFilter(filter, ports), place: "kernel-space" };
		} catch (error) {
			log.warning((error as Error).message);
		}
	}
	return { program: kernelFilter({}, ports), place: "user-space" };
}

/** The event socket's buffer, and the size that it may grow to after an overrun; bytes. */
export function netlinkBuffer({ general }: Config): { size: number; max: number } {
	const { netlinkBufferSize: size, netlinkBufferSizeMaxGrowth: max } = general;
	// conntrackd takes no notice of a size without a maximum
	if (size === undefined || max === undefined || size > max)
		return { size: NETLINK_BUFFER, max: max ?? NETLINK_BUFFER };
	return { size, max };
}

const bytesOf = (address: string): Uint8Array => parseAddress(address)!;

/** None while the interface is down or has no carrier, and when the system does not tell: then it is asked again. */
function networksOf(device: string): Network[] {
	try {
		return (networkInterfaces()[device] ?? []).flatMap(({ address, cidr }) =>
			cidr === null ? [] : [{ address: bytesOf(address), prefixLength: Number(cidr.split("/")[1]) }],
		);
	} catch {
		return [];
	}
}

/** All addresses of this host, as this program writes them; none when the system does not tell. */
export function ownAddresses(): ReadonlySet<string> {
	try {
		const lists = Object.values(networkInterfaces());
		return new Set(lists.flatMap((list) => list!.map(({ address }) => formatBytes(bytesOf(address)))));
	} catch {
		return new Set();
	}
}

function deviceWith(address: string): string | undefined {
	for (const [name, list] of Object.entries(networkInterfaces())) {
		if (list?.some((info) => info.address === address)) return name;
	}
	return undefined;
}

function addressOf(device: string, family: 4 | 6): string | undefined {
	const list = networkInterfaces()[device]?.filter((info) => info.family === `IPv${family}`);
	// any will do; a link-local one is always there and never moves
	return (list?.find((info) => info.address.startsWith("fe80:")) ?? list?.[0])?.address;
}
