// Which expectations count: those of the helpers that ExpectationSync names, whose master passes the filter.
import { EXP_HAS, EXP_HELPER, type ExpectationRecord, X_HELPER } from "../conntrack/expectation-record.ts";
import type { NameTable } from "../conntrack/names.ts";
import type { ConntrackRecord } from "../conntrack/record.ts";
import type { Filter } from "./filter.ts";

/** The expectation's master conntrack, if it is known; the record is reused. */
export type MasterLookup = (expectation: ExpectationRecord) => ConntrackRecord | undefined;

export class ExpectationFilter {
	readonly #filter: Filter;
	readonly #names: NameTable;
	readonly #helpers: readonly string[] | true;
	readonly #lookup: MasterLookup;

	/** @param helpers lower-cased beginnings of helper names, or true for all */
	constructor(filter: Filter, names: NameTable, helpers: readonly string[] | true, lookup: MasterLookup) {
		this.#filter = filter;
		this.#names = names;
		this.#helpers = helpers;
		this.#lookup = lookup;
	}

	/** One whose master is not known does not pass: without it no peer could commit the expectation. */
	passes(record: ExpectationRecord): boolean {
		if (!this.#isNamed(record)) return false;
		const master = this.#lookup(record);
		return master !== undefined && this.#filter.passes(master);
	}

	#isNamed(record: ExpectationRecord): boolean {
		if (this.#helpers === true) return true;
		const helper = (record[EXP_HAS]! & X_HELPER) === 0 ? "" : this.#names.name(record[EXP_HELPER]!);
		const name = helper.toLowerCase();
		return name !== "" && this.#helpers.some((prefix) => name.startsWith(prefix));
	}
}
