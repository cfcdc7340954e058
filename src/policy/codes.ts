// The rules that an expectation has to obey, by number: the code X07 is rule 7 (docs/expectation-policy.md).

/** All rules are obeyed. */
export const ACCEPTED = 0;
/** No rule is broken as far as can be seen, but the master is not known yet, and without it nothing is allowed. */
export const WAITING = 17;

/** What each rule looks at, by its number. */
export const RULES: readonly string[] = [
	"",
	"helper is replicated and known",
	"master and its helper",
	"helper is that of the master",
	"one address family, no bits outside the mask",
	"form of the masks",
	"source",
	"destination address",
	"layer 4 protocol",
	"destination port",
	"class",
	"flags",
	"timeout",
	"number and rate",
	"address translation",
	"expectation function",
	"networks and ports of the operator",
];
export const FIRST_RULE = 1;
export const LAST_RULE = 16;

/** `X07`; of WAITING what it is. */
export function formatCode(code: number): string {
	return code === WAITING ? "waiting for its master" : `X${String(code).padStart(2, "0")}`;
}

/** The same counts as an object: `{ X07: 9, noRoom: 3 }`, without those that are 0. */
export function refusalCounts(counts: ArrayLike<number>): Record<string, number> {
	const found: Record<string, number> = {};
	for (let code = FIRST_RULE; code <= LAST_RULE; code++) {
		if ((counts[code] ?? 0) > 0) found[formatCode(code)] = counts[code]!;
	}
	if ((counts[0] ?? 0) > 0) found.noRoom = counts[0]!;
	return found;
}

/**
 * `X07 9, no room 3`: what was refused or is kept back, by reason, the rules first.
 *
 * @param counts by the number of the rule; 0 is "no room"
 */
export function formatRefusals(counts: ArrayLike<number>): string {
	const parts: string[] = [];
	for (let code = FIRST_RULE; code <= LAST_RULE; code++) {
		if ((counts[code] ?? 0) > 0) parts.push(`${formatCode(code)} ${counts[code]}`);
	}
	if ((counts[0] ?? 0) > 0) parts.push(parts.length === 0 ? "no room" : `no room ${counts[0]}`);
	return parts.join(", ");
}
