// The dedicated links of the configuration, opened, each with its guard, as one channel.
import { DatagramChannel } from "./channel/datagram-channel.ts";
import { RedundantChannel } from "./channel/redundant-channel.ts";
import { SourceGuard } from "./channel/source-guard.ts";
import type { Config, LinkConfig } from "./config/config.ts";
import { formatBytes } from "./conntrack/address.ts";
import { linkOf, speakersOf } from "./setup.ts";
import type { Clock } from "./system/clock.ts";
import type { DaemonLog } from "./system/log.ts";
import type { Native } from "./system/native.ts";

export interface LinkOptions {
	config: Config;
	native: Native;
	clock: Clock;
	log: DaemonLog;
	/** See RedundantChannel. */
	unanswered: () => number;
	sayAlive: () => void;
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
	const { config, native, clock, log } = options;
	const links = config.sync!.links.toSorted((a, b) => Number(b.isDefault) - Number(a.isDefault));
	const opened: { link: DatagramChannel; guard: SourceGuard }[] = [];
	try {
		for (const one of links) {
			const link = linkOf(one);
			const guard = new SourceGuard({
				family: one.family,
				speakers: speakersOf(config, one, link.device),
				format: formatBytes,
				clock,
				notice: (text) => log.notice(text),
				warning: (text) => log.warning(text),
			});
			opened.push({ link: new DatagramChannel(native, link, guard), guard });
		}
	} catch (error) {
		for (const { link } of opened) link.close();
		throw error;
	}
	const channel = new RedundantChannel({
		links: opened.map(({ link }) => link),
		clock,
		notice: (text) => log.notice(text),
		warning: (text) => log.warning(text),
		unanswered: options.unanswered,
		sayAlive: options.sayAlive,
	});
	return {
		channel,
		config: links[0]!,
		device: opened[0]!.link.device,
		get speakers() {
			const [only] = opened;
			if (opened.length === 1) return only!.guard.describe(only!.link.counters.foreign);
			return opened
				.map(({ link, guard }) => `${link.device}: ${guard.describe(link.counters.foreign)}`)
				.join("\n");
		},
	};
}
