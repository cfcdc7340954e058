// The texts of `-h` and `-v`, made from the tables of argv.ts and key-words.ts.
import { CHECK_FORMS } from "./check-words.ts";
import {
	CLIENT_OPTIONS,
	type ClientOption,
	GENERAL_OPTIONS,
	JSON_OPTION,
	XML_OPTION,
} from "./client-options.ts";
import { CLIENT_FORMS } from "./client-words.ts";
import { COMMIT_FORMS } from "./commit-words.ts";
import { KEY_FORMS } from "./key-words.ts";
import { POLICY_FORMS } from "./policy-words.ts";
import { VERIFY_FORMS } from "./verify-words.ts";

/** What is called by words: conntrackd's commands, and what it does not have. */
export const OWN_FORMS = [
	...CLIENT_FORMS,
	...COMMIT_FORMS,
	...VERIFY_FORMS,
	...POLICY_FORMS,
	...KEY_FORMS,
	...CHECK_FORMS,
];

/** Several lines, ended by an empty one. */
export function formatUsage(version: string): string {
	const row = (words: string, help: string) => `  ${words}, ${help}`;
	return [
		`${title(version)}`,
		"Usage: ctsync [commands] [options]",
		"",
		"General commands:",
		...GENERAL_OPTIONS.map(({ flag, word, argument, help }) =>
			row(argument ? `${flag} [${argument}]` : word ? `${flag} or ${word}` : flag, help),
		),
		"",
		"Client mode commands:",
		...CLIENT_OPTIONS.map((option) => row(option.flag + parameterList(option), option.help)),
		row(XML_OPTION.flag, XML_OPTION.help),
		row(JSON_OPTION.flag, JSON_OPTION.help),
		"",
		"Words of our own:",
		...OWN_FORMS.map(({ words, help }) => row(words, help)),
		"",
		"",
	].join("\n");
}

/** Ended by a newline. */
export function formatVersion(version: string): string {
	return `${title(version)}. MIT license.\n`;
}

function title(version: string): string {
	return `Connection tracking state replication daemon ctsync v${version}`;
}

function parameterList({ parameters }: ClientOption): string {
	const words = parameters?.filter((parameter) => !parameter.isHidden).map((parameter) => parameter.word);
	return words ? ` [${words.join("|")}]` : "";
}
