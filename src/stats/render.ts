// The text of `-s`: labels, tabs and column widths are an interface that monitoring scripts parse. Every block ends
// with an empty line. Counts are right-aligned in 12 columns (caches, queues, runtime) or 20 (traffic, network).
import type {
	AccountingStats,
	BypassStats,
	CacheStats,
	ClusterStats,
	InjectStats,
	LinkStats,
	NetworkStats,
	ProcessStats,
	QueueStats,
	ResendEntry,
	RuntimeStats,
	TrafficStats,
} from "./counters.ts";
import { renderCluster } from "./render-cluster.ts";

/** What stands on the internal side: a cache, or its bypass. */
export type InternalSide = { kind: "cache"; stats: CacheStats } | { kind: "bypass"; stats: BypassStats };
/** What stands on the external side: a cache, or direct injection. */
export type ExternalSide = { kind: "cache"; stats: CacheStats } | { kind: "inject"; stats: InjectStats };

export interface GeneralStats {
	internal: InternalSide;
	external: ExternalSide;
	traffic: TrafficStats;
	links: readonly LinkStats[];
	network: NetworkStats;
	/** Adds a block of our own at the end. */
	cluster?: ClusterStats;
}

/** `-s`, `-s ct`; with the expectation caches `-s expect`. */
export function renderGeneral(stats: GeneralStats): string {
	const { traffic, network } = stats;
	return [
		brief(stats.internal, "internal"),
		brief(stats.external, "external"),
		renderTraffic(traffic),
		renderActiveLink(stats.links),
		`message tracking:\n${wide(network.malformed)} Malformed msgs ${wide(network.lost)} Lost msgs\n\n`,
		stats.cluster ? renderCluster(stats.cluster) : "",
	].join("");
}

function renderTraffic({ bytes, packets }: TrafficStats): string {
	return `traffic processed:\n${wide(bytes)} Bytes      ${wide(packets)} Pckts\n\n`;
}

/** `-s` in the Stats mode; the last block is our own. */
export function renderAccounting({ cache, traffic, flowLog }: AccountingStats): string {
	const row = (label: string, count: number) => `${label}:\t\t\t${narrow(count)}\n`;
	return [
		brief({ kind: "cache", stats: cache }, "stats"),
		renderTraffic(traffic),
		"flow log:\n",
		row("lines written", flowLog.lines - flowLog.lost),
		row("lines lost", flowLog.lost),
		row("lost to syslog", flowLog.syslogLost),
		row("failed writes", flowLog.failures),
		row("bytes waiting", flowLog.waiting),
		"\n",
	].join("");
}

/** `-s cache` in the Stats mode. */
export function renderAccountingCache(cache: CacheStats): string {
	return detailed({ kind: "cache", stats: cache }, "stats");
}

/** `-s network`. */
export function renderNetwork(
	network: NetworkStats,
	links: readonly LinkStats[],
	cluster?: ClusterStats,
): string {
	const row = (label: string, tabs: string, count: number) => `\t\t${label}:${tabs}${wide(count)}\n`;
	return [
		"network statistics:\n\trecv:\n",
		row("Malformed messages", "\t", network.malformed),
		row("Wrong protocol version", "\t", network.version),
		row("Malformed header", "\t", network.header),
		row("Malformed payload", "\t", network.payload),
		row("Bad message type", "\t", network.type),
		row("Truncated message", "\t", network.truncated),
		row("Bad message size", "\t", network.size),
		"\tsend:\n",
		row("Malformed messages", "\t", network.sendMalformed),
		"\nsequence tracking statistics:\n\trecv:\n",
		row("Packets lost", "\t\t", network.lost),
		row("Packets before", "\t\t", network.before),
		"\n",
		renderActiveLink(links),
		cluster ? renderCluster(cluster) : "",
	].join("");
}

/** `-s cache`. */
export function renderCaches(internal: InternalSide, external: ExternalSide): string {
	return detailed(internal, "internal") + detailed(external, "external");
}

/** `-s runtime`. */
export function renderRuntime(stats: RuntimeStats): string {
	const row = (label: string, tabs: string, count: number) => `\t${label}:${tabs}${narrow(count)}\n`;
	return [
		`daemon uptime: ${formatUptime(stats.uptimeSeconds)}\n\nnetlink stats:\n`,
		`\tevents received:\t${wide(stats.eventsReceived)}\n`,
		`\tevents filtered:\t${wide(stats.eventsFiltered)}\n`,
		row("events unknown type", "\t\t", stats.eventsUnknownType),
		row("catch event failed", "\t\t", stats.catchEventFailed),
		row("dump unknown type", "\t\t", stats.dumpUnknownType),
		row("netlink overrun", "\t\t", stats.netlinkOverrun),
		row("flush kernel table", "\t\t", stats.kernelFlushes),
		row("resync with kernel table", "\t", stats.kernelResyncs),
		row("current buffer size (in bytes)", "\t", stats.netlinkBufferBytes),
		"\nruntime stats:\n",
		row("child process failed", "\t\t", stats.childFailed),
		row("\tchild process segfault", "\t", stats.childSegfault),
		row("\tchild process termsig", "\t", stats.childTermsig),
		row("select failed", "\t\t\t", stats.selectFailed),
		row("wait failed", "\t\t\t", stats.waitFailed),
		row("local read failed", "\t\t", stats.localReadFailed),
		row("local unknown request", "\t\t", stats.localUnknownRequest),
		"\n",
	].join("");
}

/** `-s link`: every dedicated link with its state. */
export function renderLinks(links: readonly LinkStats[]): string {
	return links
		.map(
			(link) =>
				`${link.type} traffic device=${link.device} status=${link.status} role=${link.role}:\n${counts(link)}`,
		)
		.join("");
}

