// One expectation with its master, as the rules look at it. The object is used again for the next one.
import {
	EXP_CLASS,
	EXP_FLAGS,
	EXP_FN,
	EXP_HAS,
	EXP_HELPER,
	EXP_PROTOCOLS,
	EXP_TIMEOUT,
	type ExpectationRecord,
	newExpectationRecord,
	X_CLASS,
	X_FLAGS,
	X_FN,
	X_HELPER,
	X_TIMEOUT,
} from "../conntrack/expectation-record.ts";
import type { NameTable } from "../conntrack/names.ts";
import {
	type ConntrackRecord,
	H_HELPER,
	H_REPLY,
	HAS,
	HELPER,
	newConntrackRecord,
	ORIG_DST,
	ORIG_PORTS,
	ORIG_SRC,
	REPLY_DST,
	REPLY_PORTS,
	REPLY_SRC,
} from "../conntrack/record.ts";
import { destinationPort, invertTuple, isPlainReply, sourcePort } from "../conntrack/tuple.ts";
import { compileNetwork, type Network, sameAddress } from "./addresses.ts";
import { findHelper, type HelperEntry, type Shape, shapeOf } from "./helpers.ts";
import type { HelperSettings, PolicySettings } from "./settings.ts";
import type { Standing } from "./standing.ts";

/** A helper of the table with what the operator says of it. */
export interface Helper {
	readonly entry: HelperEntry;
	readonly settings: HelperSettings;
	readonly srcNet: readonly Network[] | undefined;
	readonly dstNet: readonly Network[] | undefined;
}

/** The four addresses of a master, and which of them are its client's. */
const ENDS = [ORIG_SRC, ORIG_DST, REPLY_SRC, REPLY_DST] as const;
const CLIENTS = [ORIG_SRC, REPLY_DST] as const;

export class Question {
	expectation: ExpectationRecord = newExpectationRecord();
	family = 0;
	protocol = 0;
	expectationClass = 0;
	flags = 0;
	/** Seconds; -1 where none is told. */
	timeout = -1;
	/** Names as told, "" where none is. */
	helperName = "";
	functionName = "";
	/** With a reply tuple, whether one was told or not; meaningless unless `hasMaster`. */
	readonly master: ConntrackRecord = newConntrackRecord();
	hasMaster = false;
	masterHelperName = "";
	isTranslated = false;
	/** What decides: the table's row for the master's helper, else for the expectation's. */
	helper: Helper | undefined;
	/** The row for the expectation's own helper. */
	toldHelper: HelperEntry | undefined;
	shape: Shape | undefined;
	standing: Standing | undefined;
	readonly #names: NameTable;
	readonly #settings: PolicySettings;
	/** By the number of a name. Bounded by the table of names. */
	readonly #helpers: (Helper | null)[] = [];

	constructor(names: NameTable, settings: PolicySettings) {
		this.#names = names;
		this.#settings = settings;
	}

	set(
		expectation: ExpectationRecord,
		master: ConntrackRecord | undefined,
		standing: Standing | undefined,
	): void {
		const has = expectation[EXP_HAS]!;
		this.expectation = expectation;
		this.standing = standing;
		this.family = expectation[EXP_PROTOCOLS]! & 0xff;
		this.protocol = expectation[EXP_PROTOCOLS]! >>> 8;
		this.expectationClass = (has & X_CLASS) === 0 ? 0 : expectation[EXP_CLASS]! >>> 0;
		this.flags = (has & X_FLAGS) === 0 ? 0 : expectation[EXP_FLAGS]! >>> 0;
		this.timeout = (has & X_TIMEOUT) === 0 ? -1 : expectation[EXP_TIMEOUT]! >>> 0;
		const told = (has & X_HELPER) === 0 ? 0 : expectation[EXP_HELPER]!;
		this.helperName = this.#names.name(told);
		this.functionName = (has & X_FN) === 0 ? "" : this.#names.name(expectation[EXP_FN]!);
		const ofMaster = this.#setMaster(master);
		const toldHelper = this.#helperOf(told);
		this.toldHelper = toldHelper?.entry;
		this.helper = this.masterHelperName === "" ? toldHelper : this.#helperOf(ofMaster);
		this.shape = this.helper && shapeOf(this.helper.entry, this.protocol, this.expectationClass);
	}

	/** The name that ExpectationSync has to have. */
	get replicatedName(): string {
		return this.masterHelperName === "" ? this.helperName : this.masterHelperName;
	}

	get clientPort(): number {
		return destinationPort(this.master[REPLY_PORTS]!);
	}

	/** The client's port before it was translated. */
	get originalClientPort(): number {
		return sourcePort(this.master[ORIG_PORTS]!);
	}

	get serverPort(): number {
		return destinationPort(this.master[ORIG_PORTS]!);
	}

	/** Whether the address is one of the master's, in whichever direction, before or after translation. */
	isEnd(words: Int32Array, at: number): boolean {
		return ENDS.some((end) => sameAddress(words, at, this.master, end));
	}

	isClient(words: Int32Array, at: number): boolean {
		return CLIENTS.some((end) => sameAddress(words, at, this.master, end));
	}

	/** Whether the master is translated to this address: then it is in front of a host, and not the firewall itself. */
	isTranslation(words: Int32Array, at: number): boolean {
		const { master } = this;
		return (
			(sameAddress(words, at, master, REPLY_DST) && !sameAddress(master, REPLY_DST, master, ORIG_SRC)) ||
			(sameAddress(words, at, master, ORIG_DST) && !sameAddress(master, ORIG_DST, master, REPLY_SRC))
		);
	}

	#setMaster(master: ConntrackRecord | undefined): number {
		this.hasMaster = master !== undefined;
		this.masterHelperName = "";
		this.isTranslated = false;
		if (!master) return 0;
		this.master.set(master);
		if ((master[HAS]! & H_REPLY) === 0) invertTuple(this.master);
		else this.isTranslated = !isPlainReply(master);
		const helper = (master[HAS]! & H_HELPER) === 0 ? 0 : master[HELPER]!;
		this.masterHelperName = this.#names.name(helper);
		return helper;
	}

	#helperOf(number: number): Helper | undefined {
		const name = this.#names.name(number);
		if (name === "") return undefined;
		let helper = this.#helpers[number];
		if (helper === undefined) {
			helper = this.#compile(name) ?? null;
			this.#helpers[number] = helper;
		}
		return helper ?? undefined;
	}

	#compile(name: string): Helper | undefined {
		const entry = findHelper(name);
		if (!entry) return undefined;
		const settings = this.#settings.helpers[entry.settings] ?? {};
		return {
			entry,
			settings,
			srcNet: settings.srcNet?.map(compileNetwork),
			dstNet: settings.dstNet?.map(compileNetwork),
		};
	}
}
