// Mode NOTRACK: best effort. Every change is sent once, in the state that it has by then; nothing is acknowledged,
// nothing is sent again. A peer that comes into contact, or asks (-n), is sent everything, and drops what it held
// besides if no datagram of that was lost on the way (bulk-receipt.ts).
//
// The nodes compare their digests as in Mode FTFW, so that `-s` says what the losses have come to; they do not act on
// it. Over a link that loses nothing (TCP) the mode is reliable.
import { MODE, type ReplicationMode } from "./mode.ts";

export const notrackMode: ReplicationMode = {
	id: MODE.NOTRACK,
	isAcknowledged: false,
	hasBulk: true,
	repairs: false,
};
