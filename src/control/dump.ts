// A cache as text: a line, a <flow> element or a JSON object for each entry. Written in pieces, so that a dump of a
// million entries neither holds up the replication nor grows in memory: between two pieces others have their turn, and
// the next one is made when the client has room for it (server.ts, UNREAD_MAX).
import type { Expiry } from "../cache/expiry.ts";
import type { ExternalCache } from "../cache/external-cache.ts";
import { CREATED } from "../cache/record-layout.ts";
import type { RecordStore } from "../cache/record-store.ts";
import { formatConntrack, formatExpectation } from "../conntrack/format.ts";
import { formatConntrackJson, formatExpectationJson } from "../conntrack/format-json.ts";
import { formatConntrackXml, formatExpectationXml } from "../conntrack/format-xml.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "../conntrack/kind.ts";
import { formatCode, WAITING } from "../policy/codes.ts";
import type { DaemonControl } from "./handlers.ts";
import type { TextSink } from "./server.ts";

export type DumpForm = "text" | "xml" | "json";

type DumpClock = Pick<DaemonControl["clock"], "now" | "pause">;
type Sources = Pick<DaemonControl, "names"> & {
	clock: DumpClock;
	/** The node whose entries an external cache holds. */
	originOf?: DaemonControl["originOf"];
};
type Cache = { readonly store: RecordStore; readonly expiry?: Expiry | undefined };

/** Entries per piece. */
const LINES = 128;
/** Slots looked at in one go where nothing is to be shown. */
const STRIDE = 8192;

/** A clock for all dumps of a daemon: they pause one behind the other, so that a turn of the event loop makes one piece. */
export function inTurns(clock: DumpClock): DumpClock {
	let last = Promise.resolve();
	return {
		now: () => clock.now(),
		pause: () => {
			last = last.then(() => clock.pause());
			return last;
		},
	};
}

/** Writes what counts of the caches, in the order of their slots. */
export async function dump(
	daemon: Sources,
	kind: Kind,
	caches: readonly Cache[],
	{ form, isInternal }: { form: DumpForm; isInternal: boolean },
	write: TextSink,
): Promise<void> {
	const { names } = daemon;
	for (const cache of caches) {
		const { store, expiry } = cache;
		const now = (): number => Math.floor(daemon.clock.now() / 1000);
		const origin = isInternal ? undefined : daemon.originOf?.(cache as ExternalCache);
		const ageOf = (slot: number): number => Math.max(0, now() - store.header(slot, CREATED));
		// Mode ALARM
		const lifeOf = (slot: number): { expiresIn?: number } =>
			expiry?.isRunning ? { expiresIn: expiry.left(slot, now()) } : {};
		const times = (slot: number): string => {
			const { expiresIn } = lifeOf(slot);
			return `[active since ${ageOf(slot)}s]${expiresIn === undefined ? "" : ` [expires in ${expiresIn}s]`}\n`;
		};
		const more = (slot: number) => ({
			...(origin === undefined ? {} : { node: origin }),
			age: ageOf(slot),
			...lifeOf(slot),
		});
		const formats: Record<DumpForm, (record: Int32Array, slot: number) => string> =
			kind === CONNTRACK
				? {
						// conntrackd's lines of -e have no reply tuple, and scripts parse them; its XML has an empty one,
						// which is filled here
						text: (record, slot) => `${formatConntrack(record, names, { reply: isInternal })} ${times(slot)}`,
						// the kernel's id, which only a record of this kernel has
						xml: (record) => `${formatConntrackXml(record, names, { reply: true, id: true })}\n`,
						json: (record, slot) => `${formatConntrackJson(record, names, more(slot))}\n`,
					}
				: {
						text: (record, slot) => `${formatExpectation(record, names)} ${times(slot)}`,
						xml: (record) => `${formatExpectationXml(record, names)}\n`,
						json: (record, slot) => `${formatExpectationJson(record, names, more(slot))}\n`,
					};
		const isShown = (slot: number): boolean => store.isLive(slot) && store.isOwned(slot);
		await eachPiece(daemon, store, isShown, formats[form], write);
	}
}

/** The peers' expectations that are held and do not count, with the reason. */
export async function dumpRejected(
	daemon: Sources & Pick<DaemonControl, "externals" | "whyRejected">,
	isJson: boolean,
	write: TextSink,
): Promise<void> {
	const { names } = daemon;
	for (const cache of daemon.externals(EXPECTATION)) {
		const { store } = cache;
		const node = daemon.originOf?.(cache);
		const format = (record: Int32Array, slot: number): string => {
			const rule = store.verdict(slot);
			const reason = daemon.whyRejected(record, store, rule);
			if (!isJson) return `${formatExpectation(record, names)} [${reason}]\n`;
			const named = rule === WAITING ? null : formatCode(rule);
			const more = { ...(node === undefined ? {} : { node }), rule: named, reason };
			return `${formatExpectationJson(record, names, more)}\n`;
		};
		await eachPiece(daemon, store, (slot) => store.isLive(slot) && store.verdict(slot) !== 0, format, write);
	}
}

/** Writes a text for each slot that is to be shown. */
async function eachPiece(
	{ clock }: Pick<Sources, "clock">,
	store: RecordStore,
	isShown: (slot: number) => boolean,
	format: (record: Int32Array, slot: number) => string,
	write: TextSink,
): Promise<void> {
	const record = new Int32Array(store.layout.recordWords);
	let text = "";
	let lines = 0;
	await clock.pause();
	for (let slot = 0; slot < store.end; slot++) {
		if (slot % STRIDE === STRIDE - 1) await clock.pause();
		if (!isShown(slot)) continue;
		store.read(slot, record);
		text += format(record, slot);
		if (++lines % LINES !== 0) continue;
		await write(text);
		text = "";
		await clock.pause();
	}
	if (text !== "") await write(text);
}
