// Requests of the control socket -> calls on the daemon's parts. The text that goes back is conntrackd's.
import type { ExternalCache } from "../cache/external-cache.ts";
import type { InternalCache } from "../cache/internal-cache.ts";
import { CREATED } from "../cache/record-layout.ts";
import type { RecordStore } from "../cache/record-store.ts";
import { formatConntrack, formatExpectation } from "../conntrack/format.ts";
import { formatConntrackXml, formatExpectationXml } from "../conntrack/format-xml.ts";
import { CONNTRACK, EXPECTATION, KINDS, type Kind } from "../conntrack/kind.ts";
import type { NameTable } from "../conntrack/names.ts";
import type { Clock } from "../system/clock.ts";
import { type CommitRequest, parseCommitRequest } from "./commit-request.ts";
import { Opcode, type Reply } from "./request.ts";
import type { RequestHandler, TextSink } from "./server.ts";

/** What a request may ask of the daemon. */
export interface DaemonControl {
	internal: readonly [InternalCache, InternalCache];
	externals: (kind: Kind) => readonly ExternalCache[];
	names: NameTable;
	clock: Clock;
	/** Expectations are replicated at all; if not, commands for them do nothing and say nothing. */
	hasExpectations: boolean;
	/** Commits these halves one after another; the error says what was left and why, if anything was. */
	commit: (kinds: readonly Kind[]) => Promise<Reply>;
	/** The same, and writes what came of it. */
	commitAndTell: (kinds: readonly Kind[], request: CommitRequest, write: TextSink) => Promise<Reply>;
	/** Says what a commit would come to, and changes nothing. */
	rehearse: (kinds: readonly Kind[], request: CommitRequest, write: TextSink) => Promise<Reply>;
	flushInternal: () => Promise<void>;
	/** @returns why not */
	flushExternal: () => Promise<string | undefined>;
	flushKernel: (kinds: readonly Kind[]) => Promise<void>;
	resyncKernel: (kinds: readonly Kind[]) => Promise<void>;
	sendBulk: () => void;
	requestResync: () => void;
	resetTimers: () => void;
	stop: () => void;
	/** Compares what all nodes, or one, hold of each other. */
	verify: (name: string | undefined) => Promise<{ text: string; isEqual: boolean }>;
	/** Why a change of keys would cut off a node; `key` is the first word of its fingerprint. */
	keysInUse: (change: "use" | "remove", key: number) => string | undefined;
	/** Why a peer's expectation is kept back, by the rule that was found broken. */
	whyRejected: (expectation: Int32Array, store: RecordStore, rule: number) => string;
	/** Text of the statistics, by opcode; undefined for a number that is none. */
	statistics: (op: number) => string | undefined;
	notice: (text: string) => void;
	unknown: (op: number) => void;
}

const HALVES = { all: KINDS, ct: [CONNTRACK], expect: [EXPECTATION] } as const;
const DONE: Reply = { status: 0 };
/** Lines per piece of a dump: between two pieces others have their turn. */
const LINES = 128;

