// HELLO: how two nodes come to believe in each other's epoch.
//
// A node that starts draws a random epoch. A receiver adopts an epoch only when a HELLO of that epoch echoes the
// random challenge which the receiver has set this sender; the challenge is then replaced. So no recorded HELLO ever
// brings an old epoch back, and both sides learn of a restart of the other.
//
// The epoch stands in clear behind the frame header; the record is
//
//   [1, least version, version, flags, term, credit, policy, keys, [[node, adopted tag, is heard, challenge, echo, offered] ...]]
//
// A later version may put more elements behind these, in both arrays. The list has an entry for each peer that the
// sender knows: the tag of the epoch that it has adopted of that peer (0: none, or the peer is not heard any more),
// whether it knows that the peer has adopted its own (if not, it wants a HELLO in answer), the challenge it sets, the
// peer's own challenge echoed (empty: not heard yet), and how many entries it has to give back (return-snapshot.ts).
// Of a peer that greets with an epoch that is not adopted there is an entry more, which echoes that one's challenge.

import { MsgpackReader, type MsgpackWriter } from "./wire/msgpack.ts";
import { RecordType } from "./wire/record-type.ts";

/** The versions of the protocol that this build speaks. A pair speaks the highest that both do. */
export const PROTOCOL_VERSION = 1;
export const PROTOCOL_VERSION_MIN = 1;
export const CHALLENGE_SIZE = 16;
/** Every peer, and as many that are not known yet. */
const LIST_MAX = 48;
const ELEMENTS = 9;
const ENTRY_ELEMENTS = 6;
/** Bytes of an entry at most, and what a HELLO needs behind the list. */
const ENTRY_SIZE = 56;
const KEY_SIZE = 4;
export const KEYS_MAX = 32;

const IS_PRIMARY = 1;
const MODE_SHIFT = 1;
const MODE_MASK = 3 << MODE_SHIFT;
const HAS_NO_CACHE = 1 << 3;
const IS_ACTIVE_ACTIVE = 1 << 4;

/** What a node says of itself in every HELLO. */
export interface NodeState {
	/** It has committed, and nobody has told it since that another node is in charge. */
	isPrimary: boolean;
	/** It forwards whatever the others do, and is neither primary nor backup: `Role active-active`. */
	isActiveActive: boolean;
	/** Grows with every takeover in the cluster: the latest primary has the highest. */
	term: number;
	/** A checksum of what decides which entries are replicated: all nodes should have the same. */
	policy: number;
	/** How it replicates: one of MODE, or that of a later version. */
	mode: number;
	/** It keeps no internal cache (DisableInternalCache): it cannot be compared with. */
	hasNoCache: boolean;
	/** Fingerprints (first words) of the keys that it accepts. */
	keys: readonly number[];
}

/** Of a node that has said nothing of itself yet. */
export const nothingSaid = (): NodeState => ({
	isPrimary: false,
	isActiveActive: false,
	term: 0,
	policy: 0,
	mode: 0,
	hasNoCache: false,
	keys: [],
});

/** What a HELLO says to one of its receivers. */
export interface Greeting {
	node: number;
	adoptedTag: number;
	isHeard: boolean;
	challenge: Uint8Array;
	echo: Uint8Array;
	offered: number;
}

/** What a HELLO says, its list reduced to the entries for the receiver. */
export interface Hello {
	versionMin: number;
	version: number;
	state: NodeState;
	credit: number;
	forMe: Greeting[];
}

/**
 * Writes the list as far as it fits below `max`, beginning at entry `from`: a receiver that finds nothing about
 * itself learns nothing, and is in the next one.
 *
 * @returns the entry to begin with next time
 */
