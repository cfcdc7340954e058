// The rules X01 to X16, each a function that says what is wrong. docs/expectation-policy.md has them in words.
import {
	EXP_DST,
	EXP_HAS,
	EXP_MASK_DST,
	EXP_MASK_PORTS,
	EXP_MASK_PROTOCOLS,
	EXP_MASK_SRC,
	EXP_MASTER_PROTOCOLS,
	EXP_NAT_DIR,
	EXP_NAT_PORTS,
	EXP_NAT_PROTOCOLS,
	EXP_NAT_SRC,
	EXP_PORTS,
	EXP_PROTOCOLS,
	EXP_SRC,
	X_NAT,
} from "../conntrack/expectation-record.ts";
import { AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP, protocolName } from "../conntrack/protocol.ts";
import { H_STATUS, HAS, PROTOCOLS, REPLY_SRC, STATUS } from "../conntrack/record.ts";
import { IPS_DYING } from "../conntrack/status.ts";
import { destinationPort, sourcePort } from "../conntrack/tuple.ts";
import { isIn, isZero, prefixLengthOf, specialAddress } from "./addresses.ts";
import { allowsProtocol, USERSPACE } from "./helpers.ts";
import type { Helper, Question } from "./question.ts";
import type { PolicySettings } from "./settings.ts";
import { PER_MASTER, PER_ORIGIN, PER_SECOND } from "./standing.ts";

/** What the rules know besides the question. */
export interface RuleContext {
	readonly settings: PolicySettings;
	/** Lower-cased beginnings of the names that ExpectationSync has; true: all but those of broadcasts. */
	readonly replicated: readonly string[] | true;
	/** Whether an address of a record is one of this firewall's own. */
	readonly isOwnAddress: (record: Int32Array, at: number, family: number) => boolean;
}

export interface Rule {
	/** Says nothing before the master is known. */
	readonly needsMaster: boolean;
	/** What is wrong; undefined if nothing is. A rule that needs what another rule found missing keeps still. */
	readonly check: (question: Question, context: RuleContext) => string | undefined;
}

const NETWORK_MIN = 24;
/** MinPrefix does not count: the kernel's helpers that broadcast know IPv4 only. */
const NETWORK_MIN_IPV6 = 64;
const PORT_MAX = 65_535;

const bits = (family: number): number => (family === AF_INET6 ? 128 : 32);
const familyOf = (protocols: number): number => protocols & 0xff;

function x01({ replicatedName: name, hasMaster, helper }: Question, { replicated }: RuleContext) {
	if (name === "") return hasMaster ? "neither it nor its master has a helper" : undefined;
	if (!helper) return `helper ${name} is not known`;
	if (replicated === true) {
		return helper.entry.isBroadcast ? `helper ${name} is replicated only where it is named` : undefined;
	}
	const lower = name.toLowerCase();
	return replicated.some((prefix) => lower.startsWith(prefix))
		? undefined
		: `helper ${name} is not replicated`;
}

function x02({ helper, master, masterHelperName, serverPort }: Question) {
	if ((master[HAS]! & H_STATUS) !== 0 && (master[STATUS]! & IPS_DYING) !== 0) return "its master is dying";
	if (!helper) return undefined;
	const { name, masterProtocols, masterPort } = helper.entry;
	const protocol = master[PROTOCOLS]! >>> 8;
	if (!masterProtocols.includes(protocol)) {
		return `a master of ${name} is not ${protocolName(protocol)} (protocol ${protocol})`;
	}
	// whoever attached the helper has said which port it is for
	if (masterHelperName !== "" || (masterPort !== 0 && serverPort === masterPort)) return undefined;
	return `its master has no helper, and port ${serverPort} is not that of ${name}`;
}

function x03({ helperName, masterHelperName, helper, toldHelper }: Question) {
	if (helperName === "" || masterHelperName === "" || helperName === masterHelperName) return undefined;
	const isInChain = toldHelper !== undefined && helper?.entry.chain.includes(toldHelper.name);
	return isInChain ? undefined : `helper ${helperName} under a master with helper ${masterHelperName}`;
}

function x04(question: Question) {
	const { expectation: e, family, protocol, shape } = question;
	if (family !== AF_INET && family !== AF_INET6) return `address family ${family}`;
	if (e[EXP_MASK_PROTOCOLS] !== e[EXP_PROTOCOLS]) return "the mask is of another family or protocol";
	if (familyOf(e[EXP_MASTER_PROTOCOLS]!) !== family) return "its master is of another family";
	if (question.hasMaster && familyOf(question.master[PROTOCOLS]!) !== family)
		return "its master is of another family";
	if ((e[EXP_HAS]! & X_NAT) !== 0 && familyOf(e[EXP_NAT_PROTOCOLS]!) !== family) {
		return "its translation is of another family";
	}
	const unused = family === AF_INET6 ? 4 : 1;
	for (const at of [EXP_SRC, EXP_DST, EXP_MASK_SRC, EXP_MASK_DST]) {
		for (let i = unused; i < 4; i++) if (e[at + i] !== 0) return "an IPv4 address of more than 32 bits";
	}
	const mayHaveRest = shape?.source === "network";
	for (let i = 0; i < 4; i++) {
		if (!mayHaveRest && (e[EXP_SRC + i]! & ~e[EXP_MASK_SRC + i]!) !== 0)
			return "its source has bits outside the mask";
	}
	const rest = e[EXP_PORTS]! & ~e[EXP_MASK_PORTS]!;
	if ((rest & 0xffff) !== 0) return "its source port has bits outside the mask";
	return protocol === 0 || rest >>> 16 === 0 ? undefined : "its destination port has bits outside the mask";
}

