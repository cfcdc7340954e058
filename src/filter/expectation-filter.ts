// Which expectations count: those of the helpers that ExpectationSync names, whose master passes the filter.
import {
	EXP_HAS,
	EXP_HELPER,
	EXP_MASTER_DST,
	EXP_MASTER_PORTS,
	EXP_MASTER_PROTOCOLS,
	EXP_MASTER_SRC,
	EXP_ZONE,
	type ExpectationRecord,
	X_HELPER,
} from "../conntrack/expectation-record.ts";
import type { NameTable } from "../conntrack/names.ts";
import {
	type ConntrackRecord,
	HAS,
	newConntrackRecord,
	ORIG_DST,
	ORIG_PORTS,
	ORIG_SRC,
	PROTOCOLS,
	ZONES,
} from "../conntrack/record.ts";
import type { Filter } from "./filter.ts";

/** Completes the conntrack with this original tuple in place, if it is known. */
export type MasterLookup = (master: ConntrackRecord) => void;

export class ExpectationFilter {
	readonly #filter: Filter;
	readonly #names: NameTable;
	readonly #helpers: readonly string[] | true;
	readonly #lookup: MasterLookup;
	readonly #master = newConntrackRecord();

	/** @param helpers lower-cased beginnings of helper names, or true for all */
	constructor(filter: Filter, names: NameTable, helpers: readonly string[] | true, lookup: MasterLookup) {
		this.#filter = filter;
		this.#names = names;
		this.#helpers = helpers;
		this.#lookup = lookup;
	}

	passes(record: ExpectationRecord): boolean {
		if (this.#helpers !== true) {
			const helper = (record[EXP_HAS]! & X_HELPER) === 0 ? "" : this.#names.name(record[EXP_HELPER]!);
			const name = helper.toLowerCase();
			if (!this.#helpers.some((prefix) => name !== "" && name.startsWith(prefix))) return false;
		}
		const master = this.#master;
		master.fill(0);
		master[HAS] = 0;
		master[PROTOCOLS] = record[EXP_MASTER_PROTOCOLS]!;
		master[ZONES] = record[EXP_ZONE]! | (record[EXP_ZONE]! << 16);
		master[ORIG_PORTS] = record[EXP_MASTER_PORTS]!;
		for (let i = 0; i < 4; i++) {
			master[ORIG_SRC + i] = record[EXP_MASTER_SRC + i]!;
			master[ORIG_DST + i] = record[EXP_MASTER_DST + i]!;
		}
		// the expectation's event may come before its master's: then its tuple has to do
		this.#lookup(master);
		return this.#filter.passes(master);
	}
}
