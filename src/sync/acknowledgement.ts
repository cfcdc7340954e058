// ACK records: which of a peer's datagrams have come, as the highest number and a bitmap of those before it.
import type { Ack } from "./datagram.ts";
import type { Peer } from "./peer.ts";
import type { ReplayWindow } from "./replay-window.ts";
import type { MsgpackWriter } from "./wire/msgpack.ts";
import { RecordType } from "./wire/record-type.ts";

/** Bytes of the bitmap: 512 datagrams, so that each is acknowledged many times over. */
export const BITMAP_SIZE = 64;
/** Bytes of the longest ACK, with room for the seal. */
export const ACK_MAX = 128;

/** Writes an acknowledgement for the peer if one is owed. @param credit datagrams that this node's receive buffer takes in */
export function writeOwedAck(writer: MsgpackWriter, peer: Peer, credit: number): void {
	if (peer.ackOwed === 0 || !peer.epoch) return;
	peer.ackOwed = 0;
	writer.array(6);
	writer.uint(RecordType.ack);
	writer.uint(peer.node);
	writer.uint(peer.epochTag);
	writer.uint(peer.window.highest);
	writer.uint(credit);
	writer.binHeader(BITMAP_SIZE);
	for (let i = 0; i < BITMAP_SIZE; i++) writer.bytes[writer.at++] = bitmapByte(peer.window, i);
}

/** Whether the acknowledgement covers a number up to its highest; `bytes` holds its bitmap. */
export function acknowledges(ack: Ack, bytes: Uint8Array, sequence: number): boolean {
	const bit = ack.highest - sequence;
	if (bit >= ack.bitmapLength * 8) return false;
	return (bytes[ack.bitmapAt + (bit >>> 3)]! & (1 << (bit & 7))) !== 0;
}

/** Bit b of byte i: the datagram 8i + b before the highest was seen. */
function bitmapByte(window: ReplayWindow, i: number): number {
	let byte = 0;
	for (let bit = 0; bit < 8; bit++) {
		const sequence = window.highest - (i * 8 + bit);
		if (sequence > 0 && window.isSeen(sequence)) byte |= 1 << bit;
	}
	return byte;
}
