// Both tables of the kernel, whole, by their kind.
import { EXPECTATION, type Kind } from "../conntrack/kind.ts";
import type { LabelMask } from "../conntrack/labels.ts";
import type { NameTable } from "../conntrack/names.ts";
import type { ConntrackRecord } from "../conntrack/record.ts";
import type { Clock } from "../system/clock.ts";
import type { Native } from "../system/native.ts";
import { KernelDump } from "./kernel-dump.ts";

export interface KernelDumpsOptions {
	native: Native;
	clock: Clock;
	names: NameTable;
	/** The connlabels that count. */
	labels: LabelMask;
	/** Sees each conntrack before whoever asks for it. */
	seen: (record: ConntrackRecord) => void;
}

export class KernelDumps {
	readonly #conntracks: KernelDump;
	/** With a socket of its own: a long dump of the other table must not hold it up. */
	readonly #expectations: KernelDump;
	readonly #seen: (record: ConntrackRecord) => void;

	/** @throws Error with a line for the operator */
	constructor({ native, clock, names, labels, seen }: KernelDumpsOptions) {
		this.#conntracks = new KernelDump(native, clock, names, { labels });
		const { counters } = this.#conntracks;
		this.#expectations = new KernelDump(native, clock, names, { counters });
		this.#seen = seen;
	}

	/** Of both. */
	get counters(): KernelDump["counters"] {
		return this.#conntracks.counters;
	}

	/** Calls back with each entry; the record is reused. @throws NetlinkError */
	read(kind: Kind, visit: (record: Int32Array) => void): Promise<void> {
		if (kind === EXPECTATION) return this.#expectations.expectations(visit);
		return this.#conntracks.conntracks((record) => {
			this.#seen(record);
			visit(record);
		});
	}

	close(): void {
		this.#conntracks.close();
		this.#expectations.close();
	}
}
