// The dedicated links of the configuration, opened, each with its guard, as one channel.
import type { Channel } from "./channel/channel.ts";
import { DatagramChannel } from "./channel/datagram-channel.ts";
import { RedundantChannel } from "./channel/redundant-channel.ts";
import { SourceGuard } from "./channel/source-guard.ts";
import { TcpChannel } from "./channel/tcp-channel.ts";
import type { Config, LinkConfig } from "./config/config.ts";
import { formatBytes, parseAddress } from "./conntrack/address.ts";
import { linkOf, speakersOf } from "./setup.ts";
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
}

/** @throws Error with a line for the operator when a link cannot be opened; the others are closed then */
export function openLinks(options: LinkOptions): DedicatedLink {
	const { config, clock, log, ftfw } = options;
	const links = config.sync!.links.toSorted((a, b) => Number(b.isDefault) - Number(a.isDefault));
	const opened: Opened[] = [];
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
	};
}

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

interface Opened {
	channel: Channel;
	speakers: () => string;
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
	return { channel, speakers: () => guard.describe(channel.counters.foreign) };
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
	};
}

/** An address as the system writes it, as this program does. */
function canonical(address: string): string {
	const bytes = parseAddress(address);
	return bytes ? formatBytes(bytes) : address;
}
