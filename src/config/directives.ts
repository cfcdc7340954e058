// The one table of every directive: the word, where it stands, what it takes, its default. Parsing, printing,
// suggestions and documentation all read it. Words and defaults are those of conntrackd.conf(5); our own are Security, Peers, Role,
// Labels, ExpectationPolicy, more than one destination, and Mark, Zone, Label, MinimumAge and OwnConnections of Filter.
import { type ArgumentSpec, UNIX_PATH_MAX } from "./argument.ts";
import type { DirectiveSpec, Extra, Place } from "./directive-spec.ts";
import { row } from "./directive-spec.ts";
import { policyDirectives } from "./policy-directives.ts";

export type { DirectiveSpec, Place } from "./directive-spec.ts";

const INT_MAX = 0x7fffffff;
/** conntrackd takes no longer name of a log or lock file, bytes. */
const FILE_NAME_MAX = 256;

const none: readonly ArgumentSpec[] = [];
const onOff: ArgumentSpec = { type: "onoff" };
const path: ArgumentSpec = { type: "path" };
const logPath: ArgumentSpec = { type: "onoff-or-path", max: FILE_NAME_MAX };
const name: ArgumentSpec = { type: "name" };
const interfaceName: ArgumentSpec = { type: "interface" };
const seconds: ArgumentSpec = { type: "number", unit: "seconds", min: 1, max: INT_MAX };
const bytes: ArgumentSpec = { type: "number", unit: "bytes", max: INT_MAX };
const port: ArgumentSpec = { type: "number", min: 1, max: 65535 };
const count = (unit: NonNullable<ArgumentSpec["unit"]>): ArgumentSpec => ({ type: "number", unit, min: 1 });
const orDefault = (spec: ArgumentSpec): ArgumentSpec => ({ ...spec, zeroIsDefault: true });
const choice = (...words: string[]): ArgumentSpec => ({ type: "choice", words });
const facility: ArgumentSpec = { type: "onoff-or-facility", on: "daemon" };
const policy = choice("Accept", "Ignore");
const defaultMark: ArgumentSpec = { ...choice("Default"), optional: true };

const fromMark: ArgumentSpec = {
	...choice("From"),
	optional: true,
	label: "From Userspace or From Kernelspace",
};

const allModes: readonly Place[] = ["Mode FTFW", "Mode NOTRACK", "Mode ALARM"];
const links: readonly Place[] = ["Multicast", "UDP", "TCP"];
const unicast: readonly Place[] = ["UDP", "TCP"];
const oldFilterPlaces: readonly Place[] = ["the top level", "Sync", "General"];

const sections: readonly DirectiveSpec[] = [
	row("Sync", "the top level", none, "synchronization with the other firewalls", {
		block: { place: "Sync" },
	}),
	row("General", "the top level", none, "settings of the daemon", { block: { place: "General" } }),
	row("Stats", "the top level", none, "collect statistics of own flows", { block: { place: "Stats" } }),
	row("Helper", "the top level", none, "userspace helpers", { block: { place: "Helper" } }),
];

const modeChoice: ArgumentSpec = {
	...choice("FTFW", "NOTRACK", "ALARM"),
	anyCase: true,
	oldWords: { NACK: "FTFW", PERSISTENT: "ALARM" },
};
const modePlaces = { FTFW: "Mode FTFW", NOTRACK: "Mode NOTRACK", ALARM: "Mode ALARM" } as const;

const roleChoice: ArgumentSpec = { ...choice("primary-backup", "active-active"), anyCase: true };

const destination: Extra = { field: "destinations" };
const destinations: Extra = { ...destination, repeats: true };

