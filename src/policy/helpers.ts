// The table of helpers: what the expectations of each look like that the kernel's own helpers make (net/netfilter/
// nf_conntrack_*.c, nf_nat_*.c of Linux 6.18; docs/expectation-policy.md has it in words). Anything else is forged, or
// comes from a kernel that was told to be loose.
import { IPPROTO_GRE, IPPROTO_TCP, IPPROTO_UDP } from "../conntrack/protocol.ts";

/** NF_CT_EXPECT_* (linux/netfilter/nf_conntrack_common.h). */
export const PERMANENT = 1;
export const INACTIVE = 2;
export const USERSPACE = 4;

/** What one kind of expectation of a helper looks like. */
export interface Shape {
	readonly protocol: number;
	/** From an end of the master; from anybody; from the network that was asked by broadcast. */
	readonly source: "end" | "any" | "network";
	/** Any source port; one call id or other; exactly this port. */
	readonly sourcePort: "any" | "one" | number;
	/** To an end of the master; to its client only. */
	readonly destination: "end" | "client";
	/** MinDstPort and above; the same for both ports of an RTP pair; the port of the master's client; a GRE call id. */
	readonly destinationPort: "high" | "pair" | "client" | "call id";
	/** A port that is allowed below MinDstPort. */
	readonly alsoPort?: number;
	/** Flags that may be set, besides USERSPACE by the operator's leave. */
	readonly flags: number;
	/** Seconds. */
	readonly timeout: number;
	/** No operator has a reason to change the timeout. */
	readonly isTimeoutFixed?: true;
	/** Which of the operator's words makes the source any, or the destination any. */
	readonly anySource?: (settings: Widening) => boolean;
	readonly anyDestination?: (settings: Widening) => boolean;
}

/** The words that widen. */
export interface Widening {
	readonly loose?: boolean;
	readonly fxp?: boolean;
	readonly directMedia?: boolean;
	readonly directSignalling?: boolean;
	readonly gkRoutedOnly?: boolean;
	readonly callForwardFilter?: boolean;
}

export interface HelperEntry {
	/** The kernel's name; a helper on another port has that port as a suffix (sip-5061). */
	readonly name: string;
	/** The section of its settings. */
	readonly settings: string;
	readonly masterProtocols: readonly number[];
	/** The port of its server, for a master whose helper is not known; 0 is none. */
	readonly masterPort: number;
	/** Most expectations of a master, by class. */
	readonly classes: readonly number[];
	/** By protocol, or by class. */
	readonly shapes: readonly Shape[];
	readonly shapeBy: "protocol" | "class";
	/** Expectation functions: names by which the kernel finds one, where an address is translated. */
	readonly functions: readonly string[];
	/** Tables whose helper the expected connection may have, where it is told. */
	readonly chain: readonly string[];
	/** Made only for the firewall's own questions: replicated only where it is named, and the firewall may be its end. */
	readonly isBroadcast?: true;
}

const FOLLOW = "nat-follow-master";

const tcp = {
	protocol: IPPROTO_TCP,
	source: "end",
	sourcePort: "any",
	destination: "end",
	destinationPort: "high",
	flags: 0,
	timeout: 300,
} as const satisfies Shape;

const plain = { masterProtocols: [IPPROTO_TCP], classes: [1], shapeBy: "protocol", chain: [] } as const;

const noCallForwardFilter = ({ callForwardFilter }: Widening): boolean => callForwardFilter === false;

const h323 = { settings: "h323", classes: [16], shapeBy: "protocol" } as const;
const rtp: Shape = { ...tcp, protocol: IPPROTO_UDP, destinationPort: "pair", timeout: 240 };
/** The dump does not tell a channel for H.245 from one for T.120, which is permanent. */
const h245: Shape = { ...tcp, flags: PERMANENT, timeout: 240 };

const broadcast = (name: string, port: number, timeout: number): HelperEntry => ({
	...plain,
	name,
	settings: name,
	masterProtocols: [IPPROTO_UDP],
	masterPort: port,
	shapes: [
		{
			...tcp,
			protocol: IPPROTO_UDP,
			source: "network",
			sourcePort: port,
			destinationPort: "client",
			flags: PERMANENT,
			timeout,
		},
	],
	functions: [],
	isBroadcast: true,
});

