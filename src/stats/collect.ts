// Counters of the parts -> what the statistics show.
import type { CacheCounters } from "../cache/cache-counters.ts";
import type { Channel } from "../channel/channel.ts";
import type { Injection } from "../commit/injection.ts";
import type { Kind } from "../conntrack/kind.ts";
import { formatNode } from "../conntrack/node-id.ts";
import type { ControlCounters } from "../control/server.ts";
import type { EventCounters } from "../netlink/event-listener.ts";
import type { Ftfw } from "../sync/ftfw.ts";
import { modeName } from "../sync/mode.ts";
import type { Peer } from "../sync/peer.ts";
import { differences } from "../sync/peer-differences.ts";
import type { EqualityStats, InjectStats, NodeStats, PeerStats, RuntimeStats } from "./counters.ts";
import {
	type CacheStats,
	type LinkStats,
	makeCacheStats,
	makeRuntimeStats,
	type NetworkStats,
} from "./counters.ts";

/** A cache: how many entries, and what happened to them. */
interface Countable {
	readonly store: { readonly count: number; readonly live: number };
	readonly counters: CacheCounters;
}

/** Several caches as one: the external side has one for each peer. */
export function cacheStats(caches: readonly Countable[]): CacheStats {
	const stats = makeCacheStats();
	for (const { store, counters } of caches) {
		stats.objects += store.count;
		stats.active += store.live;
		stats.createOk += counters.created;
		stats.createFailed += counters.createFailed;
		stats.createNoSpace += counters.createNoSpace;
		stats.updateOk += counters.updated;
		stats.updateFailed += counters.updateFailed;
		stats.updateNotFound += counters.updateNotFound;
		stats.destroyOk += counters.destroyed;
		stats.destroyFailed += counters.destroyFailed;
		stats.destroyNotFound += counters.destroyNotFound;
	}
	return stats;
}

/** What direct injection has done with the peers' entries of this kind. */
export function injectStats(
	{ counters, waiting }: Pick<Injection, "counters" | "waiting">,
	caches: readonly Countable[],
	kind: Kind,
): InjectStats {
	const of = counters[kind];
	return {
		createOk: of.created,
		createFailed: of.createFailed,
		updateOk: of.updated,
		updateFailed: of.updateFailed,
		destroyOk: of.destroyed,
		destroyFailed: of.destroyFailed,
		more: { held: caches.reduce((sum, { store }) => sum + store.live, 0), waiting, kept: of.kept },
	};
}

export function linkStats(channel: Channel, isActive: boolean): LinkStats {
	const { counters } = channel;
	return {
		type: channel.type,
		device: channel.device,
		status: channel.status() as LinkStats["status"],
		role: isActive ? "ACTIVE" : "BACKUP",
		sentBytes: counters.sentBytes,
		sentPackets: counters.sentPackets,
		sentErrors: counters.sendErrors,
		receivedBytes: counters.receivedBytes,
		receivedPackets: counters.receivedPackets,
		receivedErrors: counters.receiveErrors,
		...(channel.sides && { tcp: channel.sides }),
	};
}

export function networkStats(ftfw: Ftfw, channel: Channel): NetworkStats {
	const c = ftfw.counters;
	const stats = {
		malformed: 0,
		version: c.badVersion,
		header: c.badHeader + c.ownNode + c.tooManyPeers + c.unknownEpoch + c.helloFlood,
		payload: c.badPayload + c.badSeal,
		type: c.badType,
		truncated: c.truncated + channel.counters.truncated,
		size: c.badSize,
		sendMalformed: 0,
		lost: Math.max(0, c.lost),
		before: c.replayed,
	};
	stats.malformed = stats.version + stats.header + stats.payload + stats.type + stats.truncated + stats.size;
	return stats;
}

