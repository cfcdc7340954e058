// REPORT: how equal a node has found itself to a peer; EMPTIED behind it: because an operator has emptied its copy.
import type { OtherRecord } from "./datagram.ts";
import type { Peer } from "./peer.ts";
import type { EqualityReport, PeerEquality } from "./peer-equality.ts";
import type { MsgpackWriter } from "./wire/msgpack.ts";
import { RecordType } from "./wire/record-type.ts";

/** Bytes of both records at their longest. */
export const REPORT_SIZE = 40;
/** An age: never found equal. */
const NEVER = 0xffffffff;

/** `now` in milliseconds, as the ages are. */
export function writeReport(writer: MsgpackWriter, peer: Peer, now: number): void {
	const { verifiedAt, differing, checked, wrong, isSuspended } = peer.equality;
	const isVerified = verifiedAt !== Number.NEGATIVE_INFINITY;
	writer.array(7);
	writer.uint(RecordType.report);
	writer.uint(peer.node);
	writer.uint(isVerified ? Math.min(NEVER - 1, Math.floor(now - verifiedAt)) : NEVER);
	writer.uint(differing);
	writer.uint(peer.external[0].refused + peer.external[1].refused);
	writer.uint32(checked);
	writer.uint32(wrong);
	if (!isSuspended) return;
	writer.array(2);
	writer.uint(RecordType.emptied);
	writer.uint(peer.node);
}

/** Takes in what a peer says of how equal it is to this node. @returns false if the record says nothing of that */
export function takeReport(
	equality: PeerEquality,
	{ type, numbers }: OtherRecord,
	ownNode: number,
	now: number,
): boolean {
	const isMine = numbers[0] === ownNode;
	switch (type) {
		case RecordType.report:
			if (isMine) equality.report = readReport(numbers, now);
			return true;
		case RecordType.emptied:
			// behind the report that it belongs to
			if (isMine && equality.report) equality.report.isEmptied = true;
			return true;
		case RecordType.refusals:
			if (isMine) equality.refusals = numbers.slice(1);
			return true;
		default:
			return false;
	}
}

function readReport(numbers: readonly number[], now: number): EqualityReport {
	const [, age = NEVER, differing = 0, refused = 0, checked = 0, wrong = 0] = numbers;
	return {
		at: now,
		age: age === NEVER ? Number.POSITIVE_INFINITY : age,
		differing,
		refused,
		checked,
		wrong,
		isEmptied: false,
	};
}