const sync: readonly DirectiveSpec[] = [
	row("Mode", "Sync", modeChoice, "how states are replicated", { block: { placeByArgument: modePlaces } }),
	row("Role", "Sync", roleChoice, "whether one firewall forwards, or all of them at the same time", {
		default: "primary-backup",
	}),
	row(
		"ResendQueueSize",
		"Mode FTFW",
		orDefault(count("objects")),
		"objects kept until they are acknowledged",
		{
			default: 131072,
		},
	),
	row(
		"ACKWindowSize",
		"Mode FTFW",
		orDefault(count("messages")),
		"messages until an acknowledgement is sent",
		{
			default: 300,
		},
	),
	row(
		"RefreshTime",
		["Mode ALARM", "Sync"],
		orDefault(seconds),
		"longest time until an entry is sent again",
		{
			default: 60,
		},
	),
	row("CacheTimeout", ["Mode ALARM", "Sync"], orDefault(seconds), "life of an external entry without news", {
		default: 180,
	}),
	row("CommitTimeout", [...allModes, "Sync"], orDefault(seconds), "fixed timeout of committed entries"),
	row("PurgeTimeout", [...allModes, "Sync"], orDefault(seconds), "delay of the flush that -t asks for", {
		default: 60,
		reload: true,
	}),
	row(
		"DisableExternalCache",
		["Mode FTFW", "Mode NOTRACK"],
		onOff,
		"put peers' states right into the kernel",
		{
			default: false,
		},
	),
	row("DisableInternalCache", "Mode NOTRACK", onOff, "send events without keeping own states", {
		default: false,
	}),
	row("StartupResync", ["Mode FTFW", "Mode NOTRACK"], onOff, "ask the peer for its states at the start", {
		default: false,
	}),
	row("Multicast", "Sync", defaultMark, "a dedicated link by multicast", { block: { place: "Multicast" } }),
	row("UDP", "Sync", defaultMark, "a dedicated link by unicast UDP", { block: { place: "UDP" } }),
	row("TCP", "Sync", defaultMark, "a dedicated link by TCP", { block: { place: "TCP" } }),
	row("IPv4_address", links, { type: "ipv4" }, "multicast group, or own address to listen on", {
		field: "address",
	}),
	row("IPv6_address", links, { type: "ipv6" }, "multicast group, or own address to listen on", {
		field: "address",
	}),
	row("IPv4_Destination_Address", "UDP", { type: "ipv4" }, "address of another firewall", destinations),
	row("IPv6_Destination_Address", "UDP", { type: "ipv6" }, "address of another firewall", destinations),
	row("IPv4_Destination_Address", "TCP", { type: "ipv4" }, "address of the other firewall", destination),
	row("IPv6_Destination_Address", "TCP", { type: "ipv6" }, "address of the other firewall", destination),
	row("IPv4_interface", "Multicast", { type: "ipv4" }, "own address on the dedicated link", {
		field: "interfaceAddress",
	}),
	row("IPv6_interface", "Multicast", { type: "ipv6" }, "not used", {
		obsolete: "Interface alone decides where IPv6 multicast goes",
	}),
	row("Group", "Multicast", port, "UDP port of the multicast group", { field: "port" }),
	row("Port", unicast, port, "port on both firewalls"),
	row("Interface", links, interfaceName, "interface of the dedicated link"),
	row("SndSocketBuffer", links, bytes, "send buffer of the link's socket"),
	row("RcvSocketBuffer", links, bytes, "receive buffer of the link's socket"),
	row("McastSndSocketBuffer", "Multicast", bytes, "old spelling", { aliasOf: "SndSocketBuffer" }),
	row("McastRcvSocketBuffer", "Multicast", bytes, "old spelling", { aliasOf: "RcvSocketBuffer" }),
	row("Checksum", links, onOff, "UDP checksums", { default: true }),
	row(
		"ErrorQueueLength",
		"TCP",
		orDefault(count("messages")),
		"messages kept for another try when sending fails",
		{
			default: 128,
		},
	),
	row("Peers", "Sync", none, "the nodes that may speak on the dedicated links", {
		block: { place: "Peers" },
	}),
	row("IPv4_address", "Peers", { type: "ipv4" }, "address of a node", { repeats: true }),
	row("IPv6_address", "Peers", { type: "ipv6" }, "address of a node", { repeats: true }),
	row("Options", "Sync", none, "further options", { block: { place: "Options" } }),
	row("TCPWindowTracking", "Options", onOff, "keep window tracking of recovered TCP connections", {
		default: false,
	}),
	row("Labels", "Options", none, "replicate these connlabels", { block: { list: "numbers of labels" } }),
	row(
		"ExpectationSync",
		"Options",
		{ ...onOff, optional: true },
		"replicate expectations, of all or some helpers",
		{
			block: { list: "helper names" },
			blockOptional: true,
		},
	),
];

const suiteChoice: ArgumentSpec = { ...choice("aes-256-gcm", "chacha20-poly1305"), anyCase: true };

const security: readonly DirectiveSpec[] = [
	row("Security", ["Sync", "General"], none, "seal what goes over the dedicated link", {
		block: { place: "Security" },
	}),
	row("KeyFile", "Security", path, "file of the keys that all nodes have", { reload: true }),
	row("Node", "Security", { type: "number", min: 1 }, "id of this node, else it is made from its address"),
	row("Cluster", "Security", { type: "cluster-name" }, "name that all nodes of a cluster have in common", {
		default: "ctsync",
	}),
	row("Suite", "Security", suiteChoice, "cipher of the datagrams", { default: "aes-256-gcm" }),
];