export function writeHello(
	writer: MsgpackWriter,
	own: { credit: number; state: NodeState },
	list: readonly Greeting[],
	from: number,
	max: number,
): number {
	const { state } = own;
	writer.array(ELEMENTS);
	writer.uint(RecordType.hello);
	writer.uint(PROTOCOL_VERSION_MIN);
	writer.uint(PROTOCOL_VERSION);
	writer.uint(
		(state.isPrimary ? IS_PRIMARY : 0) |
			(state.mode << MODE_SHIFT) |
			(state.hasNoCache ? HAS_NO_CACHE : 0) |
			(state.isActiveActive ? IS_ACTIVE_ACTIVE : 0),
	);
	writer.uint(state.term);
	writer.uint(own.credit);
	writer.uint32(state.policy);
	const keys = state.keys.slice(0, KEYS_MAX);
	writer.binHeader(keys.length * KEY_SIZE);
	for (const key of keys) {
		for (let shift = 24; shift >= 0; shift -= 8) writer.bytes[writer.at++] = key >>> shift;
	}
	const count = Math.min(list.length, LIST_MAX, Math.max(1, Math.floor((max - writer.at - 3) / ENTRY_SIZE)));
	writer.array(count);
	for (let i = 0; i < count; i++) {
		const { node, adoptedTag, isHeard, challenge, echo, offered } = list[(from + i) % list.length]!;
		writer.array(ENTRY_ELEMENTS);
		writer.uint(node);
		writer.uint(adoptedTag);
		writer.uint(isHeard ? 1 : 0);
		writer.bin(challenge);
		writer.bin(echo);
		writer.uint(offered);
	}
	return list.length === 0 ? 0 : (from + count) % list.length;
}

/** Reads the HELLO in bytes [start, end), which holds nothing else; undefined if it is malformed. */
export function readHello(bytes: Uint8Array, start: number, end: number, node: number): Hello | undefined {
	const reader = new MsgpackReader();
	reader.reset(bytes, start, end);
	const elements = reader.array();
	if (elements < ELEMENTS || reader.uint(0xff) !== RecordType.hello) return undefined;
	const versionMin = reader.uint(0xff);
	const version = reader.uint(0xff);
	const flags = reader.uint(0xff);
	const term = reader.uint(0xffffffff);
	const credit = reader.uint(0xffff);
	const policy = reader.uint(0xffffffff);
	const keysAt = reader.binUpTo(KEYS_MAX * KEY_SIZE);
	const keys: number[] = [];
	for (let at = keysAt; at + KEY_SIZE <= keysAt + reader.length && !reader.failed; at += KEY_SIZE) {
		keys.push(((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0);
	}
	const entries = reader.array();
	if (reader.failed || entries > LIST_MAX) return undefined;
	const state = {
		isPrimary: (flags & IS_PRIMARY) !== 0,
		isActiveActive: (flags & IS_ACTIVE_ACTIVE) !== 0,
		term,
		policy,
		mode: (flags & MODE_MASK) >>> MODE_SHIFT,
		hasNoCache: (flags & HAS_NO_CACHE) !== 0,
		keys,
	};
	const hello: Hello = { versionMin, version, state, credit, forMe: [] };
	for (let i = 0; i < entries; i++) {
		const greeting = readGreeting(reader);
		if (!greeting) return undefined;
		if (greeting.node === node) hello.forMe.push(greeting);
	}
	reader.skip(elements - ELEMENTS);
	return reader.failed || reader.at !== end ? undefined : hello;
}

function readGreeting(reader: MsgpackReader): Greeting | undefined {
	const elements = reader.array();
	if (elements < ENTRY_ELEMENTS) return undefined;
	const node = reader.uint(0xffffffff);
	const adoptedTag = reader.uint(0xffffffff);
	const isHeard = reader.uint(1) === 1;
	const challengeAt = reader.bin(CHALLENGE_SIZE);
	const echoAt = reader.binUpTo(CHALLENGE_SIZE);
	const echo = reader.bytes.slice(echoAt, echoAt + reader.length);
	const offered = reader.uint(0xffffffff);
	reader.skip(elements - ENTRY_ELEMENTS);
	if (reader.failed) return undefined;
	const challenge = reader.bytes.slice(challengeAt, challengeAt + CHALLENGE_SIZE);
	return { node, adoptedTag, isHeard, challenge, echo, offered };
}

/** The first word of an epoch, which every header carries; never 0, which says "none". */
export function epochTagOf(epoch: Uint8Array): number {
	const tag = ((epoch[0]! << 24) | (epoch[1]! << 16) | (epoch[2]! << 8) | epoch[3]!) >>> 0;
	return tag === 0 ? 1 : tag;
}

/** A copy of bytes [start, end), also of a Buffer, whose own slice is none. */
export const copyOf = (bytes: Uint8Array, start: number, end: number): Uint8Array =>
	Uint8Array.prototype.slice.call(bytes, start, end);

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
	return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
