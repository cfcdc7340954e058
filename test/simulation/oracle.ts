// What must hold at every instant, whatever happens. The oracle knows every state that any node ever gave a version to,
// and watches each change of each external cache from outside: the calls of the protocol (`set`, `delete`,
// `beginEpoch`) and, underneath, those of the store (`insert`, `replace`, `bury`, `remove`), so that a change by any
// other way is seen, too.
//
//   I2 no invention     what is applied was produced: by that origin, in that epoch, under that version, word for word
//   I3 monotone         of one epoch nothing is applied that is older than what was applied before
//   I4 dead is dead     nothing of another epoch than the adopted one is applied, no earlier epoch is adopted again,
//                       and no datagram counts twice
//   I5 no early loss    an entry that lives at its origin, and has lived there since it was told, does not vanish
//   I6 bounds           windows, queues and caches stay within their limits (checked now and then)
//   I8                  nothing of an attacker's is ever applied
import type { ExternalCache } from "../../src/cache/external-cache.ts";
import { KINDS, type Kind } from "../../src/conntrack/kind.ts";
import type { Peer } from "../../src/sync/peer.ts";
import { entryKey, entryValue } from "./entries.ts";
import {
	type About,
	type DaemonWatch,
	type Ends,
	type Epoch,
	GONE,
	type Held,
	type Op,
	type Trace,
	type View,
	type Violation,
	viewName,
	WITHDRAWN,
} from "./history.ts";

export class Oracle {
	violation: Violation | undefined;
	/** Called at the first violation. */
	onViolation: () => void = () => {};
	/** Called when a node holds a new state of another one. */
	onHeld: (holder: number, origin: number, kind: Kind, key: number) => void = () => {};
	/** States that got a version. */
	changes = 0;
	/** Something that counts for equality has changed since this was last set to false. */
	isStirred = true;
	readonly #epochs = new Map<string, Epoch>();
	/** Of each node, the one that was started last. */
	readonly #latest = new Map<number, Epoch>();
	readonly #ends = new Map<number, Ends>();
	readonly #now: () => number;
	readonly #trace: Trace | undefined;
	#serial = 0;

	constructor(now: () => number, trace?: Trace) {
		this.#now = now;
		this.#trace = trace;
	}

	fail(rule: string, text: string, about?: About): void {
		if (this.violation) return;
		this.violation = { rule, text, ...(about ? { about } : {}) };
		this.onViolation();
	}

	note(text: () => string): void {
		this.#trace?.line(`${this.#now().toFixed(2).padStart(9)} ${text()}`);
	}

