// Control records in flight, among the keys of slots: negative numbers made of the peer's bit and the control's.
import { Control, type Peer } from "./peer.ts";
import { RecordType } from "./wire/record-type.ts";

/** The record type of each bit of Peer.control. */
export const CONTROL_TYPE: Readonly<Record<number, number>> = {
	[Control.begin]: RecordType.bulkBegin,
	[Control.end]: RecordType.bulkEnd,
	[Control.resync]: RecordType.resync,
};

export const controlKey = (peer: Peer, control: number): number => -(peer.bit * 8 + control);
export const controlOf = (key: number): number => -key & 7;
export const isControlOf = (key: number, peer: Peer): boolean => -key >>> 3 === peer.bit;