export function nodeStats({ contacts, mode }: Ftfw): NodeStats {
	const { state, conflict } = contacts;
	return {
		isPrimary: state.isPrimary,
		isActiveActive: state.isActiveActive,
		term: state.term,
		...(mode.id === 0 ? {} : { mode: modeName(mode.id) }),
		...(conflict ? { rival: formatNode(conflict.node) } : {}),
	};
}

/** What is held here of the peer. */
function theirEquality({ equality, external }: Peer, now: number): EqualityStats {
	const { verifiedAt, differing, refuted, isSuspended } = equality;
	return {
		...(Number.isFinite(verifiedAt) ? { verifiedSeconds: (now - verifiedAt) / 1000 } : {}),
		differing,
		refused: external[0].refused + external[1].refused,
		refusals: refusalsOf(external),
		wrong: refuted,
		isSuspended,
	};
}

/** What the peer holds of ours, as it has reported. */
function ourEquality({ equality: { report, refusals, wrong } }: Peer, now: number): EqualityStats {
	if (!report) return { differing: 0, refused: 0, refusals: [], wrong, isSuspended: false };
	const { at, age, differing, refused, isEmptied } = report;
	return {
		...(Number.isFinite(age) ? { verifiedSeconds: (now - at + age) / 1000 } : {}),
		differing,
		refused,
		refusals,
		wrong,
		isSuspended: isEmptied,
	};
}

/** Why entries of a peer are not taken, or kept back. */
const refusalsOf = ([conntracks, expectations]: Peer["external"]): ArrayLike<number> =>
	conntracks.refusals.map((count, reason) => count + expectations.refusals[reason]!);

/** What is to be said of a peer's mode, where it is not Mode FTFW on both sides. */
function modeStats({ mode }: Ftfw, peer: Peer): Partial<PeerStats> {
	const { state, isReliable, unconfirmed } = peer;
	if (mode.id === state.mode && isReliable) return {};
	return {
		mode: modeName(state.mode),
		isUnrepaired: true,
		hasNoCache: state.hasNoCache,
		...(unconfirmed > 0 && !peer.isReceivingBulk && { unconfirmed }),
	};
}

export function peerStats(ftfw: Ftfw, now: number): PeerStats[] {
	return ftfw.peers.map((peer) => ({
		node: peer.node,
		address: formatNode(peer.node),
		state: peer.isUp && peer.hears ? "up" : peer.isUp ? "handshake" : "down",
		dirty: ftfw.outgoing.dirty.queue.length,
		inFlight: ftfw.outgoing.inFlight.count,
		...(Number.isFinite(peer.heardAt) ? { rxAgeMs: Math.round(now - peer.heardAt) } : {}),
		held: peer.external[0].store.live + peer.external[1].store.live,
		isPrimary: peer.state.isPrimary,
		isActiveActive: peer.state.isActiveActive,
		term: peer.state.term,
		...modeStats(ftfw, peer),
		...differences(peer.state, ftfw.contacts.state),
		theirs: theirEquality(peer, now),
		ours: ourEquality(peer, now),
	}));
}

export interface RuntimeSources {
	uptimeSeconds: number;
	events: EventCounters;
	filtered: number;
	dumpMalformed: number;
	kernelFlushes: number;
	kernelResyncs: number;
	/** Bytes. */
	netlinkBuffer: number;
	workerFailures: number;
	control: ControlCounters;
}

export function runtimeStats(from: RuntimeSources): RuntimeStats {
	return {
		...makeRuntimeStats(),
		uptimeSeconds: from.uptimeSeconds,
		eventsReceived: from.events.received,
		eventsFiltered: from.filtered,
		eventsUnknownType: from.events.unknownType,
		catchEventFailed: from.events.malformed,
		dumpUnknownType: from.dumpMalformed,
		netlinkOverrun: from.events.overruns,
		kernelFlushes: from.kernelFlushes,
		kernelResyncs: from.kernelResyncs,
		netlinkBufferBytes: from.netlinkBuffer,
		childFailed: from.workerFailures,
		localReadFailed: from.control.readErrors,
		localUnknownRequest: from.control.unknownRequests,
	};
}
