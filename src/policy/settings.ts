// What an operator may change about the rules. The defaults are the strictest form.

/** An address with its prefix length; bits behind the prefix are zero. */
export interface PolicyNetwork {
	readonly family: 4 | 6;
	/** 4 or 16 bytes in network order. */
	readonly address: Uint8Array;
	readonly prefixLength: number;
}

/** Of one helper, named as in the table. The words are those of the kernel modules' options where these have one. */
export interface HelperSettings {
	/** ftp: the data connection may go to any host (nf_conntrack_ftp loose). */
	readonly loose?: boolean;
	/** ftp: it may also come from any host. */
	readonly fxp?: boolean;
	/** sip: media goes between the two ends of the signalling only (sip_direct_media). */
	readonly directMedia?: boolean;
	/** sip: calls come from the registrar only (sip_direct_signalling). */
	readonly directSignalling?: boolean;
	/** h323: calls come through the gatekeeper only (gkrouted_only). */
	readonly gkRoutedOnly?: boolean;
	/** h323: calls go to the ends of the signalling only (callforward_filter). */
	readonly callForwardFilter?: boolean;
	/** netbios-ns, snmp: the largest network that may answer. */
	readonly minPrefix?: number;
	/** The whole source has to lie in these. */
	readonly srcNet?: readonly PolicyNetwork[];
	/** Where the destination has to lie in, or, where any is allowed, which others than the master's ends are. */
	readonly dstNet?: readonly PolicyNetwork[];
	/** The only destination ports, both inclusive; lower ones than MinDstPort may be among them. */
	readonly dstPort?: { readonly from: number; readonly to: number };
	/** Expectations of a master at a time, of each class, in place of the kernel's limits. */
	readonly maxExpectations?: number;
	/** The longest life, seconds, in place of the kernel's limit. */
	readonly timeout?: number;
	/** The helper is a program in user space. */
	readonly userspace?: boolean;
}

export interface PolicySettings {
	/** Whether expectations that break a rule are kept to be looked at, or only counted. */
	readonly onViolation: "quarantine" | "drop";
	/** The lowest destination port. */
	readonly minDstPort: number;
	/** By the name in the table. */
	readonly helpers: Readonly<Record<string, HelperSettings>>;
}

/** Nothing is widened. */
export const STRICT: PolicySettings = { onViolation: "quarantine", minDstPort: 1024, helpers: {} };
