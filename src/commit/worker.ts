// The commit worker: does what would hold up the event loop. It reads the stores of the main thread, and is the only
// thread that writes to the kernel.
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { CONNTRACK } from "../conntrack/kind.ts";
import { labelMask, NO_LABELS } from "../conntrack/labels.ts";
import { NameTable } from "../conntrack/names.ts";
import { CONNTRACK_WORDS } from "../conntrack/record.ts";
import { Filter } from "../filter/filter.ts";
import { loadNative } from "../system/native.ts";
import { ConntrackCommitter } from "./conntrack-committer.ts";
import { CommitCursors } from "./cursors.ts";
import { ExpectationCommitter } from "./expectation-committer.ts";
import { Flusher } from "./flusher.ts";
import { LabelCommitter } from "./label-committer.ts";
import {
	type AgainJob,
	type CommitJob,
	type CommitResult,
	type EvictJob,
	type FlushJob,
	type FromWorker,
	newCommitResult,
	type ScratchOptions,
	type ToWorker,
} from "./messages.ts";
import { enterScratch } from "./scratch.ts";
import { StoreReader } from "./store-reader.ts";
import { REPORT } from "./tally.ts";

/** Slots between two announcements to the main thread. */
const STRIDE = 256;

const port = parentPort!;
const names = new NameTable({ isClosed: true });
names.onMissing = () => fetchWaiting();
const stores: StoreReader[] = [];
/** For a rehearsal, everything below works on a copy of the kernel's tables. */
const scratch = workerData ? enterScratch(loadNative(), names, workerData as ScratchOptions) : undefined;
const native = scratch?.native ?? loadNative();
const conntracks = new ConntrackCommitter(native, names, scratch?.sysctl);
const expectations = new ExpectationCommitter(conntracks.requests, names);
const labels = new LabelCommitter(conntracks.requests, names);
const flusher = new Flusher(native, names);
/** Jobs that were taken from the queue while another one needed the message behind them. */
const jobs: ToWorker[] = [];

const send = (message: FromWorker): void => port.postMessage(message);

/** Takes what describes the stores; leaves jobs for later. */
function take(message: ToWorker): void {
	switch (message.type) {
		case "store":
			stores[message.store] = new StoreReader(message.kind, message.chunks, fetchWaiting);
			break;
		case "chunk":
			stores[message.store]!.adopt(message.slab, message.chunk);
			break;
		case "names":
			for (const name of message.names) names.learn(name);
			break;
		default:
			jobs.push(message);
	}
}

/** Takes every message that is waiting, without returning to the event loop. */
function fetchWaiting(): void {
	for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) {
		take(next.message as ToWorker);
	}
}

function report(job: number): void {
	for (const source of [conntracks, expectations]) {
		while (source.refusals.length > 0) {
			send({ type: "refused", job, refusals: source.refusals.splice(0, REPORT) });
		}
	}
	for (const source of [conntracks, expectations]) {
		while (source.joined.length > 0) send({ type: "joined", job, entries: source.joined.splice(0, REPORT) });
	}
}

function commit(job: CommitJob): CommitResult {
	conntracks.begin(job.windowTracking, job.timeout, job.labels);
	const cursors = job.cursors && new CommitCursors(job.cursors);
	let superseded = 0;
	job.parts.forEach(({ store, end }, part) => {
		let limit = cursors ? 0 : end;
		for (let slot = 0; slot < end; slot++) {
			if (cursors && slot % STRIDE === 0) cursors.committed(part, slot);
			if (slot >= limit && cursors) {
				// the internal cache has an entry before the kernel can tell of its end
				limit = cursors.follow(part, slot);
				fetchWaiting();
			}
			conntracks.add(stores[store]!, slot);
			if (stores[store]!.isSuperseded(slot)) superseded++;
		}
	});
	conntracks.finish();
	labels.begin(job.labels ?? NO_LABELS);
	if (labels.isOn) {
		for (const { store, end } of job.parts) {
			for (let slot = 0; slot < end; slot++) labels.add(stores[store]!, slot);
		}
		conntracks.result.withoutLabels = labels.finish();
	}
	return { ...conntracks.result, superseded };
}

/** Entries that changed behind the cursor; they exist now, so most of them are updates. */
function again(job: AgainJob): CommitResult {
	const { slots } = job;
	conntracks.beginAgain();
	for (let i = 0; i < slots.length; i += 2) conntracks.add(stores[slots[i]!]!, slots[i + 1]!);
	conntracks.finish();
	if (labels.isOn) {
		for (let i = 0; i < slots.length; i += 2) labels.add(stores[slots[i]!]!, slots[i + 1]!);
		labels.finish();
	}
	return conntracks.result;
}

function evict(job: EvictJob): CommitResult {
	conntracks.beginAgain();
	job.slots.forEach(({ store, slot, mayGo }, i) => {
		const occupant = job.occupants.subarray(i * CONNTRACK_WORDS, (i + 1) * CONNTRACK_WORDS);
		conntracks.evict(stores[store]!, slot, { occupant, mayGo });
	});
	return conntracks.result;
}

function flush({ kind, policy, own }: FlushJob): void {
	if (kind === CONNTRACK) flusher.conntracks(new Filter(policy, own), labelMask(policy.label?.labels ?? []));
	else flusher.expectations();
}

function run(message: ToWorker): CommitResult {
	switch (message.type) {
		case "commit":
			return commit(message);
		case "expect":
			return expectations.run(message.records, message.steps);
		case "again":
			return again(message);
		case "evict":
			return evict(message);
		case "flush":
			flush(message);
			return newCommitResult();
		case "delete":
			flusher.records(message.records);
			return newCommitResult();
		case "copy":
			return scratch?.copy(message.hasExpectations) ?? newCommitResult();
		default:
			return newCommitResult();
	}
}

port.on("message", (message: ToWorker) => {
	take(message);
	for (let next = jobs.shift(); next; next = jobs.shift()) {
		const { job } = next as CommitJob;
		conntracks.isMany = () => report(job);
		try {
			const result = run(next);
			report(job);
			send({ type: "done", job, result });
		} catch (error) {
			report(job);
			send({ type: "done", job, result: newCommitResult(), error: (error as Error).message });
		}
	}
});

send({
	type: "ready",
	commitPort: conntracks.requests.socket.port,
	flushPort: flusher.requests.socket.port,
	...(scratch && { scratch: scratch.state }),
});