export function requestHandler(daemon: DaemonControl): RequestHandler {
	const kindsOf = (kinds: readonly Kind[]): Kind[] =>
		kinds.filter((kind) => kind === CONNTRACK || daemon.hasExpectations);
	const dumpInternal = (kind: Kind, xml: boolean, write: TextSink) =>
		dump(daemon, kind, [daemon.internal[kind].store], { xml, reply: true }, write);
	const dumpExternal = (kind: Kind, xml: boolean, write: TextSink) => {
		const stores = daemon.externals(kind).map(({ store }) => store);
		// conntrackd's lines have no reply tuple, and scripts parse them; its XML has an empty one, which is filled here
		return dump(daemon, kind, stores, { xml, reply: xml }, write);
	};
	const commit = (kinds: readonly Kind[]): Promise<Reply> => daemon.commit(kindsOf(kinds));

	return async (op, write, argument) => {
		switch (op) {
			case Opcode.dumpInternalCt:
			case Opcode.dumpInternalCtXml:
				return dumpInternal(CONNTRACK, op === Opcode.dumpInternalCtXml, write);
			case Opcode.dumpInternalExpect:
			case Opcode.dumpInternalExpectXml:
				return dumpInternal(EXPECTATION, op === Opcode.dumpInternalExpectXml, write);
			case Opcode.dumpExternalCt:
			case Opcode.dumpExternalCtXml:
				return dumpExternal(CONNTRACK, op === Opcode.dumpExternalCtXml, write);
			case Opcode.dumpExternalExpect:
			case Opcode.dumpExternalExpectXml:
				return dumpExternal(EXPECTATION, op === Opcode.dumpExternalExpectXml, write);
			case Opcode.commitCt:
				return commit([CONNTRACK]);
			case Opcode.commitExpect:
				return commit([EXPECTATION]);
			case Opcode.commitAll:
				return commit(KINDS);
			case Opcode.commit:
			case Opcode.rehearse: {
				const request = parseCommitRequest(argument);
				if (!request) return { status: 1, error: "commit what?" };
				const kinds = kindsOf(HALVES[request.which]);
				if (op === Opcode.rehearse) return daemon.rehearse(kinds, request, write);
				return daemon.commitAndTell(kinds, request, write);
			}
			case Opcode.flushInternal:
				daemon.notice("flushing internal cache");
				await daemon.flushInternal();
				return DONE;
			case Opcode.flushExternal:
				daemon.notice("flushing external cache");
				return failed(await daemon.flushExternal());
			case Opcode.flushCachesCt:
			case Opcode.flushCachesAll:
				daemon.notice("flushing caches");
				await daemon.flushInternal();
				return failed(await daemon.flushExternal());
			case Opcode.flushKernelCt:
				await daemon.flushKernel([CONNTRACK]);
				return DONE;
			case Opcode.flushKernelExpect:
				await daemon.flushKernel(kindsOf([EXPECTATION]));
				return DONE;
			case Opcode.flushKernelAll:
				await daemon.flushKernel(kindsOf(KINDS));
				return DONE;
			case Opcode.resyncKernelCt:
				await daemon.resyncKernel([CONNTRACK]);
				return DONE;
			case Opcode.resyncKernelExpect:
				await daemon.resyncKernel(kindsOf([EXPECTATION]));
				return DONE;
			case Opcode.resyncKernelAll:
				await daemon.resyncKernel(kindsOf(KINDS));
				return DONE;
			case Opcode.sendBulk:
				daemon.notice("sending bulk update");
				daemon.sendBulk();
				return DONE;
			case Opcode.requestResync:
				daemon.notice("resync requested");
				daemon.requestResync();
				return DONE;
			case Opcode.resetTimers:
				daemon.resetTimers();
				return DONE;
			case Opcode.verify: {
				const { text, isEqual } = await daemon.verify(argument);
				await write(text);
				return isEqual ? DONE : { status: 1, error: "not equal, or not known to be" };
			}
			case Opcode.policyRejected:
				return dumpRejected(daemon, write);
			case Opcode.keysInUse: {
				const [, change, key] = /^(use|remove) ([0-9a-f]{8})$/.exec(argument ?? "") ?? [];
				if (!change || !key) return { status: 1, error: "which key, and what to do with it?" };
				return failed(daemon.keysInUse(change as "use" | "remove", Number.parseInt(key, 16)));
			}
			case Opcode.kill:
				daemon.stop();
				return DONE;
			default: {
				const text = daemon.statistics(op);
				if (text === undefined) {
					daemon.unknown(op);
					return { status: 1, error: `unknown request ${op}` };
				}
				await write(text);
				return DONE;
			}
		}
	};
}

/** The peers' expectations that are held and do not count, with the reason. */
async function dumpRejected(daemon: DaemonControl, write: TextSink): Promise<Reply> {
	for (const { store } of daemon.externals(EXPECTATION)) {
		const record = new Int32Array(store.layout.recordWords);
		let text = "";
		let lines = 0;
		for (let slot = 0; slot < store.end; slot++) {
			const rule = store.isLive(slot) ? store.verdict(slot) : 0;
			if (rule === 0) continue;
			store.read(slot, record);
			text += `${formatExpectation(record, daemon.names)} [${daemon.whyRejected(record, store, rule)}]\n`;
			if (++lines % LINES !== 0) continue;
			await write(text);
			text = "";
			await daemon.clock.pause();
		}
		if (text !== "") await write(text);
	}
	return DONE;
}

const failed = (error: string | undefined): Reply => (error === undefined ? DONE : { status: 1, error });

/** Writes a line per entry, in pieces: a million lines do not hold up the replication. */
async function dump(
	daemon: DaemonControl,
	kind: Kind,
	stores: readonly RecordStore[],
	options: { xml: boolean; reply: boolean },
	write: TextSink,
): Promise<Reply> {
	if (kind === EXPECTATION && !daemon.hasExpectations) return DONE;
	const format = (record: Int32Array): string => {
		if (kind === EXPECTATION) {
			return options.xml
				? formatExpectationXml(record, daemon.names)
				: formatExpectation(record, daemon.names);
		}
		const { reply } = options;
		return options.xml
			? formatConntrackXml(record, daemon.names, { reply })
			: formatConntrack(record, daemon.names, { reply });
	};
	for (const store of stores) {
		const record = new Int32Array(store.layout.recordWords);
		let text = "";
		let lines = 0;
		for (let slot = 0; slot < store.end; slot++) {
			if (!store.isLive(slot) || !store.isOwned(slot)) continue;
			store.read(slot, record);
			const age = Math.max(0, Math.floor(daemon.clock.now() / 1000) - store.header(slot, CREATED));
			text += options.xml ? `${format(record)}\n` : `${format(record)} [active since ${age}s]\n`;
			if (++lines % LINES !== 0) continue;
			await write(text);
			text = "";
			await daemon.clock.pause();
		}
		if (text !== "") await write(text);
	}
	return DONE;
}
