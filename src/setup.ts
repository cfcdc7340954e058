// Configuration -> what the parts are opened with. Everything that depends on this host's interfaces is here.
import { networkInterfaces } from "node:os";
import type { DatagramLink } from "./channel/datagram-channel.ts";
import type { Config, LinkConfig } from "./config/config.ts";
import { parseAddress } from "./conntrack/address.ts";
import type { OwnTraffic } from "./filter/filter.ts";
import { crc32c } from "./sync/wire/crc32c.ts";
import { u32 } from "./sync/wire/frame.ts";

/** Socket buffers where the configuration does not say, bytes. */
const LINK_BUFFER = 2 << 20;
const NETLINK_BUFFER = 8 << 20;

/** What this version cannot do; the daemon does not start with it, or says that it goes on without. */
export function unsupported(config: Config): { fatal: string[]; warnings: string[] } {
	const fatal: string[] = [];
	const warnings: string[] = [];
	const { sync, stats, general } = config;
	if (!sync && !stats)
		fatal.push(`${config.file}: neither Sync nor Stats is configured: there is nothing to do`);
	if (stats)
		fatal.push(
			`${config.file}: the Stats mode is not available in this version: name a configuration with Sync by -C, or in /etc/ctsync/ctsync.conf`,
		);
	if (sync?.links.some((link) => link.type === "tcp")) {
		fatal.push(`${config.file}: the TCP transport is not available in this version: use UDP or Multicast`);
	}
	if (sync && sync.mode !== "FTFW") {
		warnings.push(
			`Mode ${sync.mode} is not available in this version: replicating reliably, as Mode FTFW does`,
		);
	}
	if (sync && sync.links.length > 1) {
		warnings.push("redundant links are not available in this version: using the default link only");
	}
	if (sync?.disableExternalCache) {
		warnings.push(
			"DisableExternalCache is not available in this version: the external cache is kept, commit with -c",
		);
	}
	if (sync?.disableInternalCache) {
		warnings.push("DisableInternalCache is not available in this version: the internal cache is kept");
	}
	if (general.pollSecs !== undefined) {
		warnings.push("PollSecs is not available in this version: listening to the kernel's events");
	}
	if (sync && !config.security)
		warnings.push("the dedicated link is not authenticated: whoever reaches it can insert connections");
	return { fatal, warnings };
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
		...(config.destination === undefined ? {} : { destination: parseAddress(config.destination)! }),
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
	return links.flatMap(({ address, destination, port }) => [
		{ address: parseAddress(address)!, port },
		...(destination === undefined ? [] : [{ address: parseAddress(destination)!, port }]),
	]);
}

/** The event socket's buffer, and the size that it may grow to after an overrun; bytes. */
export function netlinkBuffer({ general }: Config): { size: number; max: number } {
	const { netlinkBufferSize: size, netlinkBufferSizeMaxGrowth: max } = general;
	// conntrackd takes no notice of a size without a maximum
	if (size === undefined || max === undefined || size > max)
		return { size: NETLINK_BUFFER, max: max ?? NETLINK_BUFFER };
	return { size, max };
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
