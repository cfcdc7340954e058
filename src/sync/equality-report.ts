// REPORT: how equal a node has found itself to a peer.
import type { Peer } from "./peer.ts";
import type { EqualityReport } from "./peer-equality.ts";
import type { MsgpackWriter } from "./wire/msgpack.ts";
import { RecordType } from "./wire/record-type.ts";

/** Bytes of the longest. */
export const REPORT_SIZE = 40;
/** An age: never found equal. */
const NEVER = 0xffffffff;

/** `now` in milliseconds, as the ages are. */
export function writeReport(writer: MsgpackWriter, peer: Peer, now: number): void {
	const { verifiedAt, differing, checked, wrong } = peer.equality;
	const isVerified = verifiedAt !== Number.NEGATIVE_INFINITY;
	writer.array(7);
	writer.uint(RecordType.report);
	writer.uint(peer.node);
	writer.uint(isVerified ? Math.min(NEVER - 1, Math.floor(now - verifiedAt)) : NEVER);
	writer.uint(differing);
	writer.uint(peer.external[0].refused + peer.external[1].refused);
	writer.uint32(checked);
	writer.uint32(wrong);
}

/** @param numbers behind the type of the record */
export function readReport(numbers: readonly number[], now: number): EqualityReport {
	const [, age = NEVER, differing = 0, refused = 0, checked = 0, wrong = 0] = numbers;
	return { at: now, age: age === NEVER ? Number.POSITIVE_INFINITY : age, differing, refused, checked, wrong };
}
