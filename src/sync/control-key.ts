// Control records, and how they stand in flight among the keys of slots: negative numbers made of the peer's bit and the
// control's.
import type { InFlight } from "./in-flight.ts";
import { Control, type Peer } from "./peer.ts";
import type { MsgpackWriter } from "./wire/msgpack.ts";
import { RecordType } from "./wire/record-type.ts";

/** The record type of each bit of Peer.control. */
const CONTROL_TYPE: Readonly<Record<number, number>> = {
	[Control.begin]: RecordType.bulkBegin,
	[Control.end]: RecordType.bulkEnd,
	[Control.resync]: RecordType.resync,
};

const controlKey = (peer: Peer, control: number): number => -(peer.bit * 8 + control);
export const controlOf = (key: number): number => -key & 7;
export const isControlOf = (key: number, peer: Peer): boolean => -key >>> 3 === peer.bit;

/**
 * Writes the control records that wait into the datagram with this number.
 *
 * @returns the peers that they are for
 */
export function writeControls(
	writer: MsgpackWriter,
	peers: readonly Peer[],
	inFlight: InFlight,
	sequence: number,
): number {
	let mask = 0;
	for (const peer of peers) {
		if (!peer.hears || peer.control === 0) continue;
		for (const control of Object.values(Control)) {
			if ((peer.control & control) === 0) continue;
			const id = control === Control.resync ? peer.resyncId : peer.bulkId;
			writer.array(3);
			writer.uint(CONTROL_TYPE[control]!);
			writer.uint(peer.node);
			writer.uint(id);
			inFlight.add(sequence, controlKey(peer, control), id);
			mask |= peer.bit;
		}
		peer.control = 0;
	}
	return mask;
}
