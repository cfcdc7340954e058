// DisableExternalCache: joins direct injection with the rest of the daemon.
import { Injection, type InjectionOptions } from "./commit/injection.ts";
import { reasonOf } from "./commit/refusal-reason.ts";
import type { SyncConfig } from "./config/config.ts";
import { formatConntrack, formatExpectation } from "./conntrack/format.ts";
import { CONNTRACK } from "./conntrack/kind.ts";
import type { ExpectationChecks } from "./expectation-checks.ts";
import type { Ftfw } from "./sync/ftfw.ts";
import { PassingNotrack } from "./sync/notrack.ts";
import type { Log } from "./system/log.ts";

export interface DirectInjectionOptions
	extends Omit<InjectionOptions, "isPrimary" | "refused" | "failed" | "policy"> {
	ftfw: Ftfw;
	checks: ExpectationChecks;
	log: Log;
}

/** Has every peer's entries injected, if the configuration says so. @throws Error with a line for the operator */
export function directInjection(
	{ disableExternalCache, role }: Pick<SyncConfig, "disableExternalCache" | "role">,
	options: DirectInjectionOptions,
): Injection | undefined {
	if (!disableExternalCache) return undefined;
	const { ftfw, checks, log, names } = options;
	const injection = new Injection({
		...options,
		isPrimary: () => ftfw.contacts.state.isPrimary,
		policy: (besides) => checks.forCommit(false, besides),
		refused: (kind, refusal) => {
			const { record } = refusal;
			const entry =
				kind === CONNTRACK
					? formatConntrack(record, names, { reply: true })
					: formatExpectation(record, names);
			const { code, text } = reasonOf(kind, refusal);
			log.limited(`inject ${code}`, `direct injection: ${text}: ${entry}`);
		},
		failed: (error) => log.limited("inject", `direct injection: ${error.message}`),
	});
	ftfw.onPeer = (peer) => injection.follow(peer);
	if (ftfw.mode instanceof PassingNotrack) ftfw.mode.released = (record) => injection.released(record);
	const why = role === "active-active" ? "active-active" : "direct injection";
	log.notice(`${why}: what the peers tell goes into the kernel at once`);
	return injection;
}
