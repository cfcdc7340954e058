// One to four dedicated links as one channel: one of them is sent on, all of them are heard.
//
// A link is left when its device has no carrier, and when nothing that is sent on it is acknowledged: a switch that
// drops silently keeps its carrier. What was lost meanwhile the protocol sends again. The others are probed, so that
// each node knows which of them it hears the other one on; the default link is taken again when it works.
import type { Clock } from "../system/clock.ts";
import { type Channel, type ChannelCounters, type DatagramHandler, newChannelCounters } from "./channel.ts";

// Milliseconds.
/** How often the devices are looked at. */
const LOOK_EVERY = 100;
/** Without an acknowledgement for so long the next link is tried. */
const SILENT_AFTER = 250;
/** A link on which nothing good has come for so long is not known to work: peers probe every second. */
const PROBE_EVERY = 1000;
const HEARD_WITHIN = 3000;
/** After so long without anything good on any link it is the peers that are gone: their probes come over all links. */
const GONE_AFTER = PROBE_EVERY + 3 * LOOK_EVERY;
/** The default link is not taken again earlier than this, and twice as late each time that it fails soon afterwards. */
const RETURN_AFTER = 5000;
const RETURN_AFTER_MAX = 300_000;

export interface RedundantOptions {
	/** The default link is the first. All are of one type. */
	links: readonly Channel[];
	clock: Clock;
	notice: (text: string) => void;
	warning: (text: string) => void;
	/** Milliseconds for which datagrams are out and none is acknowledged by anybody. */
	unanswered: () => number;
	/** Sends a datagram that says no more than that this node is there. */
	sayAlive: () => void;
}

interface Member {
	readonly link: Channel;
	/** When a good datagram came over it. */
	heardAt: number;
}

export class RedundantChannel implements Channel {
	readonly type: Channel["type"];
	readonly datagramMax: number;
	readonly credit: number;
	/** Times that another link was taken. */
	switches = 0;
	readonly #options: RedundantOptions;
	readonly #members: readonly Member[];
	#active: Member;
	/** Where probes go while they are sent. */
	#target: Member;
	#since: number;
	#probedAt: number;
	#returnAfter = RETURN_AFTER;
	#returnedAt = Number.NEGATIVE_INFINITY;
	#hasNone = false;
	#cancel: (() => void) | undefined;

	constructor(options: RedundantOptions) {
		const { links, clock } = options;
		this.#options = options;
		this.#members = links.map((link) => ({ link, heardAt: Number.NEGATIVE_INFINITY }));
		this.#active = this.#target = this.#members[0]!;
		this.type = links[0]!.type;
		// a datagram must fit whichever link it leaves by
		this.datagramMax = Math.min(...links.map((link) => link.datagramMax));
		this.credit = Math.min(...links.map((link) => link.credit));
		this.#since = this.#probedAt = clock.now();
	}

	/** Every link, the default first, and which one is in use. */
	get members(): readonly { link: Channel; isActive: boolean }[] {
		return this.#members.map((member) => ({ link: member.link, isActive: member === this.#active }));
	}

	get device(): string {
		return this.#active.link.device;
	}

	/** The sum of all links. */
	get counters(): ChannelCounters {
		const sum = newChannelCounters();
		for (const { link } of this.#members) {
			for (const name of Object.keys(sum) as (keyof ChannelCounters)[]) sum[name] += link.counters[name];
		}
		return sum;
	}

	get isCongested(): boolean {
		return this.#active.link.isCongested ?? false;
	}

	status(): string {
		return this.#active.link.status();
	}

	start(handler: DatagramHandler, batchEnd: () => void): void {
		const { clock } = this.#options;
		if (this.#members.length === 1) {
			this.#active.link.start(handler, batchEnd);
			return;
		}
		for (const member of this.#members) {
			member.link.start((bytes, start, end) => {
				const isGood = handler(bytes, start, end);
				if (isGood) member.heardAt = clock.now();
				return isGood;
			}, batchEnd);
		}
		this.#look();
	}

	send(bytes: Uint8Array, end: number): void {
		this.#target.link.send(bytes, end);
	}

	close(): void {
		this.#cancel?.();
		for (const { link } of this.#members) link.close();
	}

	#look(): void {
		const { clock, unanswered } = this.#options;
		const now = clock.now();
		this.#cancel = clock.after(LOOK_EVERY, () => this.#look());
		const isSilent = unanswered() >= SILENT_AFTER && now - this.#since >= SILENT_AFTER;
		if (this.#active.link.status() !== "RUNNING") this.#leave(now, "has no carrier");
		else if (isSilent && !this.#isAlone(now)) this.#leave(now, "does not get through");
		else this.#goBack(now);
		if (now - this.#probedAt >= PROBE_EVERY) this.#probe(now);
	}

	/** Takes the next link that the peers are heard on; else the next one that has a carrier. */
	#leave(now: number, why: string): void {
		const at = this.#members.indexOf(this.#active);
		const others = [...this.#members.slice(at + 1), ...this.#members.slice(0, at)];
		const running = others.filter(({ link }) => link.status() === "RUNNING");
		const next = running.find((member) => this.#isHeard(member, now)) ?? running[0];
		if (!next) {
			// a silent link is better than none; it may as well be the peer that is gone
			if (this.#active.link.status() === "RUNNING") return;
			if (!this.#hasNone) this.#options.warning("no dedicated links available!");
			this.#hasNone = true;
			return;
		}
		if (now - this.#returnedAt < this.#returnAfter) {
			this.#returnAfter = Math.min(RETURN_AFTER_MAX, this.#returnAfter * 2);
		}
		this.#take(next, now, `${this.#active.link.device} ${why}`);
	}

	#goBack(now: number): void {
		this.#hasNone = false;
		const first = this.#members[0]!;
		if (now - this.#since < this.#returnAfter) return;
		if (this.#active === first) {
			// it has worked for longer than it was waited for: what was is forgiven
			this.#returnAfter = RETURN_AFTER;
			return;
		}
		if (first.link.status() !== "RUNNING" || !this.#isHeard(first, now)) return;
		this.#returnedAt = now;
		this.#take(first, now, "the default works again");
	}

	#take(member: Member, now: number, why: string): void {
		this.#hasNone = false;
		this.#active = this.#target = member;
		this.#since = now;
		this.switches++;
		this.#options.notice(`device \`${member.link.device}' becomes dedicated link: ${why}`);
		// whoever hears it knows at once that this link works
		this.#options.sayAlive();
	}

	/** Whether the peers were heard once, and are not any more: no other link would get through either. */
	#isAlone(now: number): boolean {
		const last = Math.max(...this.#members.map(({ heardAt }) => heardAt));
		return last !== Number.NEGATIVE_INFINITY && now - last >= GONE_AFTER;
	}

	#isHeard(member: Member, now: number): boolean {
		return now - member.heardAt < HEARD_WITHIN;
	}

	#probe(now: number): void {
		this.#probedAt = now;
		for (const member of this.#members) {
			if (member === this.#active || member.link.status() === "DOWN") continue;
			this.#target = member;
			this.#options.sayAlive();
		}
		this.#target = this.#active;
	}
}
