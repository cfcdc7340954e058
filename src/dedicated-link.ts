// The dedicated links of the configuration, opened, each with its guard, as one channel.
import type { Channel } from "./channel/channel.ts";
import { DatagramChannel } from "./channel/datagram-channel.ts";
import { RedundantChannel } from "./channel/redundant-channel.ts";
import { type Attendance, SourceGuard } from "./channel/source-guard.ts";
import { TcpChannel } from "./channel/tcp-channel.ts";
import type { Config, LinkConfig } from "./config/config.ts";
import { formatBytes, parseAddress } from "./conntrack/address.ts";
import { linkOf, ownAddresses, speakersOf } from "./setup.ts";
import type { Ftfw } from "./sync/ftfw.ts";
import type { Clock } from "./system/clock.ts";
import type { DaemonLog } from "./system/log.ts";
import type { Native } from "./system/native.ts";

/** Milliseconds without a word after which a link is in doubt where nothing is acknowledged. */
const SILENCE = 2000;

export interface LinkOptions {
	config: Config;
	native: Native;
	clock: Clock;
	log: DaemonLog;
	/** What speaks over the links: it is made when they are open. */
	ftfw: () => Ftfw;
}

export interface DedicatedLink {
	channel: RedundantChannel;
	/** The link that is used when all of them work, and the device that it is on. */
	config: LinkConfig;
	device: string;
	/** A line for the operator on who may speak on each. */
	readonly speakers: string;
	/** Who should be there and was never heard. */
	readonly silent: SilentNode[];
}

/** A node that was never heard. */
export interface SilentNode {
	/** Absent: a link that takes whoever comes, and nobody has. */
	address?: string;
	/** The links on which it is expected. */
	devices: string[];
	/** Something has come from it, but no handshake was made. */
	hasSpoken: boolean;
}

/** @throws Error with a line for the operator when a link cannot be opened; the others are closed then */
export function openLinks(options: LinkOptions): DedicatedLink {
	const { config, clock, log, ftfw } = options;
	const links = config.sync!.links.toSorted((a, b) => Number(b.isDefault) - Number(a.isDefault));
	const opened: Opened[] = [];
	/** Of this host, as far as they were ever seen: without carrier the system does not tell those of an interface. */
	const own = new Set(links.flatMap(ownAddressesOf));
	try {
		for (const link of links)
			opened.push(link.type === "tcp" ? openTcp(link, options) : openDatagram(link, options));
	} catch (error) {
		for (const { channel } of opened) channel.close();
		throw error;
	}
	const channel = new RedundantChannel({
		links: opened.map((one) => one.channel),
		clock,
		notice: (text) => log.notice(text),
		warning: (text) => log.warning(text),
		unanswered: () => unanswered(ftfw(), clock.now()),
		sayAlive: () => ftfw().sayAlive(clock.now()),
	});
	return {
		channel,
		config: links[0]!,
		device: channel.device,
		get speakers() {
			if (opened.length === 1) return opened[0]!.speakers();
			return opened.map((one) => `${one.channel.device}: ${one.speakers()}`).join("\n");
		},
		get silent() {
			const links = opened.map((one) => ({ device: one.channel.device, attendance: one.attendance() }));
			for (const address of ownAddresses()) own.add(address);
			return silentNodes(links, own);
		},
	};
}

const ownAddressesOf = ({ type, address, interfaceAddress }: LinkConfig): string[] =>
	[type === "multicast" ? undefined : address, interfaceAddress]
		.filter((each) => each !== undefined)
		.map((each) => formatBytes(parseAddress(each)!));

/** How long nothing has shown that the link works, milliseconds; 0 if something does, or nothing is expected. */
function unanswered({ mode, outgoing, peers }: Ftfw, now: number): number {
	if (mode.isAcknowledged) return outgoing.inFlight.unanswered(now);
	// whoever acknowledges nothing says at least that it is there, every second
	const hearing = peers.filter((peer) => peer.hears);
	if (hearing.length === 0) return 0;
	return Math.max(0, now - Math.max(...hearing.map((peer) => peer.heardAt)) - SILENCE);
}

/** A connection has broken for a moment: what was on its way is sent again, or is known to nobody. */
function restored(ftfw: Ftfw, now: number): void {
	if (!ftfw.mode.isAcknowledged) ftfw.bulk(now);
}

/**
 * The nodes that were never heard on any link. What a link with `Peers` expects may as well come over another one.
 *
 * @param own addresses of this host, which may stand in `Peers`
 */
export function silentNodes(
	links: readonly { device: string; attendance: readonly Attendance[] }[],
	own: ReadonlySet<string>,
): SilentNode[] {
	const nodes = new Map<string, SilentNode & { isHeard: boolean }>();
	for (const { device, attendance } of links) {
		for (const { address, hasSpoken, isHeard } of attendance) {
			if (address !== undefined && own.has(address)) continue;
			const key = address ?? `on ${device}`;
			const node = nodes.get(key) ?? {
				...(address !== undefined && { address }),
				devices: [],
				hasSpoken: false,
				isHeard: false,
			};
			nodes.set(key, node);
			node.devices.push(device);
			node.hasSpoken ||= hasSpoken;
			node.isHeard ||= isHeard;
		}
	}
	return [...nodes.values()].filter((node) => !node.isHeard).map(({ isHeard: _, ...node }) => node);
}

interface Opened {
	channel: Channel;
	speakers: () => string;
	attendance: () => Attendance[];
}

function openDatagram(config: LinkConfig, { config: whole, native, clock, log }: LinkOptions): Opened {
	const link = linkOf(config);
	const guard = new SourceGuard({
		family: config.family,
		speakers: speakersOf(whole, config, link.device),
		format: formatBytes,
		clock,
		notice: (text) => log.notice(text),
		warning: (text) => log.warning(text),
	});
	const channel = new DatagramChannel(native, link, guard);
	return {
		channel,
		speakers: () => guard.describe(channel.counters.foreign),
		attendance: () => guard.attendance,
	};
}

function openTcp(config: LinkConfig, { native, clock, log, ftfw }: LinkOptions): Opened {
	const { type: _, destinations = [], ...link } = linkOf(config);
	const peers = destinations.map((bytes) => ({ bytes, text: formatBytes(bytes) }));
	const channel = new TcpChannel({
		native,
		clock,
		link: { ...link, destinations: peers },
		admits: (address) => peers.some(({ text }) => text === canonical(address)),
		restored: () => restored(ftfw(), clock.now()),
		notice: (text) => log.notice(text),
	});
	return {
		channel,
		speakers: () => {
			const { foreign } = channel.counters;
			return `only the destinations may connect${foreign === 0 ? "" : `, ${foreign} others refused`}`;
		},
		attendance: () => {
			const heard = new Map([...channel.heard].map(([address, isHeard]) => [canonical(address), isHeard]));
			return peers.map(({ text }) => ({
				address: text,
				hasSpoken: heard.has(text),
				isHeard: heard.get(text) ?? false,
			}));
		},
	};
}

/** An address as the system writes it, as this program does. */
function canonical(address: string): string {
	const bytes = parseAddress(address);
	return bytes ? formatBytes(bytes) : address;
}
