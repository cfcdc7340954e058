// The shape of a row in the table of directives.
import type { ArgumentSpec } from "./argument.ts";

/** A section, named as in messages. `Mode` has one for each mode, because they allow different words. */
export type Place =
	| "the top level"
	| "Sync"
	| "Mode FTFW"
	| "Mode NOTRACK"
	| "Mode ALARM"
	| "Multicast"
	| "UDP"
	| "TCP"
	| "Options"
	| "ExpectationPolicy"
	| `Helper ${"ftp" | "tftp" | "amanda" | "sane" | "irc" | "pptp" | "h323" | "sip" | "netbios-ns" | "snmp"}`
	| "Peers"
	| "Security"
	| "General"
	| "UNIX"
	| "Filter"
	| "Address"
	| "Scheduler"
	| "Stats"
	| "Helper"
	| "Type"
	| "Policy";

/** What the braces behind a directive hold. */
export type BlockSpec =
	| { readonly place: Place }
	/** The section depends on the first argument. */
	| { readonly placeByArgument: Readonly<Record<string, Place>> }
	/** Plain words up to the closing brace. */
	| { readonly list: ListType };

export type ListType = "protocols" | "TCP states" | "helper names" | "numbers of labels" | "marks" | "zones";

export interface DirectiveSpec {
	readonly word: string;
	readonly in: readonly Place[];
	readonly args: readonly ArgumentSpec[];
	/** One line for documentation. */
	readonly summary: string;
	readonly block?: BlockSpec;
	/** The block may be left out if there is an argument. */
	readonly blockOptional?: boolean;
	/** Takes words up to and with `for TCP`. */
	readonly words?: "TCP states";
	/** May stand several times in its section, and all of them count. */
	readonly repeats?: boolean;
	/** The value when the directive is not there; absent: none, or computed elsewhere. */
	readonly default?: boolean | number | string;
	/** Its name in the typed configuration, where that is not the word in camelCase. */
	readonly field?: string;
	/** An old spelling of this word. */
	readonly aliasOf?: string;
	/** Works, but something else is better. */
	readonly advice?: string;
	/** Accepted for old files. Says what to write instead. */
	readonly obsolete?: string;
	/** Whether SIGHUP can put a new value into force; else the daemon has to be started again. */
	readonly reload: boolean;
}

export type Extra = Omit<Partial<DirectiveSpec>, "word" | "in" | "args" | "summary">;

/** Makes a row; one section or argument may stand without its array. */
export const row = (
	word: string,
	places: Place | readonly Place[],
	args: ArgumentSpec | readonly ArgumentSpec[],
	summary: string,
	extra: Extra = {},
): DirectiveSpec => ({
	word,
	in: typeof places === "string" ? [places] : places,
	args: "type" in args ? [args] : args,
	summary,
	reload: false,
	...extra,
});
