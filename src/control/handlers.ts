// Requests of the control socket -> calls on the daemon's parts. The text that goes back is conntrackd's.
import type { ExternalCache } from "../cache/external-cache.ts";
import type { InternalCache } from "../cache/internal-cache.ts";
import type { RecordStore } from "../cache/record-store.ts";
import { CONNTRACK, EXPECTATION, KINDS, type Kind } from "../conntrack/kind.ts";
import type { NameTable } from "../conntrack/names.ts";
import type { Clock } from "../system/clock.ts";
import { type CommitRequest, parseCommitRequest } from "./commit-request.ts";
import { type DumpForm, dump, dumpRejected, inTurns } from "./dump.ts";
import { hasJson, isOpcode, Opcode, type Reply, type RequestDetail } from "./request.ts";
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
	/** The peer whose cache it is; undefined for what peers gave back to this node after its reboot. */
	originOf: (cache: ExternalCache) => string | undefined;
	/** Compares what all nodes, or one, hold of each other. */
	verify: (name: string | undefined) => Promise<{ text: string; json: string; isEqual: boolean }>;
	/** Why a change of keys would cut off a node; `key` is the first word of its fingerprint. */
	keysInUse: (change: "use" | "remove", key: number) => string | undefined;
	/** Why a peer's expectation is kept back, by the rule that was found broken. */
	whyRejected: (expectation: Int32Array, store: RecordStore, rule: number) => string;
	/** Text of the statistics, by opcode; undefined for a number that is none. */
	statistics: (op: number, form: RequestDetail["form"]) => string | undefined;
	notice: (text: string) => void;
	unknown: (op: number) => void;
}

const HALVES = { all: KINDS, ct: [CONNTRACK], expect: [EXPECTATION] } as const;
const DONE: Reply = { status: 0 };

export function requestHandler(daemon: DaemonControl): RequestHandler {
	const sources = { ...daemon, clock: inTurns(daemon.clock) };
	const kindsOf = (kinds: readonly Kind[]): Kind[] =>
		kinds.filter((kind) => kind === CONNTRACK || daemon.hasExpectations);
	const dumpHalf = async (kind: Kind, isInternal: boolean, form: DumpForm, write: TextSink) => {
		if (kind === EXPECTATION && !daemon.hasExpectations) return DONE;
		const caches = isInternal ? [daemon.internal[kind]] : daemon.externals(kind);
		await dump(sources, kind, caches, { form, isInternal }, write);
		return DONE;
	};
	const commit = (kinds: readonly Kind[]): Promise<Reply> => daemon.commit(kindsOf(kinds));

	return async (op, write, { argument, form } = {}) => {
		if (form === "json" && isOpcode(op) && !hasJson(op))
			return { status: 1, error: `request ${op} has no answer in JSON` };
		switch (op) {
			case Opcode.dumpInternalCt:
				return dumpHalf(CONNTRACK, true, form ?? "text", write);
			case Opcode.dumpInternalCtXml:
				return dumpHalf(CONNTRACK, true, "xml", write);
			case Opcode.dumpInternalExpect:
				return dumpHalf(EXPECTATION, true, form ?? "text", write);
			case Opcode.dumpInternalExpectXml:
				return dumpHalf(EXPECTATION, true, "xml", write);
			case Opcode.dumpExternalCt:
				return dumpHalf(CONNTRACK, false, form ?? "text", write);
			case Opcode.dumpExternalCtXml:
				return dumpHalf(CONNTRACK, false, "xml", write);
			case Opcode.dumpExternalExpect:
				return dumpHalf(EXPECTATION, false, form ?? "text", write);
			case Opcode.dumpExternalExpectXml:
				return dumpHalf(EXPECTATION, false, "xml", write);
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
				const { text, json, isEqual } = await daemon.verify(argument);
				await write(form === "json" ? json : text);
				return isEqual ? DONE : { status: 1, error: "not equal, or not known to be" };
			}
			case Opcode.policyRejected:
				await dumpRejected(sources, form === "json", write);
				return DONE;
			case Opcode.keysInUse: {
				const [, change, key] = /^(use|remove) ([0-9a-f]{8})$/.exec(argument ?? "") ?? [];
				if (!change || !key) return { status: 1, error: "which key, and what to do with it?" };
				return failed(daemon.keysInUse(change as "use" | "remove", Number.parseInt(key, 16)));
			}
			case Opcode.kill:
				daemon.stop();
				return DONE;
			default: {
				const text = daemon.statistics(op, form);
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

const failed = (error: string | undefined): Reply => (error === undefined ? DONE : { status: 1, error });
