// HELLO: how two nodes come to believe in each other's epoch.
//
// A node that starts draws a random epoch. A receiver adopts an epoch only when a HELLO of that epoch echoes the
// random challenge which the receiver has set this sender; the challenge is then replaced. So no recorded HELLO ever
// brings an old epoch back, and both sides learn of a restart of the other.
//
// The epoch stands in clear behind the frame header; the record is
//
//   [1, protocol version, credit, next sequence, [[node, adopted tag, is heard, challenge, echo] ...]]
//
// The list has an entry for each peer that the sender knows: the tag of the epoch that it has adopted of that peer
// (0: none, or the peer is not heard any more), whether it knows that the peer has adopted its own (if not, it wants a HELLO in answer), the challenge
// it sets, and the peer's own challenge echoed (empty: not heard yet).

import type { Peer } from "./peer.ts";
import { MsgpackReader, type MsgpackWriter } from "./wire/msgpack.ts";
import { RecordType } from "./wire/record-type.ts";

export const PROTOCOL_VERSION = 1;
export const CHALLENGE_SIZE = 16;
const LIST_MAX = 16;

/** What a HELLO says, its list reduced to the entry for the receiver. */
export interface Hello {
	version: number;
	credit: number;
	nextSequence: number;
	/** The entry for the receiver, if there is one. */
	forMe?: { adoptedTag: number; isHeard: boolean; challenge: Uint8Array; echo: Uint8Array };
}

export function writeHello(
	writer: MsgpackWriter,
	own: { credit: number; nextSequence: number },
	peers: readonly Peer[],
): void {
	writer.array(5);
	writer.uint(RecordType.hello);
	writer.uint(PROTOCOL_VERSION);
	writer.uint(own.credit);
	writer.uint(own.nextSequence);
	writer.array(peers.length);
	for (const peer of peers) {
		writer.array(5);
		writer.uint(peer.node);
		writer.uint(peer.epoch && peer.isUp ? peer.epochTag : 0);
		writer.uint(peer.hears ? 1 : 0);
		writer.bin(peer.challenge);
		writer.bin(peer.theirChallenge);
	}
}

/** Reads the HELLO in bytes [start, end), which holds nothing else; undefined if it is malformed. */
export function readHello(bytes: Uint8Array, start: number, end: number, node: number): Hello | undefined {
	const reader = new MsgpackReader();
	reader.reset(bytes, start, end);
	if (reader.array() !== 5 || reader.uint(0xff) !== RecordType.hello) return undefined;
	const version = reader.uint(0xff);
	const credit = reader.uint(0xffff);
	const nextSequence = reader.uint(Number.MAX_SAFE_INTEGER);
	const entries = reader.array();
	if (reader.failed || entries > LIST_MAX) return undefined;
	const hello: Hello = { version, credit, nextSequence };
	for (let i = 0; i < entries; i++) {
		if (reader.array() !== 5) return undefined;
		const target = reader.uint(0xffffffff);
		const adoptedTag = reader.uint(0xffffffff);
		const isHeard = reader.uint(1) === 1;
		const challengeAt = reader.bin(CHALLENGE_SIZE);
		const echoAt = reader.binUpTo(CHALLENGE_SIZE);
		if (reader.failed) return undefined;
		if (target !== node) continue;
		const challenge = bytes.slice(challengeAt, challengeAt + CHALLENGE_SIZE);
		hello.forMe = { adoptedTag, isHeard, challenge, echo: bytes.slice(echoAt, echoAt + reader.length) };
	}
	return reader.failed || reader.at !== end ? undefined : hello;
}

/** The first word of an epoch, which every header carries; never 0, which says "none". */
export function epochTagOf(epoch: Uint8Array): number {
	const tag = ((epoch[0]! << 24) | (epoch[1]! << 16) | (epoch[2]! << 8) | epoch[3]!) >>> 0;
	return tag === 0 ? 1 : tag;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
	return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
