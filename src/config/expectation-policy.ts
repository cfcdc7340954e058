// The section ExpectationPolicy: what an operator changes about the rules for expectations.
import { omitUndefined } from "./omit-undefined.ts";
import type { PolicyHelper } from "./policy-directives.ts";
import { helperPlace, POLICY_HELPERS } from "./policy-directives.ts";
import type { Report } from "./problem.ts";
import { Section } from "./section.ts";
import type { Directive } from "./syntax.ts";
import type { AddressRule, ExpectationPolicyConfig, HelperPolicyConfig, PortRange } from "./types.ts";

/** Words that let an address be any, and only where the operator says which. */
const NEEDS_NETWORK = ["DirectMedia", "DirectSignalling", "CallForwardFilter"] as const;

/**
 * Builds the configuration of the ExpectationPolicy sections, which are joined.
 *
 * @param hasExpectations they are replicated at all
 */
export function buildExpectationPolicy(
	blocks: readonly Directive[],
	hasExpectations: boolean,
	report: Report,
): ExpectationPolicyConfig {
	const section = new Section("ExpectationPolicy", report);
	for (const { block } of blocks) section.add(block!);
	if (blocks[0] && !hasExpectations) {
		report.warn(blocks[0], "ExpectationPolicy has no effect without ExpectationSync");
	}
	const helpers: Partial<Record<PolicyHelper, HelperPolicyConfig>> = {};
	const named = section.blocks("Helper");
	for (const name of POLICY_HELPERS) {
		const ofHelper = named.filter(({ place }) => place === helperPlace(name));
		if (ofHelper.length > 0) helpers[name] = buildHelper(name, ofHelper, report);
	}
	// what has no effect is not kept
	if (!hasExpectations) return { onViolation: "quarantine", minDstPort: 1024, helpers: {} };
	return {
		onViolation: section.text("OnViolation").toLowerCase() as ExpectationPolicyConfig["onViolation"],
		minDstPort: section.number("MinDstPort"),
		helpers,
	};
}

function buildHelper(name: PolicyHelper, blocks: readonly Directive[], report: Report): HelperPolicyConfig {
	const section = new Section(helperPlace(name), report);
	for (const { block } of blocks) section.add(block!);
	const value = <T>(word: string): T | undefined => section.entry(word)?.value as T | undefined;
	const networks = (word: string): AddressRule[] | undefined => {
		const entries = section.entries(word);
		return entries.length === 0 ? undefined : entries.flatMap((entry) => (entry.value as AddressRule) ?? []);
	};
	for (const word of NEEDS_NETWORK) {
		const entry = section.entry(word);
		if (entry?.value !== false || section.entry("DstNet")) continue;
		report.error(entry.directive, `${word} no needs DstNet: the networks that the other ends are in`);
	}
	return omitUndefined({
		loose: value<boolean>("Loose"),
		fxp: value<boolean>("Fxp"),
		directMedia: value<boolean>("DirectMedia"),
		directSignalling: value<boolean>("DirectSignalling"),
		gkRoutedOnly: value<boolean>("GkRoutedOnly"),
		callForwardFilter: value<boolean>("CallForwardFilter"),
		minPrefix: value<number>("MinPrefix"),
		srcNet: networks("SrcNet"),
		dstNet: networks("DstNet"),
		dstPort: value<PortRange>("DstPort"),
		maxExpectations: value<number>("MaxExpectations"),
		timeout: value<number>("Timeout"),
		userspace: value<boolean>("Userspace"),
	});
}