/** `-s queue`. `nodes` is the number of allocated queue nodes of all queues. */
export function renderQueues(nodes: number, queues: readonly QueueStats[]): string {
	const blocks = queues.map(
		(queue) =>
			`queue ${queue.name}:\ncurrent elements:\t\t${narrow(queue.elements)}\n` +
			`maximum elements:\t\t${narrow(queue.maximum)}\nnot enough space errors:\t${narrow(queue.noSpace)}\n\n`,
	);
	return `allocated queue nodes:\t\t${narrow(nodes)}\n\n${blocks.join("")}`;
}

/** `-s rsqueue`: what waits for an acknowledgement, oldest first. */
export function renderResendQueue(entries: readonly ResendEntry[]): string {
	const lines = entries.map((entry) =>
		entry.kind === "control"
			? `control -> seq:${entry.sequence} flags:${entry.flags}\n`
			: `object -> seq:${entry.sequence}\n`,
	);
	return `resent queue (len=${entries.length})\n${lines.join("")}`;
}

/** `-s process`: nothing when there is no child. */
export function renderProcesses(processes: readonly ProcessStats[]): string {
	return processes.map((process) => `PID=${process.pid} type=${process.type}\n`).join("");
}

const narrow = (count: number): string => String(count).padStart(12);
const wide = (count: number | bigint): string => String(count).padStart(20);

function brief(side: InternalSide | ExternalSide, name: string): string {
	switch (side.kind) {
		case "cache":
			return (
				`cache ${name}:\ncurrent active connections:\t${narrow(side.stats.active)}\n` +
				`${results(side.stats)}\n`
			);
		case "bypass":
			return renderBypass(side.stats);
		case "inject":
			return `external inject:\n${results(side.stats)}${injectLines(side.stats)}\n`;
	}
}

/** Lines of our own, below those of conntrackd. */
function injectLines({ more }: InjectStats): string {
	if (!more) return "";
	const row = (label: string, count: number) => `connections ${label}:\t\t${narrow(count)}\n`;
	return row("of peers", more.held) + row("waiting", more.waiting) + row("kept alive", more.kept);
}

function results(stats: InjectStats): string {
	const row = (label: string, ok: number, failed: number) =>
		`connections ${label}:\t\t${narrow(ok)}\tfailed:\t${narrow(failed)}\n`;
	return (
		row("created", stats.createOk, stats.createFailed) +
		row("updated", stats.updateOk, stats.updateFailed) +
		row("destroyed", stats.destroyOk, stats.destroyFailed)
	);
}

function renderBypass(stats: BypassStats): string {
	const row = (label: string, count: number) => `connections ${label}:\t\t${narrow(count)}\n`;
	const rows = row("new", stats.created) + row("updated", stats.updated) + row("destroyed", stats.destroyed);
	return `internal bypass:\n${rows}\n`;
}

function detailed(side: InternalSide | ExternalSide, name: string): string {
	if (side.kind !== "cache") return brief(side, name);
	const { stats } = side;
	const pair = (first: number, second: number) => `${narrow(first)}/${narrow(second)}\n`;
	return [
		`cache:${name}\tactive objects:\t\t${narrow(stats.active)}\n`,
		`\tactive/total entries:\t\t${pair(stats.active, stats.objects)}`,
		`\tcreation OK/failed:\t\t${pair(stats.createOk, stats.createFailed)}`,
		`\t\tno memory available:\t${narrow(stats.createNoMemory)}\n`,
		`\t\tno space left in cache:\t${narrow(stats.createNoSpace)}\n`,
		`\tupdate OK/failed:\t\t${pair(stats.updateOk, stats.updateFailed)}`,
		`\t\tentry not found:\t${narrow(stats.updateNotFound)}\n`,
		`\tdeletion created/failed:\t${pair(stats.destroyOk, stats.destroyFailed)}`,
		`\t\tentry not found:\t${narrow(stats.destroyNotFound)}\n`,
		"\n",
	].join("");
}

/** The link in use; of a node that has lost every link, the first. */
function renderActiveLink(links: readonly LinkStats[]): string {
	const link = links.find((candidate) => candidate.role === "ACTIVE") ?? links[0];
	if (!link) return "";
	const side = (isConnected: boolean) => (isConnected ? "connected" : "disconnected");
	const tcp = link.tcp ? ` server=${side(link.tcp.server)} client=${side(link.tcp.client)}` : "";
	return `${link.type} traffic (active device=${link.device})${tcp}:\n${counts(link)}`;
}

function counts(link: LinkStats): string {
	const row = (unit: string, sent: string, sends: number, received: string, receives: number) =>
		`${wide(sends)} ${unit} ${sent} ${wide(receives)} ${unit} ${received}\n`;
	return (
		row("Bytes", "sent", link.sentBytes, "recv", link.receivedBytes) +
		row("Pckts", "sent", link.sentPackets, "recv", link.receivedPackets) +
		row("Error", "send", link.sentErrors, "recv", link.receivedErrors) +
		"\n"
	);
}

/** Days and hours only when there are any: `2 days 7 h 33 min`, `1 day 0 min`, `0 min`. */
function formatUptime(seconds: number): string {
	const minutes = Math.floor(seconds / 60);
	const days = Math.floor(minutes / 1440);
	const hours = Math.floor(minutes / 60) % 24;
	const dayPart = days === 0 ? "" : `${days} ${days === 1 ? "day" : "days"} `;
	return `${dayPart}${hours === 0 ? "" : `${hours} h `}${minutes % 60} min`;
}
