// What a rehearsal works on instead of the kernel's tables: a copy of them in a network namespace, or, where there can
// be none, a model.
import type { NameTable } from "../conntrack/names.ts";
import {
	type ConntrackRecord,
	H_HELPER,
	H_MASTER,
	H_REPLY,
	HAS,
	HELPER,
	MASTER_PROTOCOLS,
	newConntrackRecord,
	PROTOCOLS,
} from "../conntrack/record.ts";
import { CONNTRACK_REQUEST_MAX, ConntrackEncoder } from "../netlink/encode-conntrack.ts";
import type { Native, SystemError } from "../system/native.ts";
import { readSysctl, type Sysctl } from "../system/sysctl.ts";
import { type CommitResult, newCommitResult, type ScratchOptions, type ScratchState } from "./messages.ts";
import { ModelKernel } from "./model-kernel.ts";
import { ModelTables } from "./model-tables.ts";
import { RequestSocket } from "./request-socket.ts";
import { ScratchNamespace } from "./scratch-namespace.ts";
import { TableReader } from "./table-reader.ts";

/** Entries that a model may hold, this kernel's and the peers': it takes about 700 bytes for each. */
export const OFFLINE_MAX = 400_000;
const EOPNOTSUPP = 95;

export interface ScratchTables {
	/** Whose sockets are those of the scratch tables. */
	native: Native;
	/** What the kernel's settings say of them. */
	sysctl: Sysctl;
	/** Copies the kernel's tables: `created` is what was copied, `failed` what the copy did not take. */
	copy: (hasExpectations: boolean) => CommitResult;
	state: ScratchState;
}

/**
 * To be called before anything else of the thread opens a socket.
 *
 * @throws Error when there are too many entries for a model, and no namespace
 */
export function enterScratch(native: Native, names: NameTable, options: ScratchOptions): ScratchTables {
	const sockets: number[] = [];
	const recording: Native = {
		...native,
		openSocket: (domain, type, protocol) => {
			const fd = native.openSocket(domain, type, protocol);
			sockets.push(fd);
			return fd;
		},
		closeSocket: (fd) => {
			sockets.splice(sockets.indexOf(fd), 1);
			native.closeSocket(fd);
		},
	};
	let { offlineCause } = options;
	if (offlineCause === undefined) {
		try {
			const namespace = new ScratchNamespace(recording, names);
			const copy = (hasExpectations: boolean): CommitResult => namespace.copy(hasExpectations);
			// a thread reads the settings of its own namespace
			return { native: recording, sysctl: readSysctl, copy, state: { sockets } };
		} catch (error) {
			if ((error as SystemError).syscall !== "unshare") throw error;
			offlineCause = `no network namespace: ${(error as Error).message}`;
		}
	}
	if (options.entries > OFFLINE_MAX) {
		throw new Error(`${offlineCause}; and ${options.entries} entries are too many to be checked offline`);
	}
	const reader = new TableReader(recording, names);
	const tables = new ModelTables({ max: options.max, knowsHelper: helperProbe(recording, names) });
	const copy = (hasExpectations: boolean): CommitResult => {
		const result = newCommitResult();
		reader.conntracks((record) => {
			tables.load(record);
			result.created++;
		});
		if (!hasExpectations) return result;
		reader.expectations((record) => {
			tables.loadExpectation(record);
			result.created++;
		});
		return result;
	};
	return {
		native: new ModelKernel(tables, names).native(native),
		sysctl: (name) => (name === "net.netfilter.nf_conntrack_count" ? tables.count : readSysctl(name)),
		copy,
		state: { sockets, offlineCause },
	};
}

/**
 * Asks the kernel whether it has a helper by a creation that cannot succeed, because it names a master that cannot be:
 * the kernel looks for the helper first (nf_conntrack_netlink.c, ctnetlink_create_conntrack).
 */
function helperProbe(native: Native, names: NameTable): (record: ConntrackRecord) => boolean {
	const requests = new RequestSocket(native, CONNTRACK_REQUEST_MAX);
	const encoder = new ConntrackEncoder(requests.writer, names);
	/** By protocols | helper << 16. Bounded by the table of names. */
	const known = new Map<number, boolean>();
	return (record) => {
		const key = record[PROTOCOLS]! | (record[HELPER]! << 16);
		let answer = known.get(key);
		if (answer === undefined) {
			let errno = 0;
			const probe = newConntrackRecord();
			probe[HAS] = H_REPLY | H_HELPER | H_MASTER;
			probe[PROTOCOLS] = record[PROTOCOLS]!;
			probe[MASTER_PROTOCOLS] = record[PROTOCOLS]!;
			probe[HELPER] = record[HELPER]!;
			encoder.create(probe, requests.sequence(0), 0, { windowTracking: true });
			requests.exchange((_, number) => {
				errno = number;
			});
			answer = errno !== EOPNOTSUPP;
			known.set(key, answer);
		}
		return answer;
	};
}
