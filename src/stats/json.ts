// The statistics as JSON: `-s ... --json`. One object on one line. The members are an interface (docs/json.md): some
// may be added, none is renamed or given another unit while `version` is 1.
import { formatCode, refusalCounts, WAITING } from "../policy/codes.ts";
import type {
	ClusterStats,
	EqualityStats,
	LinkStats,
	NetworkStats,
	PeerStats,
	ProcessStats,
	QueueStats,
	ResendEntry,
	RuntimeStats,
	TrafficStats,
} from "./counters.ts";
import type { ExternalSide, InternalSide } from "./render.ts";
import { verdictOf } from "./render-cluster.ts";
import type { PolicyStats } from "./render-policy.ts";

/** A value of JSON; a bigint is a number of whatever size. */
export type Json =
	| null
	| boolean
	| number
	| bigint
	| string
	| readonly Json[]
	| { readonly [member: string]: Json | undefined };

/** What protects the link. */
export interface SecurityStats {
	/** Lines for people. */
	text: string;
	/** Datagrams whose seal was wrong. */
	badSeal: number;
}

/**
 * One line. Integers are written in full: beyond 2^53 (64-bit counters of the kernel) RFC 8259 leaves it to the reader
 * what it makes of them, and readers that know integers take them as they are.
 */
export function jsonLine(kind: string, members: { readonly [member: string]: Json | undefined }): string {
	return `${encode({ version: 1, kind, ...members })}\n`;
}

function encode(value: Json): string {
	if (typeof value === "bigint") return String(value);
	// what is no number has no form in JSON
	if (typeof value === "number") return Number.isFinite(value) ? encodeNumber(value) : "null";
	if (value === null || typeof value !== "object") return JSON.stringify(value);
	if (Array.isArray(value)) return `[${(value as readonly Json[]).map(encode).join(",")}]`;
	const members = Object.entries(value as { readonly [member: string]: Json | undefined })
		.filter(([, member]) => member !== undefined)
		.map(([name, member]) => `${JSON.stringify(name)}:${encode(member!)}`);
	return `{${members.join(",")}}`;
}

/** Integers without an exponent, which JavaScript would write from 10^21 on. */
const encodeNumber = (value: number): string =>
	Number.isInteger(value) ? String(BigInt(value)) : String(value);

export const sideJson = ({ kind, stats }: InternalSide | ExternalSide): Json => ({
	type: kind,
	...(stats as unknown as { [member: string]: Json }),
});

export const linksJson = (links: readonly LinkStats[]): Json => links as unknown as Json;

export const networkJson = (stats: NetworkStats): Json => ({ ...stats });

export const trafficJson = ({ bytes, packets }: TrafficStats): Json => ({ bytes, packets });

export const runtimeJson = (stats: RuntimeStats): { [member: string]: Json } => ({ ...stats });

export const queuesJson = (queues: readonly QueueStats[]): Json => queues.map((queue) => ({ ...queue }));

export const resendJson = (entries: readonly ResendEntry[]): Json => entries.map((entry) => ({ ...entry }));

export const processesJson = (processes: readonly ProcessStats[]): Json =>
	processes.map((one) => ({ ...one }));

/** The members of `node` and `peers`. */
export const clusterJson = ({ node, peers, silent = [] }: ClusterStats): { [member: string]: Json } => ({
	node: { ...roleJson(node), ...(node.rival === undefined ? {} : { rival: node.rival }) },
	peers: peers.map(peerJson),
	silent: silent.map(({ address, devices, hasSpoken }) => ({ address: address ?? null, devices, hasSpoken })),
});

export const securityJson = ({ text, badSeal }: SecurityStats): Json => ({
	notes: text.split("\n"),
	wrongSeals: badSeal,
});

/** Of the checks, an allowed one has no rule. */
export const policyJson = ({ counts, keptBack, onViolation }: PolicyStats): Json => ({
	onViolation,
	checks: counts.map(({ checkpoint, helper, code, count }) => ({
		checkpoint,
		helper,
		rule: code === 0 ? null : formatCode(code),
		count,
	})),
	keptBack: refusalCounts(Array.from({ length: WAITING }, (_, rule) => keptBack[rule] ?? 0)),
	awaitingMaster: keptBack[WAITING] ?? 0,
});

const roleJson = ({ isPrimary, isActiveActive, term, mode = "FTFW" }: ClusterStats["node"]) => ({
	role: isActiveActive ? "active-active" : isPrimary ? "primary" : "backup",
	term,
	mode,
});

const peerJson = (peer: PeerStats): Json => ({
	node: peer.address,
	id: peer.node,
	state: peer.state,
	...roleJson(peer),
	dirty: peer.dirty,
	inFlight: peer.inFlight,
	heardMillisecondsAgo: peer.rxAgeMs ?? null,
	held: peer.held,
	unconfirmed: peer.unconfirmed ?? 0,
	isCompared: peer.hasNoCache !== true,
	isOtherMode: peer.isOtherMode ?? false,
	isOtherRole: peer.isOtherRole ?? false,
	isOtherFilter: peer.isOtherFilter ?? false,
	theirs: equalityJson(peer.theirs, peer.state),
	ours: equalityJson(peer.ours, peer.state),
});

const equalityJson = (stats: EqualityStats, state: PeerStats["state"]): Json => ({
	verdict: verdictOf(stats, state),
	equalSecondsAgo: stats.verifiedSeconds ?? null,
	differingParts: stats.differing,
	refused: stats.refused,
	refusedBy: refusalCounts(stats.refusals),
	putRight: stats.wrong,
});
