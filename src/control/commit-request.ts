// What `ctsync commit` asks for, and the words in which it travels as the argument of a request.

export interface CommitRequest {
	which: "all" | "ct" | "expect";
	form: "text" | "json";
	/** Only a rehearsal: also name so many entries, and not only those that would be left. */
	show: number;
	isVerbose: boolean;
}

/** Entries that a rehearsal names when nothing is said, and at most: `--show all`. */
export const SHOW_DEFAULT = 20;
export const SHOW_MAX = 100_000;

export function encodeCommitRequest({ which, form, show, isVerbose }: CommitRequest): string {
	return `${which} ${form} ${show}${isVerbose ? " verbose" : ""}`;
}

/** undefined for anything else than the words above. */
export function parseCommitRequest(text: string | undefined): CommitRequest | undefined {
	const match = /^(all|ct|expect) (text|json) (\d{1,6})( verbose)?$/.exec(text ?? "");
	if (!match) return undefined;
	const [, which, form, show, verbose] = match;
	return {
		which: which as CommitRequest["which"],
		form: form as CommitRequest["form"],
		show: Math.min(SHOW_MAX, Number(show)),
		isVerbose: verbose !== undefined,
	};
}
