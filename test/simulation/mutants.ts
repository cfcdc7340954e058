// Rules of the production code, removed one by one: the simulator must notice. Each replaces a piece of compiled
// JavaScript in a copy of build/simulation; the piece must be there exactly once, so a mutant cannot fall silent when
// the code changes.

export interface Mutant {
	name: string;
	/** Below build/simulation. */
	file: string;
	find: string;
	replace: string;
	/** Node counts of the seeds that are tried; two if it says nothing. */
	nodes?: number;
	/** Caught by this named scenario (a part of its name), where chance does not find it. */
	scenario?: string;
}

const FTFW = "src/sync/ftfw.js";
const CONTACTS = "src/sync/contacts.js";
const OUTGOING = "src/sync/outgoing.js";
const EXTERNAL = "src/cache/external-cache.js";
const INTERNAL = "src/cache/internal-cache.js";
const RECEIPT = "src/sync/bulk-receipt.js";
const BULK = "src/sync/bulk.js";
const WINDOW = "src/sync/replay-window.js";

export const MUTANTS: readonly Mutant[] = [
	{
		name: "no challenge: any epoch that greets is adopted",
		file: CONTACTS,
		find: "if (!hasEchoed) {",
		replace: "if (false) {",
	},
	{
		name: "the challenge is never replaced",
		file: CONTACTS,
		find: "peer.challenge = this.#options.entropy(CHALLENGE_SIZE);\n        peer.theirChallenge",
		replace: "peer.theirChallenge",
	},
	{
		name: "no replay window: numbers are never seen before",
		file: WINDOW,
		find: "if (sequence > this.highest)\n            return sequence - this.highest <= LEAP_MAX;",
		replace: "return true;",
	},
	{
		name: "the window begins at 0 when an epoch is adopted",
		file: CONTACTS,
		find: "peer.window.reset(frame.sequence - 1);",
		replace: "peer.window.reset(0);",
	},
	{
		name: "SET: version not compared",
		file: EXTERNAL,
		find: "if (version < held)\n                return -1;",
		replace: "",
	},
	{
		name: "DELETE: version not compared",
		file: EXTERNAL,
		find: "if (this.isCurrent(slot) && version <= store.version(slot))\n                return;\n            if (store.isLive(slot)) {",
		replace: "if (store.isLive(slot)) {",
	},
	{
		name: "versions of an earlier epoch count in the new one",
		file: EXTERNAL,
		find: "return this.store.header(slot, STAMP) >= this.epochGeneration;",
		replace: "return true;",
	},
	{
		name: "no graves: what was deleted is forgotten at once",
		file: EXTERNAL,
		find: "this.#graves.push({ slot, version, sequence });",
		replace: "store.remove(slot);",
	},
	{
		name: "graves are collected while older datagrams can still come",
		file: FTFW,
		find: "external.collect(peer.window.low, GRAVES_AT_ONCE);",
		replace: "external.collect(peer.window.highest + 1);",
	},
	{
		name: "graves are never collected",
		file: FTFW,
		find: "external.collect(peer.window.low, GRAVES_AT_ONCE);",
		replace: "external;",
		scenario: "graves",
	},
	{
		name: "no sweep after a bulk",
		file: RECEIPT,
		find: "peer.heldUntil = now + HOLD_FOR;\n    peer.sweepAt[0] = peer.sweepAt[1] = 0;",
		replace: "peer.heldUntil = now + HOLD_FOR;",
	},
	{
		name: "BEGIN begins no generation",
		file: RECEIPT,
		find: "external.beginGeneration();",
		replace: "external;",
		scenario: "partition",
	},
	{
		name: "END at once, without waiting for what is in flight",
		file: BULK,
		find: 'peer.bulkPhase === "drain" &&',
		replace: '(peer.bulkPhase === "drain" || peer.bulkPhase === "walk") && true ||',
	},
	{
		name: "END does not wait for lost datagrams of the bulk",
		file: BULK,
		find: "this.#inFlight.bulkPending(peer.bit) === 0",
		replace: "true",
	},
	{
		name: "the walk begins before BEGIN was acknowledged",
		file: BULK,
		find: 'peer.bulkPhase = "begin";',
		replace: 'peer.bulkPhase = "ready";',
	},
	{
		name: "nothing is sent again when its datagram is lost",
		file: OUTGOING,
		find: "else if (this.#isStill(key, version))\n            this.dirty.mark(kindOf(key), slotOf(key), bit);",
		replace: "",
	},
	{
		name: "nothing of a bulk is sent again",
		file: OUTGOING,
		find: "this.bulk.retry.push(key);",
		replace: "",
	},
	{
		name: "lost control records are not sent again",
		file: OUTGOING,
		find: "peer.control |= control;",
		replace: "",
	},
	{
		name: "no question goes out alone: what is in flight when nothing follows is sent again",
		file: FTFW,
		find: "if (now >= questionAt(this))",
		replace: "if (false)",
		scenario: "acknowledged without being sent again",
	},
	{
		name: "every datagram asks for an acknowledgement",
		file: "src/sync/pace.js",
		find: "if (isSoonEnough && !isUrgent)",
		replace: "if (false)",
	},
	{
		name: "acknowledgements of another epoch count, and those for another node",
		file: FTFW,
		find: "if (ack.node !== this.node || ack.epochTag !== this.#epochTag)\n            return;",
		replace: "",
		nodes: 3,
	},
	{
		name: "every datagram below the highest counts as acknowledged",
		file: "src/sync/acknowledgement.js",
		find: "return (bytes[ack.bitmapAt + (bit >>> 3)] & (1 << (bit & 7))) !== 0;",
		replace: "return true;",
	},
	{
		name: "CRC not checked",
		file: "src/sync/wire/seal.js",
		find: "return u32(bytes, stop) === crc32c(bytes, start, stop) ? stop : -1;",
		replace: "return stop;",
	},
	{
		name: "AEAD tag not checked",
		file: "src/security/aead-cipher.js",
		find: "decipher.final();",
		replace: "",
	},
	{
		name: "suite 0 accepted where datagrams are sealed",
		file: "src/security/aead-seal.js",
		find: "if (suite !== SUITE_AES_256_GCM && suite !== SUITE_CHACHA20_POLY1305)\n            return -1;",
		replace: "if (suite === 0) return end - 4;",
	},
	{
		name: "epoch tag not checked: any datagram of a known node counts",
		file: FTFW,
		find: "peer.epochTag === frame.epochTag &&\n            (!isHello",
		replace: "(!isHello",
	},
	{
		name: "a dead entry is forgotten before its end was acknowledged",
		file: OUTGOING,
		find: "if (cache.store.isLive(slot) || (cache.store.peers(slot) & this.#ready) !== 0)\n            return;",
		replace: "if (cache.store.isLive(slot))\n            return;",
		nodes: 3,
	},
	{
		name: "peers that hold an entry are not told of its end",
		file: OUTGOING,
		find: "const told = (this.#options.mode?.dump ? ALL_PEERS : cache.store.peers(slot)) & this.#ready;",
		replace: "const told = 0;",
	},
	{
		name: "a change is for the first peer only",
		file: OUTGOING,
		find: "this.dirty.mark(kind, slot, this.#ready);",
		replace: "this.dirty.mark(kind, slot, this.#ready & 1);",
		nodes: 3,
	},
	{
		name: "a lost datagram is sent again to the first peer only",
		file: OUTGOING,
		find: "else if (this.#isStill(key, version))\n            this.dirty.mark(kindOf(key), slotOf(key), bit);",
		replace:
			"else if (this.#isStill(key, version))\n            this.dirty.mark(kindOf(key), slotOf(key), bit & 1);",
		nodes: 3,
	},
	{
		name: "a queued slot does not hear of its next change",
		file: "src/sync/dirty-set.js",
		find: "slots[slot] = before | peers | QUEUED;",
		replace: "slots[slot] = (before & QUEUED) !== 0 ? before : before | peers | QUEUED;",
		nodes: 3,
	},
	{
		name: "no coalescing: a key is queued again with each change",
		file: "src/sync/dirty-set.js",
		find: "if ((before & QUEUED) === 0)",
		replace: "if (true)",
	},
	{
		name: "a change keeps the version that the entry had",
		file: INTERNAL,
		find: "const version = this.#versions.next();",
		replace: "const version = hadVersion ? store.version(slot) : this.#versions.next();",
	},
	{
		name: "no resync after an overrun",
		file: INTERNAL,
		find: "this.#end(slot, now, isWithdrawal);\n        }",
		replace: "void now; void isWithdrawal; }",
	},
	{
		name: "the dump knows better than events",
		file: INTERNAL,
		find: "if (slot >= 0 && this.store.header(slot, STAMP) === this.resync)",
		replace: "if (false)",
	},
	{
		name: "no graveyard while a dump is read",
		file: INTERNAL,
		find: "this.#graveyard ??= new SlotSet();",
		replace: "",
	},
	{
		name: "a flush destroys instead of withdrawing",
		file: "src/event-router.js",
		find: "cache.withdraw(slot, now);",
		replace: "cache.destroy(record, now);",
		scenario: "flush",
	},
	{
		name: "a peer that restarts gets no bulk",
		file: CONTACTS,
		find: "this.#setHears(peer, false, now);\n        if (isRestart)",
		replace: "if (isRestart)",
	},
	{
		name: "a silent peer is never down",
		file: CONTACTS,
		find: "now - peer.heardAt > DOWN_AFTER",
		replace: "false",
		scenario: "partition",
	},
	{
		name: "an overtaken HELLO counts",
		file: CONTACTS,
		find: "if (frame.sequence < peer.helloSequence)\n            return undefined;",
		replace: "",
		scenario: "overtake",
	},
	{
		name: "credit is ignored",
		file: OUTGOING,
		find: "window = Math.min(window, peer.credit);",
		replace: "",
		scenario: "room for",
	},
	{
		name: "no HELLO once all are up",
		file: CONTACTS,
		find: "isAlone ? alone : HELLO_ALWAYS_EVERY;",
		replace: "isAlone ? alone : Infinity;",
		nodes: 3,
	},
	{
		name: "digests are not compared",
		file: "src/sync/equality.js",
		find: "!equality.compare(slice, bytes, at, now)",
		replace: "true",
		scenario: "in memory",
	},
	{
		name: "wrong claims are not judged",
		file: "src/sync/equality.js",
		find: "if (mine === version && this.#hash.of(kind, copy) === detail)\n            return 0;",
		replace: "return 0;",
		scenario: "in memory",
	},
	{
		name: "what was lost in a reboot is not kept",
		file: RECEIPT,
		find: "peer.heldUntil = now + HOLD_FOR;",
		replace: ";",
		scenario: "reboot",
	},
];

/**
 * Removed rules that change nothing which could be seen, and why. Not counted.
 *
 * - "A bulk waits for what was dirty when the walk ended" (bulk.ts, phase flush). What lives when the cursor passes is
 *   sent by the cursor in its present state. What comes to life behind the cursor is a new entry: a peer that holds its
 *   key holds one that has ended, and loses it by the END a moment before it gets the new one instead of at that moment.
 * - "What was lost is sent again only if it is still in the version that was lost" (outgoing.ts, #isStill). What is sent
 *   is always the present state, so a key that is marked once more is sent once more, and a receiver takes no notice.
 * - "What is in flight expires" (outgoing.ts, expire). While anything is in flight a question goes out each half of patience, and
 *   whatever is older than an answered question and not in the answer is lost at once. A peer that answers none leaves the
 *   set of those that hear. So this only makes room for the others a little earlier, in the 300 ms before it has left.
 * - "Acknowledgements of another epoch do not count", and "those for another node do not count", each without the
 *   other: epoch tags of two epochs or two nodes are equal once in 2^32 times. Both together are a mutant above.
 */
