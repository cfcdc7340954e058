// Which expectations count: those of the helpers that ExpectationSync names, whose master passes the filter, and that
// obey the policy.
import { EXP_HAS, EXP_HELPER, type ExpectationRecord, X_HELPER } from "../conntrack/expectation-record.ts";
import type { NameTable } from "../conntrack/names.ts";
import type { ConntrackRecord } from "../conntrack/record.ts";
import type { Filter } from "./filter.ts";

/** The expectation's master conntrack, if it is known; the record is reused. */
export type MasterLookup = (expectation: ExpectationRecord) => ConntrackRecord | undefined;

/** Helpers that answer to the firewall's own broadcasts: of use on another firewall only to whoever names them. */
const BROADCAST = ["netbios-ns", "snmp"];

export class ExpectationFilter {
	readonly #filter: Pick<Filter, "passes">;
	readonly #names: NameTable;
	readonly #helpers: readonly string[] | true;
	readonly #lookup: MasterLookup;
	readonly #allows: (expectation: ExpectationRecord, master: ConntrackRecord) => boolean;

	/**
	 * @param helpers lower-cased beginnings of helper names, or true for all but those of broadcasts
	 * @param allows the policy
	 */
	constructor(
		filter: Pick<Filter, "passes">,
		names: NameTable,
		helpers: readonly string[] | true,
		lookup: MasterLookup,
		allows: (expectation: ExpectationRecord, master: ConntrackRecord) => boolean = () => true,
	) {
		this.#filter = filter;
		this.#names = names;
		this.#helpers = helpers;
		this.#lookup = lookup;
		this.#allows = allows;
	}

	/** One whose master is not known does not pass: without it no peer could commit the expectation. */
	passes(record: ExpectationRecord): boolean {
		if (!this.#isNamed(record)) return false;
		const master = this.#lookup(record);
		return master !== undefined && this.#filter.passes(master) && this.#allows(record, master);
	}

	#isNamed(record: ExpectationRecord): boolean {
		const helper = (record[EXP_HAS]! & X_HELPER) === 0 ? "" : this.#names.name(record[EXP_HELPER]!);
		const name = helper.toLowerCase();
		if (this.#helpers === true) return !BROADCAST.some((prefix) => name.startsWith(prefix));
		return name !== "" && this.#helpers.some((prefix) => name.startsWith(prefix));
	}
}
