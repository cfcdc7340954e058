// REFUSALS: why entries of a peer are not taken, or kept back; it goes with a REPORT while there are any.
import { REFUSAL_REASONS } from "./datagram.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Peer } from "./peer.ts";
import { RecordType } from "./wire/record-type.ts";

/** Tells the peer, in a datagram of its own, if there is something to tell. */
export function sendRefusals(outgoing: Outgoing, { node, external }: Peer, now: number): void {
	const [conntracks, expectations] = external;
	if (conntracks.refused + expectations.refused === 0) return;
	const writer = outgoing.begin();
	writer.array(2 + REFUSAL_REASONS);
	writer.uint(RecordType.refusals);
	writer.uint(node);
	for (let reason = 0; reason < REFUSAL_REASONS; reason++) {
		writer.uint(conntracks.refusals[reason]! + expectations.refusals[reason]!);
	}
	outgoing.end(0, now);
}