const general: readonly DirectiveSpec[] = [
	row("Systemd", "General", onOff, "tell systemd about start, stop and health", { default: true }),
	row("Nice", "General", { type: "signed", min: -INT_MAX, max: INT_MAX }, "nice value of the daemon", {
		advice:
			"has no effect, nor has it in conntrackd 1.4.5 and later; use Nice= of the service unit, or nice(1)",
	}),
	row("HashSize", "General", orDefault(count("buckets")), "buckets of a cache", { default: 65536 }),
	row("HashLimit", "General", orDefault(count("entries")), "most entries in a cache", { default: 262144 }),
	row("LogFile", "General", { ...logPath, on: "/var/log/conntrackd.log" }, "log to a file", {
		default: false,
		reload: true,
	}),
	row("Syslog", "General", facility, "log to syslog", { default: false }),
	row(
		"LockFile",
		"General",
		{ ...path, max: FILE_NAME_MAX },
		"file that keeps a second instance from starting",
		{
			default: "/var/lock/conntrack.lock",
		},
	),
	row("UNIX", "General", none, "the control socket", { block: { place: "UNIX" } }),
	row("Path", "UNIX", { ...path, max: UNIX_PATH_MAX }, "path of the control socket", {
		default: "/var/run/conntrackd.ctl",
		field: "unixPath",
	}),
	row("NetlinkBufferSize", "General", bytes, "receive buffer for kernel events"),
	row("NetlinkBufferSizeMaxGrowth", "General", bytes, "how far that buffer may grow when events are lost"),
	row("SocketBufferSize", "General", bytes, "old spelling", { aliasOf: "NetlinkBufferSize" }),
	row("SocketBufferSizeMaxGrowth", "General", bytes, "old spelling", {
		aliasOf: "NetlinkBufferSizeMaxGrowth",
	}),
	row("SocketBufferSizeMaxGrown", "General", bytes, "old spelling", {
		aliasOf: "NetlinkBufferSizeMaxGrowth",
	}),
	row(
		"NetlinkOverrunResync",
		"General",
		orDefault({ ...seconds, type: "onoff-or-number", on: 30 }),
		"dump the kernel this long after events were lost",
		{ default: 30, reload: true },
	),
	row(
		"NetlinkEventsReliable",
		["General", "Stats"],
		onOff,
		"let the kernel repeat events that did not get through",
		{
			default: false,
		},
	),
	row(
		"EventIterationLimit",
		"General",
		orDefault(count("messages")),
		"messages handled before other work gets a turn",
		{
			default: 100,
		},
	),
	row("PollSecs", "General", seconds, "dump the kernel this often instead of listening to events"),
	row("Scheduler", "General", none, "real-time scheduling", { block: { place: "Scheduler" } }),
	row("Type", "Scheduler", { ...choice("RR", "FIFO"), anyCase: true }, "scheduling policy", {
		default: "RR",
	}),
	row("Priority", "Scheduler", { type: "number", max: 99 }, "real-time priority", { default: 99 }),
	row("Filter", "General", [fromMark, choice("Userspace", "Kernelspace")], "which events count", {
		block: { place: "Filter" },
	}),
	row("Protocol", "Filter", policy, "by layer 4 protocol", { block: { list: "protocols" } }),
	row("Address", "Filter", policy, "by address", { block: { place: "Address" } }),
	row("State", "Filter", policy, "by TCP state", { block: { list: "TCP states" } }),
	row("Mark", "Filter", policy, "by connmark", { block: { list: "marks" } }),
	row("Zone", "Filter", policy, "by conntrack zone", { block: { list: "zones" } }),
	row("Label", "Filter", policy, "by connlabel", { block: { list: "numbers of labels" } }),
	row("MinimumAge", "Filter", seconds, "replicate what has lasted so long"),
	row("OwnConnections", "Filter", policy, "connections of the firewall itself"),
	row("IPv4_address", "Address", { type: "ipv4-net" }, "an address or network"),
	row("IPv6_address", "Address", { type: "ipv6-net" }, "an address or network"),
];

const stats: readonly DirectiveSpec[] = [
	row(
		"LogFile",
		"Stats",
		{ ...logPath, on: "/var/log/conntrackd-stats.log" },
		"log finished flows to a file",
		{
			default: false,
			reload: true,
		},
	),
	row("Syslog", "Stats", facility, "log finished flows to syslog", { default: false }),
];

