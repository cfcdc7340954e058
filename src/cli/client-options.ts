// The options of conntrackd as a table: the command line, the usage text, the completion and the words of client-words.ts
// are made from it.
import { Opcode } from "../control/request.ts";

/** A word that may follow an option. Of several that begin as typed, the first in the table is meant. */
export interface Parameter {
	word: string;
	op: Opcode;
	/** Still understood, but no longer told. */
	isHidden?: true;
	warning?: string;
}

/** A command for the running daemon. `op` is meant when no parameter follows. */
export interface ClientOption {
	flag: string;
	help: string;
	op: Opcode;
	parameters?: readonly Parameter[];
	/** The parameter is the only word that can follow, so that a wrong one is called by that name. */
	isParameterStrict?: true;
}

export interface GeneralOption {
	flag: string;
	/** The same, written out. */
	word?: string;
	help: string;
	argument?: string;
}

export const GENERAL_OPTIONS: readonly GeneralOption[] = [
	{ flag: "-d", help: "run in the background, return when the daemon is ready" },
	{ flag: "-C", argument: "configfile", help: "read this configuration file" },
	{ flag: "-v", word: "--version", help: "show the version" },
	{ flag: "-h", word: "--help", help: "show this text" },
];

const halves = (ct: Opcode, expect: Opcode): readonly Parameter[] => [
	{ word: "ct", op: ct },
	{ word: "expect", op: expect },
];

export const CLIENT_OPTIONS: readonly ClientOption[] = [
	{
		flag: "-c",
		help: "put the external cache into the kernel",
		op: Opcode.commitAll,
		parameters: halves(Opcode.commitCt, Opcode.commitExpect),
	},
	{
		flag: "-f",
		help: "empty the caches",
		op: Opcode.flushCachesAll,
		parameters: [
			{ word: "internal", op: Opcode.flushInternal },
			{ word: "external", op: Opcode.flushExternal },
		],
		isParameterStrict: true,
	},
	{
		flag: "-F",
		help: "empty the kernel's tables",
		op: Opcode.flushKernelAll,
		parameters: halves(Opcode.flushKernelCt, Opcode.flushKernelExpect),
	},
	{
		flag: "-i",
		help: "print the internal cache",
		op: Opcode.dumpInternalCt,
		parameters: halves(Opcode.dumpInternalCt, Opcode.dumpInternalExpect),
	},
	{
		flag: "-e",
		help: "print the external cache",
		op: Opcode.dumpExternalCt,
		parameters: halves(Opcode.dumpExternalCt, Opcode.dumpExternalExpect),
	},
	{ flag: "-k", help: "stop the daemon", op: Opcode.kill },
	{
		flag: "-s",
		help: "print statistics",
		op: Opcode.stats,
		parameters: [
			{ word: "network", op: Opcode.statsNetwork },
			{ word: "cache", op: Opcode.statsCache },
			{ word: "runtime", op: Opcode.statsRuntime },
			{
				word: "multicast",
				op: Opcode.statsLink,
				isHidden: true,
				warning: "use `link' instead of `multicast' as parameter.",
			},
			{ word: "link", op: Opcode.statsLink },
			{ word: "rsqueue", op: Opcode.statsResendQueue },
			{ word: "process", op: Opcode.statsProcess },
			{ word: "queue", op: Opcode.statsQueue },
			{ word: "ct", op: Opcode.stats },
			{ word: "expect", op: Opcode.statsExpect },
		],
		isParameterStrict: true,
	},
	{
		flag: "-R",
		help: "read the kernel's tables into the internal cache",
		op: Opcode.resyncKernelAll,
		parameters: halves(Opcode.resyncKernelCt, Opcode.resyncKernelExpect),
	},
	{ flag: "-n", help: "ask the other nodes for all their state", op: Opcode.requestResync },
	{ flag: "-B", help: "send all our state to the other nodes", op: Opcode.sendBulk },
	{
		flag: "-t",
		help: "after PurgeTimeout, have the kernel forget what a peer has taken over",
		op: Opcode.resetTimers,
	},
];

/** `-x` is no command: it changes the `-i` or `-e` before it. */
export const XML_OPTION: GeneralOption = { flag: "-x", help: "print as XML; stands after -i or -e" };

/** Nor is `--json`: it changes whatever before it prints something. */
export const JSON_OPTION: GeneralOption = {
	flag: "--json",
	help: "print as JSON; stands after -c, -i, -e or -s",
};

const XML_FORMS: ReadonlyMap<Opcode, Opcode> = new Map([
	[Opcode.dumpInternalCt, Opcode.dumpInternalCtXml],
	[Opcode.dumpExternalCt, Opcode.dumpExternalCtXml],
	[Opcode.dumpInternalExpect, Opcode.dumpInternalExpectXml],
	[Opcode.dumpExternalExpect, Opcode.dumpExternalExpectXml],
]);

/** The same as XML; undefined of what has none. */
export const xmlForm = (op: Opcode): Opcode | undefined => XML_FORMS.get(op);

/** The parameter that begins as typed. */
export function findParameter({ parameters }: ClientOption, typed: string): Parameter | undefined {
	return typed === "" ? undefined : parameters?.find(({ word }) => word.startsWith(typed));
}