function x05({ expectation: e, family, shape, helper }: Question) {
	if (prefixLengthOf(e, EXP_MASK_DST, family) !== bits(family)) return "its destination is masked";
	const ports = e[EXP_MASK_PORTS]!;
	if (destinationPort(ports) !== PORT_MAX) return "its destination port is masked";
	const portMask = sourcePort(ports);
	if (portMask !== 0 && portMask !== PORT_MAX)
		return "its source port has a mask that is neither none nor all";
	if (shape && shape.sourcePort !== "any" && portMask === 0) return "its source port is not given";
	const length = prefixLengthOf(e, EXP_MASK_SRC, family);
	if (length === 0 || length === bits(family)) return undefined;
	if (length < 0) return "the mask of its source has holes";
	if (shape?.source !== "network") return `its source is a network (/${length})`;
	const least = minPrefixOf(helper, family);
	return length >= least ? undefined : `its source is a network larger than /${least}`;
}

function minPrefixOf(helper: Helper | undefined, family: number): number {
	return family === AF_INET6 ? NETWORK_MIN_IPV6 : (helper?.settings.minPrefix ?? NETWORK_MIN);
}

function x06(question: Question) {
	const { expectation: e, family, shape, helper, master } = question;
	if (!shape || !helper) return undefined;
	if (typeof shape.sourcePort === "number" && sourcePort(e[EXP_PORTS]!) !== shape.sourcePort) {
		return `its source port is not ${shape.sourcePort}`;
	}
	if (shape.source === "any" || shape.anySource?.(helper.settings)) return undefined;
	const length = prefixLengthOf(e, EXP_MASK_SRC, family);
	if (shape.source === "network") {
		if (length <= 0) return "its source is not a network";
		for (let i = 0; i < 4; i++) {
			if (((e[EXP_SRC + i]! ^ master[REPLY_SRC + i]!) & e[EXP_MASK_SRC + i]!) !== 0)
				return "its source is not the network that was asked";
		}
		return undefined;
	}
	if (length !== bits(family)) return "its source may be anybody";
	return question.isEnd(e, EXP_SRC) ? undefined : "its source is none of the master's addresses";
}

/** Where the destination may be any: an operator has said so. */
function mayGoAnywhere({ shape, helper }: Question): boolean {
	return helper !== undefined && shape?.anyDestination?.(helper.settings) === true;
}

function x07(question: Question, { isOwnAddress }: RuleContext) {
	const { expectation: e, family, shape, helper } = question;
	const special = specialAddress(e, EXP_DST, family);
	if (special) return `its destination is ${special}`;
	if (!shape || !helper) return undefined;
	if (shape.destination === "client") {
		if (!question.isClient(e, EXP_DST)) return "its destination is not the master's client";
	} else if (!mayGoAnywhere(question) && !question.isEnd(e, EXP_DST)) {
		return "its destination is none of the master's addresses";
	}
	if (helper.entry.isBroadcast || question.isTranslation(e, EXP_DST)) return undefined;
	return isOwnAddress(e, EXP_DST, family) ? "its destination is this firewall" : undefined;
}

function x08({ protocol, shape, helper }: Question) {
	if (!shape || !helper) return undefined;
	if (allowsProtocol(helper.entry, shape, protocol)) return undefined;
	return `protocol ${protocol}, where ${protocolName(shape.protocol)} is expected`;
}

function x09(question: Question, { settings }: RuleContext) {
	const { expectation: e, protocol, shape, helper, hasMaster } = question;
	const port = destinationPort(e[EXP_PORTS]!);
	if ((protocol === IPPROTO_TCP || protocol === IPPROTO_UDP) && port === 0)
		return "its destination port is 0";
	if (!shape || !helper) return undefined;
	switch (shape.destinationPort) {
		case "call id":
			return undefined;
		case "client":
			return !hasMaster || port === question.clientPort
				? undefined
				: `its destination port is ${port}, not that of the master's client`;
		case "high":
		case "pair": {
			// the lower one of the two ports is even
			const lowest = shape.destinationPort === "pair" ? port & ~1 : port;
			if (lowest >= settings.minDstPort || port === shape.alsoPort) return undefined;
			const { dstPort } = helper.settings;
			if (dstPort && port >= dstPort.from && port <= dstPort.to) return undefined;
			return `its destination port ${port} is below ${settings.minDstPort}`;
		}
	}
}