const helper: readonly DirectiveSpec[] = [
	row("Setup", "Helper", onOff, "register the helpers in the kernel"),
	row("Type", "Helper", [name, choice("inet", "inet6"), choice("tcp", "udp")], "one helper", {
		block: { place: "Type" },
	}),
	row("QueueNum", "Type", { type: "number", max: 65535 }, "number of its packet queue"),
	row("QueueLen", "Type", { type: "number", unit: "packets" }, "length of its packet queue"),
	row("Policy", "Type", name, "limits of its expectations", { block: { place: "Policy" }, repeats: true }),
	row("ExpectMax", "Policy", { type: "number" }, "most expectations of a master"),
	row("ExpectTimeout", "Policy", { type: "number", unit: "seconds" }, "life of an expectation"),
];

const old = (
	word: string,
	places: Place | readonly Place[],
	args: ArgumentSpec | readonly ArgumentSpec[],
	obsolete: string,
	extra: Extra = {},
): DirectiveSpec => row(word, places, args, "obsolete", { obsolete, ...extra });

const inSync: readonly Place[] = ["Sync", ...allModes];

const obsolete: readonly DirectiveSpec[] = [
	old("IgnoreTrafficFor", oldFilterPlaces, none, "write Filter { Address Ignore { ... } } in General", {
		block: { place: "Address" },
	}),
	old("IgnoreProtocol", oldFilterPlaces, none, "write Filter { Protocol Ignore { ... } } in General", {
		block: { list: "protocols" },
	}),
	old("Replicate", "Sync", none, "write Filter { State Accept { ... for TCP } } in General", {
		words: "TCP states",
	}),
	old("StripNAT", oldFilterPlaces, none, "leave it out: NAT is always replicated"),
	old("Checksum", "Sync", onOff, "write Checksum inside the Multicast or UDP section"),
	old("RelaxTransitions", inSync, none, "leave it out"),
	old("DelayDestroyMessages", inSync, none, "leave it out"),
	old("ListenTo", inSync, name, "write IPv4_address or IPv6_address inside the UDP section"),
	old("CacheWriteThrough", inSync, onOff, "write DisableExternalCache in the Mode section"),
	old("DestroyTimeout", inSync, seconds, "leave it out: PurgeTimeout is the delay of -t"),
	old("ResendBufferSize", inSync, bytes, "write ResendQueueSize, which counts objects, in Mode FTFW"),
	old("QueueNum", "Helper", { type: "number", max: 65535 }, "write it inside the Type section"),
	old("QueueLen", "Helper", { type: "number", unit: "packets" }, "write it inside the Type section"),
	old("Backlog", ["UNIX", "Multicast"], { type: "number" }, "leave it out"),
	old("Family", "General", name, "leave it out: IPv4 and IPv6 are both handled"),
	old("LogFileBufferSize", ["Stats", "General"], bytes, "leave it out"),
];

export const DIRECTIVES: readonly DirectiveSpec[] = [
	...sections,
	...sync,
	...policyDirectives,
	...security,
	...general,
	...stats,
	...helper,
	...obsolete,
];

const PLACE_INDEX: ReadonlyMap<Place, ReadonlyMap<string, DirectiveSpec>> = indexByPlace();

function indexByPlace(): Map<Place, Map<string, DirectiveSpec>> {
	const index = new Map<Place, Map<string, DirectiveSpec>>();
	for (const spec of DIRECTIVES) {
		for (const place of spec.in) {
			const words = index.get(place) ?? new Map<string, DirectiveSpec>();
			if (words.has(spec.word)) throw new Error(`two rows for ${spec.word} in ${place}`);
			index.set(place, words.set(spec.word, spec));
		}
	}
	return index;
}

/** The row of a word in a section; undefined if the word does not belong there. */
export function findDirective(place: Place, word: string): DirectiveSpec | undefined {
	return PLACE_INDEX.get(place)?.get(word);
}

/** Every row of a section, in the order of the table. */
export function directivesIn(place: Place): DirectiveSpec[] {
	return [...PLACE_INDEX.get(place)!.values()];
}

/** The name of a directive in the typed configuration: `ACKWindowSize` -> `ackWindowSize`. */
export function fieldOf(spec: DirectiveSpec): string {
	return spec.field ?? spec.word.replace(/^[A-Z]+(?=[A-Z][a-z])|^[A-Z]+/, (start) => start.toLowerCase());
}
