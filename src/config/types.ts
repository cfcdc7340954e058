// The typed configuration. The words are conntrackd's, in camelCase; times are in seconds, sizes in bytes.
import type { PolicyHelper } from "./policy-directives.ts";

export type SyncMode = "FTFW" | "NOTRACK" | "ALARM";
export type TransportType = "multicast" | "udp" | "tcp";

/** One dedicated link: a `Multicast`, `UDP` or `TCP` section. */
export interface LinkConfig {
	type: TransportType;
	/** Initially active. Exactly one link of a configuration has it: the one marked `Default`, else the first. */
	isDefault: boolean;
	family: 4 | 6;
	/** The group of multicast, the own listening address of UDP and TCP. */
	address: string;
	/** The addresses of the other nodes; UDP (1 to 15) and TCP (one) only, and always there. */
	destinations?: string[];
	port: number;
	interface?: string;
	/** IPv4_interface of multicast: the local address for membership and sending. */
	interfaceAddress?: string;
	/** Bytes; absent: the system's default. */
	sndSocketBuffer?: number;
	rcvSocketBuffer?: number;
	/** false: UDP checksums are off (SO_NO_CHECK). */
	checksum: boolean;
	/** TCP: how many messages are kept for another try when a send fails. */
	errorQueueLength: number;
	/** Of the link's section in the file. */
	line: number;
}

/** Both inclusive. */
export interface PortRange {
	from: number;
	to: number;
}

/** What differs for one helper; a word that is not written is not there. */
export interface HelperPolicyConfig {
	loose?: boolean;
	fxp?: boolean;
	directMedia?: boolean;
	directSignalling?: boolean;
	gkRoutedOnly?: boolean;
	callForwardFilter?: boolean;
	minPrefix?: number;
	srcNet?: AddressRule[];
	dstNet?: AddressRule[];
	dstPort?: PortRange;
	maxExpectations?: number;
	/** Seconds. */
	timeout?: number;
	userspace?: boolean;
}

/** The rules for expectations: the `ExpectationPolicy` section. */
export interface ExpectationPolicyConfig {
	onViolation: "quarantine" | "drop";
	minDstPort: number;
	/** By helper; RAS, Q.931 and H.245 are `h323`. */
	helpers: Partial<Record<PolicyHelper, HelperPolicyConfig>>;
}

/** Whether one node is in charge, or all of them forward. */
export type SyncRole = "primary-backup" | "active-active";

export interface SyncConfig {
	mode: SyncMode;
	role: SyncRole;
	/** Objects. */
	resendQueueSize: number;
	/** Messages. */
	ackWindowSize: number;
	/** Absent: the timeout of a committed entry is computed from what the peer reported. */
	commitTimeout?: number;
	purgeTimeout: number;
	refreshTime: number;
	cacheTimeout: number;
	disableExternalCache: boolean;
	disableInternalCache: boolean;
	startupResync: boolean;
	/** 1 to 4, all of one type. */
	links: LinkConfig[];
	/** Addresses of the nodes that may speak on the links, this node's own perhaps among them; absent: not limited. */
	peers?: string[];
	tcpWindowTracking: boolean;
	/** The connlabels that are replicated, by number, in order. */
	labels: number[];
	/** A list holds lower-cased beginnings of helper names. */
	expectationSync: false | true | string[];
	expectationPolicy: ExpectationPolicyConfig;
}

export interface AddressRule {
	family: 4 | 6;
	/** 4 or 16 bytes in network order; bits behind the prefix are zero. */
	address: Uint8Array;
	prefixLength: number;
}

export interface MarkRule {
	value: number;
	mask: number;
}

/** Clauses are ANDed; an absent one lets everything pass. */
export interface FilterConfig {
	from: "userspace" | "kernelspace";
	/** IP protocol numbers. */
	protocol?: { accept: boolean; protocols: number[] };
	address?: { accept: boolean; rules: AddressRule[] };
	/** Kernel TCP_CONNTRACK_* numbers; says nothing about other protocols. */
	state?: { accept: boolean; tcpStates: number[] };
	/** Unsigned; a connmark is listed if it has the value in the bits of the mask. No mark is 0. */
	mark?: { accept: boolean; marks: MarkRule[] };
	/** 0 to 65535; listed is who has one of them in either direction. */
	zone?: { accept: boolean; zones: number[] };
	/** 0 to 127; listed is who has one of them. */
	label?: { accept: boolean; labels: number[] };
	/** Seconds that a connection has to last until it is replicated. */
	minimumAge?: number;
	/** Connections of this host itself; absent: they count like others. */
	ownConnections?: "Accept" | "Ignore";
}

export interface GeneralConfig {
	/** Buckets. */
	hashSize: number;
	/** Entries. */
	hashLimit: number;
	logFile: string | false;
	/** Facility: `daemon` or `local0` to `local7`. */
	syslog: string | false;
	lockFile: string;
	unixPath: string;
	netlinkBufferSize?: number;
	netlinkBufferSizeMaxGrowth?: number;
	netlinkOverrunResync: number | false;
	netlinkEventsReliable: boolean;
	/** Messages handled in one turn of the event loop. */
	eventIterationLimit: number;
	/** Present: the kernel is polled instead of listened to. */
	pollSecs?: number;
	nice?: number;
	/** Absent when the file does not ask for one. */
	scheduler?: { type: "RR" | "FIFO"; priority: number };
	systemd: boolean;
	filter?: FilterConfig;
}

export interface StatsConfig {
	logFile: string | false;
	syslog: string | false;
	netlinkEventsReliable: boolean;
}

export type Suite = "aes-256-gcm" | "chacha20-poly1305";

/** How the dedicated link is protected: the `Security` section. */
export interface SecurityConfig {
	/** Path of the key ring, which is read when the daemon starts or reloads. */
	keyFile: string;
	/** This node's id, 1 to 4294967295; absent: made from its address on the link. */
	node?: number;
	/** 1 to 63 characters; nodes of different clusters cannot read each other's datagrams. */
	cluster: string;
	suite: Suite;
}

/** Deeply frozen, apart from the bytes of addresses. */
export interface Config {
	/** Name of the file it came from. */
	file: string;
	/** Absent: nothing is sealed. */
	security?: SecurityConfig;
	sync?: SyncConfig;
	stats?: StatsConfig;
	general: GeneralConfig;
}