	/** A step of one key. */
	#noteKey(kind: Kind, key: number, text: () => string): void {
		const about = this.#trace?.about;
		if (about && about.key === key && about.kind === kind) this.note(() => `    ${text()}`);
	}

	/** A daemon starts. */
	newEpoch(node: number, index: number, bytes: Uint8Array): Epoch {
		const epoch: Epoch = { node, index, bytes, produced: [], alive: [new Map(), new Map()] };
		this.#epochs.set(nameOf(bytes), epoch);
		this.#latest.set(node, epoch);
		return epoch;
	}

	/** A state of a key gets a version; GONE and WITHDRAWN are states, too. */
	produce(epoch: Epoch, kind: Kind, version: number, key: number, value: number): void {
		if (epoch.produced[version]) {
			this.fail("I3", `node ${epoch.node} gave version ${version} twice`);
			return;
		}
		this.changes++;
		this.isStirred = true;
		this.#noteKey(kind, key, () => {
			const what = value === GONE ? "its end" : value === WITHDRAWN ? "its withdrawal" : `${value}`;
			return `node ${epoch.node}: version ${version} is ${what}`;
		});
		const serial = ++this.#serial;
		epoch.produced[version] = { kind, key, value, serial };
		if (value >= 0) {
			epoch.alive[kind].set(key, value);
			return;
		}
		epoch.alive[kind].delete(key);
		const ends = this.#endsOf(epoch.node, kind, key);
		if (value === GONE) ends.daemon = serial;
		else ends.withdrawn = serial;
	}

	/** The kernel of a node ended an entry, not by a flush. */
	kernelEnd(node: number, kind: Kind, key: number): void {
		this.#noteKey(kind, key, () => `node ${node}: its kernel ends it`);
		this.isStirred = true;
		this.#endsOf(node, kind, key).kernel = ++this.#serial;
	}

	/**
	 * Whether a peer may hold what its origin has not: when it was withdrawn after the peer was told. A later entry with
	 * that key which began and ended before the peer was told of it changes nothing for the peer.
	 */
	isWithdrawn(node: number, kind: Kind, key: number, held: Held): boolean {
		return (this.#ends.get(place(node, kind, key))?.withdrawn ?? 0) > held.serial;
	}

	/** Whether any life of the node ever had this state. Slow. */
	hasEverHad(node: number, kind: Kind, key: number, value: number): boolean {
		for (const epoch of this.#epochs.values()) {
			if (epoch.node !== node) continue;
			for (const state of epoch.produced) {
				if (state?.kind === kind && state.key === key && state.value === value) return true;
			}
		}
		return false;
	}

	/** Watches caches that a daemon has made, for a peer that is about to be among its peers, or for what it gets back. */
	watchExternal(
		holder: number,
		watch: DaemonWatch,
		caches: readonly [ExternalCache, ExternalCache],
		peers: () => readonly Peer[],
	): void {
		this.isStirred = true;
		let owner: Peer | undefined;
		for (const kind of KINDS) {
			const view: View = { held: new Map(), newest: new Map(), applying: undefined };
			const peerOf = (): Peer | undefined => {
				if (!owner) {
					owner = peers().find(({ external }) => external === caches);
					if (owner) this.isStirred = true;
				}
				if (owner) watch.views.set(viewName(owner.node, kind), view);
				return owner;
			};
			this.#watchCalls(kind, holder, watch, caches[kind], peerOf, view);
			this.#watchStore(kind, holder, watch, caches[kind], peerOf, view);
		}
	}

	/** The origin's epoch that a daemon has adopted; undefined if it is one that must not be. */
	adopted(holder: number, watch: DaemonWatch, peer: Peer): Epoch | undefined {
		if (!peer.epoch) return undefined;
		const known = watch.adopted.get(peer.node);
		if (known?.bytes === peer.epoch) return known.epoch;
		const epoch = this.#epochs.get(nameOf(peer.epoch));
		if (!epoch || epoch.node !== peer.node) {
			this.fail("I4", `node ${holder} adopted an epoch that node ${peer.node} never had`);
			return undefined;
		}
		// a receiver may miss an epoch, or shake hands with the same one again after a silence; it never goes back
		if (known && epoch.index < known.epoch.index) {
			const from = known.epoch.index;
			this.fail("I4", `node ${holder} adopted epoch ${epoch.index} of node ${peer.node} after ${from}`);
		}
		watch.adopted.set(peer.node, { epoch, bytes: peer.epoch, since: sequenceOf(watch.present?.sent.bytes) });
		return epoch;
	}

	/** The protocol's calls: is what they bring genuine, and is it news? */
	#watchCalls(
		kind: Kind,
		holder: number,
		watch: DaemonWatch,
		external: ExternalCache,
		peerOf: () => Peer | undefined,
		view: View,
	): void {
		const { store } = external;
		const noun = NOUN[kind];
		const apply = (record: Int32Array, version: number, op: Op, call: () => void): void => {
			const peer = peerOf();
			// one call that is done by way of another
			if (view.applying) {
				call();
				return;
			}
			const key = entryKey(kind, record);
			const held = peer
				? this.#check(kind, holder, watch, peer, record, version, op)
				: this.#checkReturned(kind, holder, watch, record);
			const slot = store.find(record);
			const versionBefore = slot < 0 ? -1 : store.version(slot);
			view.applying = { held, op, isDone: false };
			call();
			const after = store.find(record);
			// a withdrawal marks what is held, and changes nothing else
			const isMarked = op === "withdraw" && after >= 0 && store.version(after) === version;
			const isDone = view.applying.isDone || (isMarked && versionBefore !== version);
			view.applying = undefined;
			if (!peer) return;
			this.#noteKey(kind, key, () => {
				const what = op === "set" ? `set ${entryValue(kind, record)}` : op;
				const from = `of node ${peer.node} in ${sequenceOf(watch.present?.sent.bytes)}`;
				return `node ${holder}: ${what} version ${version} ${from}: ${isDone ? "done" : "no news"}`;
			});
			if (!isDone) return;
			const before = view.newest.get(key) ?? 0;
			const newest = Math.abs(before);
			// the same state again is no step back: after a sweep or a flush a bulk brings what was held before
			if (version < newest || (version === newest && (op === "set") !== before > 0)) {
				const text = `node ${holder}, ${noun} ${key} of node ${peer.node}: version ${version} applied after ${newest}`;
				this.fail("I3", text, { kind, key });
			}
			view.newest.set(key, op === "set" ? version : -version);
		};
		const set = external.set.bind(external);
		external.set = (record, version, ...rest) => {
			let slot = -1;
			apply(record, version, "set", () => {
				slot = set(record, version, ...rest);
			});
			return slot;
		};
		const remove = external.delete.bind(external);
		external.delete = (record, version, ...rest) =>
			apply(record, version, "delete", () => remove(record, version, ...rest));
		const withdraw = external.withdraw.bind(external);
		external.withdraw = (record, version, ...rest) =>
			apply(record, version, "withdraw", () => withdraw(record, version, ...rest));
		const beginEpoch = external.beginEpoch.bind(external);
		external.beginEpoch = () => {
			// versions of the new epoch are another count
			view.newest.clear();
			const peer = peerOf();
			if (peer) this.adopted(holder, watch, peer);
			beginEpoch();
		};
	}

	/** May this be applied? What is held then, if so. */
	#check(
		kind: Kind,
		holder: number,
		watch: DaemonWatch,
		peer: Peer,
		record: Int32Array,
		version: number,
		op: Op,
	): Held | undefined {
		const key = entryKey(kind, record);
		const fail = (rule: string, text: string): undefined => {
			this.fail(rule, `node ${holder}, ${NOUN[kind]} ${key} of node ${peer.node}: ${text}`, { kind, key });
		};
		const epoch = this.adopted(holder, watch, peer);
		const { present } = watch;
		if (!epoch) return undefined;
		if (!present?.isIntact || !present.sent.epoch)
			return fail("I8", "taken from a datagram that nobody sent");
		if (present.sent.epoch !== epoch) {
			const { node, index } = present.sent.epoch;
			return fail("I4", `taken from epoch ${index} of node ${node}, not ${epoch.index}`);
		}
		// the HELLO that was adopted begins it: what a recording has from before may have ended since
		const since = watch.adopted.get(peer.node)!.since;
		if (sequenceOf(present.sent.bytes) < since) fail("I4", `taken from before the handshake in ${since}`);
		if (present.isRepeated) fail("I4", "a datagram counts twice");
		watch.processed.add(present.sent.id);
		const produced = epoch.produced[version];
		const isRight =
			op === "set"
				? produced?.value === entryValue(kind, record) && watch.entries.isWhole(kind, record)
				: produced?.value === (op === "delete" ? GONE : WITHDRAWN);
		if (!produced || produced.kind !== kind || produced.key !== key || !isRight) {
			return fail("I2", `version ${version} was not ${op === "set" ? "this state" : `its ${op}`}`);
		}
		return { value: produced.value, serial: produced.serial, epoch };
	}

	/** What a peer gives back must be what this node once had. */
	#checkReturned(kind: Kind, holder: number, watch: DaemonWatch, record: Int32Array): Held | undefined {
		const key = entryKey(kind, record);
		const value = entryValue(kind, record);
		const { present } = watch;
		if (!present?.isIntact || !present.sent.epoch) {
			this.fail("I8", `node ${holder}: ${NOUN[kind]} ${key} came back from nobody`, { kind, key });
			return undefined;
		}
		const isRight = watch.entries.isWhole(kind, record) && this.hasEverHad(holder, kind, key, value);
		if (!isRight) {
			this.fail("I2", `node ${holder}: ${NOUN[kind]} ${key}=${value} came back, and never was`, {
				kind,
				key,
			});
		}
		return { value, serial: 0, epoch: present.sent.epoch };
	}

	/** What really changes, underneath. */
	#watchStore(
		kind: Kind,
		holder: number,
		watch: DaemonWatch,
		external: ExternalCache,
		peerOf: () => Peer | undefined,
		view: View,
	): void {
		const { store } = external;
		const scratch = new Int32Array(store.layout.recordWords);
		const written = (record: Int32Array): void => {
			const key = entryKey(kind, record);
			const { applying } = view;
			if (!applying) this.fail("I2", `node ${holder}, ${NOUN[kind]} ${key}: written, but nobody told`);
			else if (applying.held) {
				applying.isDone = true;
				this.isStirred = true;
				const peer = peerOf();
				if (applying.op !== "set" || !peer) return;
				view.held.set(key, applying.held);
				this.onHeld(holder, peer.node, kind, key);
			}
		};
		/** A live slot goes. */
		const gone = (slot: number): void => {
			if (!store.isLive(slot)) return;
			store.read(slot, scratch);
			const key = entryKey(kind, scratch);
			const held = view.held.get(key);
			view.held.delete(key);
			this.isStirred = true;
			const peer = peerOf();
			this.#noteKey(kind, key, () => `node ${holder}: that of node ${peer?.node} is gone`);
			// with the entry goes what would refuse an older state: the operator wants all of it anew, and asks for it
			if (watch.isFlushing) view.newest.delete(key);
			// what a deletion takes out was checked as a deletion
			if (view.applying && view.applying.op !== "set") view.applying.isDone = true;
			else if (held && peer && !watch.isFlushing) this.#checkLoss(kind, holder, peer.node, key, held);
		};
		const insert = store.insert.bind(store);
		store.insert = (record, ...rest) => {
			written(record);
			return insert(record, ...rest);
		};
		const replace = store.replace.bind(store);
		store.replace = (slot, record, ...rest) => {
			written(record);
			replace(slot, record, ...rest);
		};
		const bury = store.bury.bind(store);
		store.bury = (slot, ...rest) => {
			gone(slot);
			bury(slot, ...rest);
		};
		const remove = store.remove.bind(store);
		store.remove = (slot) => {
			gone(slot);
			remove(slot);
		};
	}

	/**
	 * An entry goes although no deletion says so. That is right if its origin does not have it any more, or if it has
	 * ended or been withdrawn there since the state that is held was told (and has come back: that state has still to
	 * arrive). Ends that the origin's daemon has not heard of yet count, because the kernel's table decides.
	 */
	#checkLoss(kind: Kind, holder: number, origin: number, key: number, held: Held): void {
		const latest = this.#latest.get(origin);
		if (!latest?.alive[kind].has(key)) return;
		const ends = this.#ends.get(place(origin, kind, key));
		if (ends && Math.max(ends.daemon, ends.kernel, ends.withdrawn) > held.serial) return;
		this.fail("I5", `node ${holder} lost ${NOUN[kind]} ${key} of node ${origin}, which lives there`, {
			kind,
			key,
		});
	}

	#endsOf(node: number, kind: Kind, key: number): Ends {
		const at = place(node, kind, key);
		let ends = this.#ends.get(at);
		if (!ends) this.#ends.set(at, (ends = { daemon: 0, kernel: 0, withdrawn: 0 }));
		return ends;
	}
}

/** The sequence number in a datagram's header. */
function sequenceOf(bytes: Uint8Array | undefined): number {
	return bytes ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(20) : 0;
}

const NOUN = ["conntrack", "expectation"] as const;
const nameOf = (epoch: Uint8Array): string => Buffer.from(epoch).toString("latin1");
/** Node, kind and key as one number: keys are below 2^31. */
const place = (node: number, kind: Kind, key: number): number => (node * 2 + kind) * 2 ** 31 + key;