export const HELPERS: readonly HelperEntry[] = [
	{
		...plain,
		name: "ftp",
		settings: "ftp",
		masterPort: 21,
		shapes: [{ ...tcp, anySource: ({ fxp }) => fxp === true, anyDestination: ({ loose }) => loose === true }],
		functions: [FOLLOW],
	},
	{
		...plain,
		name: "tftp",
		settings: "tftp",
		masterProtocols: [IPPROTO_UDP],
		masterPort: 69,
		shapes: [{ ...tcp, protocol: IPPROTO_UDP, destinationPort: "client" }],
		functions: [FOLLOW],
	},
	{
		...plain,
		name: "amanda",
		settings: "amanda",
		masterProtocols: [IPPROTO_UDP],
		masterPort: 10080,
		classes: [4],
		shapes: [{ ...tcp, timeout: 180 }],
		functions: [FOLLOW],
	},
	{ ...plain, name: "sane", settings: "sane", masterPort: 6566, shapes: [tcp], functions: [] },
	{
		...plain,
		name: "irc",
		settings: "irc",
		masterPort: 6667,
		classes: [8],
		shapes: [{ ...tcp, source: "any", destination: "client" }],
		functions: [FOLLOW],
	},
	{
		...plain,
		name: "pptp",
		settings: "pptp",
		masterPort: 1723,
		classes: [2],
		shapes: [{ ...tcp, protocol: IPPROTO_GRE, sourcePort: "one", destinationPort: "call id" }],
		functions: [],
	},
	{
		...h323,
		name: "RAS",
		masterProtocols: [IPPROTO_UDP],
		masterPort: 1719,
		shapes: [
			{
				...tcp,
				alsoPort: 1720,
				flags: PERMANENT,
				// of a registration without a time to live (nf_conntrack_h323_main.c, default_rrq_ttl)
				timeout: 300,
				anySource: ({ gkRoutedOnly }) => gkRoutedOnly === false,
				anyDestination: noCallForwardFilter,
			},
			// the gatekeeper that was found
			{ ...tcp, protocol: IPPROTO_UDP, timeout: 240 },
		],
		functions: ["Q.931", FOLLOW],
		chain: ["RAS", "Q.931"],
	},
	{
		...h323,
		name: "Q.931",
		masterProtocols: [IPPROTO_TCP],
		masterPort: 1720,
		shapes: [{ ...h245, anyDestination: noCallForwardFilter }, rtp],
		functions: ["callforwarding", FOLLOW],
		chain: ["Q.931", "H.245"],
	},
	{
		...h323,
		name: "H.245",
		masterProtocols: [IPPROTO_TCP],
		masterPort: 0,
		shapes: [h245, rtp],
		functions: [FOLLOW],
		chain: ["H.245"],
	},
	{
		name: "sip",
		settings: "sip",
		masterProtocols: [IPPROTO_TCP, IPPROTO_UDP],
		masterPort: 5060,
		classes: [1, 4, 4, 2],
		shapeBy: "class",
		// signalling may come by either protocol: shapeOf puts in the one that is asked for
		shapes: [
			{
				...tcp,
				flags: PERMANENT | INACTIVE,
				timeout: 3600,
				anySource: ({ directSignalling }) => directSignalling === false,
				anyDestination: ({ directSignalling }) => directSignalling === false,
			},
			{
				...tcp,
				protocol: IPPROTO_UDP,
				timeout: 180,
				isTimeoutFixed: true,
				anySource: ({ directMedia }) => directMedia === false,
				anyDestination: ({ directMedia }) => directMedia === false,
			},
		],
		functions: ["sip", FOLLOW],
		chain: ["sip"],
	},
	broadcast("netbios-ns", 137, 3),
	broadcast("snmp", 161, 30),
];

/** The row of a helper by the kernel's name for it, which may end with a port. */
export function findHelper(name: string): HelperEntry | undefined {
	return HELPERS.find((entry) => name === entry.name || name.replace(/-\d{1,5}$/, "") === entry.name);
}

/** What an expectation of this protocol and class has to look like. Where none has that protocol, the first one. */
export function shapeOf(entry: HelperEntry, protocol: number, expectationClass: number): Shape {
	const [first, second] = entry.shapes;
	if (entry.shapeBy === "class") return expectationClass === 0 ? first! : second!;
	return second?.protocol === protocol ? second : first!;
}

/** The protocols that an expectation of the class may have. */
export function allowsProtocol(entry: HelperEntry, shape: Shape, protocol: number): boolean {
	if (entry.shapeBy === "class" && shape === entry.shapes[0]) return entry.masterProtocols.includes(protocol);
	return shape.protocol === protocol;
}
