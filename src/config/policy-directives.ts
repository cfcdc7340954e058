// The rows of the table for the section ExpectationPolicy, which is our own. The words for one helper are those of its
// kernel module's options (modinfo nf_conntrack_ftp, nf_conntrack_sip, nf_conntrack_h323), where it has any.
import type { ArgumentSpec } from "./argument.ts";
import type { DirectiveSpec, Place } from "./directive-spec.ts";
import { row } from "./directive-spec.ts";

/** The helpers of the kernel; h323 is RAS, Q.931 and H.245. */
export const POLICY_HELPERS = [
	"ftp",
	"tftp",
	"amanda",
	"sane",
	"irc",
	"pptp",
	"h323",
	"sip",
	"netbios-ns",
	"snmp",
] as const;
export type PolicyHelper = (typeof POLICY_HELPERS)[number];

export const helperPlace = (helper: PolicyHelper): `Helper ${PolicyHelper}` => `Helper ${helper}`;

const all: readonly Place[] = POLICY_HELPERS.map(helperPlace);
/** Their destination port is any above MinDstPort, so that it can be narrowed. */
const withPorts: readonly Place[] = (["ftp", "amanda", "sane", "irc", "h323", "sip"] as const).map(
	helperPlace,
);

const yesNo: ArgumentSpec = { type: "onoff" };
const number = (min: number, max: number, unit?: "seconds"): ArgumentSpec => ({
	type: "number",
	min,
	max,
	...(unit && { unit }),
});
const helperChoice: ArgumentSpec = {
	type: "choice",
	words: POLICY_HELPERS,
	label: "a helper of the kernel",
	anyCase: true,
	oldWords: { RAS: "h323", "Q.931": "h323", "H.245": "h323" },
};

export const policyDirectives: readonly DirectiveSpec[] = [
	row("ExpectationPolicy", "Options", [], "which expectations are allowed", {
		block: { place: "ExpectationPolicy" },
	}),
	row(
		"OnViolation",
		"ExpectationPolicy",
		{ type: "choice", words: ["Quarantine", "Drop"], anyCase: true },
		"keep what breaks a rule to be looked at, or only count it",
		{ default: "Quarantine" },
	),
	row("MinDstPort", "ExpectationPolicy", number(1, 65_535), "lowest destination port", { default: 1024 }),
	row("Helper", "ExpectationPolicy", helperChoice, "what differs for one helper", {
		block: { placeByArgument: Object.fromEntries(POLICY_HELPERS.map((name) => [name, helperPlace(name)])) },
	}),
	row("Loose", "Helper ftp", yesNo, "data connections may go to any host"),
	row("Fxp", "Helper ftp", yesNo, "data connections may come from any host"),
	row("DirectMedia", "Helper sip", yesNo, "media go between the ends of the signalling only"),
	row("DirectSignalling", "Helper sip", yesNo, "calls come from the registrar only"),
	row("GkRoutedOnly", "Helper h323", yesNo, "calls come through the gatekeeper only"),
	row("CallForwardFilter", "Helper h323", yesNo, "calls go to the ends of the signalling only"),
	row("MinPrefix", ["Helper netbios-ns", "Helper snmp"], number(1, 32), "largest network that may answer"),
	row("SrcNet", all, { type: "net" }, "networks that the source has to be in", { repeats: true }),
	row("DstNet", all, { type: "net" }, "networks that the destination has to be in", { repeats: true }),
	row("DstPort", withPorts, { type: "port-range" }, "destination ports"),
	row("MaxExpectations", all, number(1, 1024), "most expectations of a master and class"),
	row("Timeout", all, number(1, 2_147_483, "seconds"), "longest life of an expectation"),
	row("Userspace", all, yesNo, "the helper is a program in user space"),
];