function x10({ expectationClass, helper }: Question) {
	if (!helper || expectationClass < helper.entry.classes.length) return undefined;
	return `class ${expectationClass}, where ${helper.entry.name} has ${helper.entry.classes.length}`;
}

function x11({ flags, shape, helper }: Question) {
	if (!shape || !helper) return undefined;
	const allowed = shape.flags | (helper.settings.userspace ? USERSPACE : 0);
	const others = (flags & ~allowed) >>> 0;
	return others === 0 ? undefined : `flags 0x${others.toString(16)} are not for it`;
}

function x12({ timeout, shape, helper }: Question) {
	if (timeout < 0) return "it has no timeout";
	if (timeout === 0) return "its time is over";
	if (!shape || !helper) return undefined;
	const longest = shape.isTimeoutFixed ? shape.timeout : (helper.settings.timeout ?? shape.timeout);
	return timeout <= longest ? undefined : `it lives for ${timeout} s, and ${longest} is the longest`;
}

function x13({ standing, expectationClass, helper }: Question) {
	if (!standing || !helper) return undefined;
	const { classes } = helper.entry;
	const { maxExpectations } = helper.settings;
	const inClass = maxExpectations ?? classes[expectationClass] ?? 0;
	if (standing.inClass >= inClass) return `its master has ${standing.inClass} already`;
	const most = Math.max(PER_MASTER, maxExpectations ?? 0);
	if (standing.ofMaster >= most) return `its master has ${standing.ofMaster} already`;
	if (standing.ofOrigin >= PER_ORIGIN) return `its node has ${standing.ofOrigin} already`;
	return standing.isTooFast ? `its master had ${PER_SECOND} within a second` : undefined;
}

function x14(question: Question) {
	const { expectation: e, shape } = question;
	if ((e[EXP_HAS]! & X_NAT) === 0) return undefined;
	if (!question.isTranslated) return "it is translated, and its master is not";
	if (e[EXP_NAT_DIR] !== 0 && e[EXP_NAT_DIR] !== 1) return `direction ${e[EXP_NAT_DIR]! >>> 0}`;
	// the kernel leaves the address out where it follows from the master
	if (!isZero(e, EXP_NAT_SRC) && !question.isEnd(e, EXP_NAT_SRC)) {
		return "it is translated to none of the master's addresses";
	}
	const port = sourcePort(e[EXP_NAT_PORTS]!);
	if (port === 0 || shape?.destinationPort === "call id") return undefined;
	if (shape?.destinationPort === "client") {
		return port === question.originalClientPort
			? undefined
			: `it is translated to port ${port}, not to that of the master's client`;
	}
	return port >= 1024 ? undefined : `it is translated to port ${port}`;
}

function x15({ functionName, helper }: Question) {
	if (functionName === "" || !helper || helper.entry.functions.includes(functionName)) return undefined;
	return `function ${functionName} is none of ${helper.entry.name}`;
}

function x16(question: Question) {
	const { expectation: e, family, helper, shape, hasMaster } = question;
	if (!helper || !shape) return undefined;
	const { srcNet, dstNet, settings } = helper;
	if (srcNet) {
		const length = prefixLengthOf(e, EXP_MASK_SRC, family);
		const isInside = srcNet.some((net) => net.prefixLength <= length && isIn(net, masked(e), 0, family));
		if (!isInside) return "its source is not in SrcNet";
	}
	if (dstNet && !dstNet.some((net) => isIn(net, e, EXP_DST, family))) {
		// where the destination may be any, DstNet says which others than the ends of the master
		if (!mayGoAnywhere(question)) return "its destination is not in DstNet";
		if (hasMaster && !question.isEnd(e, EXP_DST)) return "its destination is not in DstNet";
	}
	const port = destinationPort(e[EXP_PORTS]!);
	const { dstPort } = settings;
	const hasPort = shape.destinationPort === "high" || shape.destinationPort === "pair";
	if (dstPort && hasPort && (port < dstPort.from || port > dstPort.to)) {
		return `its destination port ${port} is not in DstPort`;
	}
	return undefined;
}

/** The source without the bits that do not count. */
function masked(e: Int32Array): Int32Array {
	return new Int32Array([0, 1, 2, 3].map((i) => e[EXP_SRC + i]! & e[EXP_MASK_SRC + i]!));
}

/** By number; there is no rule 0. */
export const CHECKS: readonly Rule[] = [
	{ needsMaster: false, check: () => undefined },
	{ needsMaster: false, check: x01 },
	{ needsMaster: true, check: x02 },
	{ needsMaster: true, check: x03 },
	{ needsMaster: false, check: x04 },
	{ needsMaster: false, check: x05 },
	{ needsMaster: true, check: x06 },
	{ needsMaster: true, check: x07 },
	{ needsMaster: false, check: x08 },
	{ needsMaster: false, check: x09 },
	{ needsMaster: false, check: x10 },
	{ needsMaster: false, check: x11 },
	{ needsMaster: false, check: x12 },
	{ needsMaster: true, check: x13 },
	{ needsMaster: true, check: x14 },
	{ needsMaster: false, check: x15 },
	{ needsMaster: false, check: x16 },
];
