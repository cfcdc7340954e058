// For tests: netlink attributes as a tree, with a parser and a writer of their own, so that the codec is not measured
// by itself. The parser is strict: what it returns was written without a wrong length or a padding byte that is set.

export interface AttributeNode {
	type: number;
	/** Bytes of a leaf. */
	payload: Uint8Array;
	/** What is inside if NLA_F_NESTED was set. */
	children?: AttributeNode[];
}

/** Names of attributes and of what is nested in them; numbers of linux/netfilter/nfnetlink_conntrack.h. */
export interface Vocabulary {
	readonly [type: number]: string | readonly [name: string, inner: Vocabulary];
}

const NESTED = 0x8000;

/** Bytes of a table in hexadecimal; white space is free, and `#` begins a comment. */
export function hexBytes(table: string): Uint8Array {
	const digits = table.replaceAll(/#.*$/gm, "").replaceAll(/\s+/g, "");
	if (digits.length % 2 !== 0 || /[^0-9a-f]/.test(digits))
		throw new Error("not a table of hexadecimal bytes");
	return Uint8Array.from(Buffer.from(digits, "hex"));
}

/** @throws Error where a length or the padding is not what struct nlattr demands */
export function parseAttributes(bytes: Uint8Array): AttributeNode[] {
	const out: AttributeNode[] = [];
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	for (let at = 0; at < bytes.length; ) {
		const length = view.getUint16(at, true);
		const type = view.getUint16(at + 2, true);
		const next = at + Math.ceil(length / 4) * 4;
		if (length < 4 || next > bytes.length) throw new Error(`byte ${at}: length ${length}`);
		const payload = bytes.slice(at + 4, at + length);
		if (bytes.slice(at + length, next).some((byte) => byte !== 0)) throw new Error(`byte ${at}: padding`);
		if ((type & NESTED) === 0) out.push({ type, payload });
		else out.push({ type: type & ~NESTED, payload, children: parseAttributes(payload) });
		at = next;
	}
	return out;
}

export function attributeBytes(nodes: readonly AttributeNode[]): Uint8Array {
	const parts = nodes.map(({ type, payload, children }) => {
		const content = children ? attributeBytes(children) : payload;
		const bytes = new Uint8Array(4 + Math.ceil(content.length / 4) * 4);
		const view = new DataView(bytes.buffer);
		view.setUint16(0, 4 + content.length, true);
		view.setUint16(2, children ? type | NESTED : type, true);
		bytes.set(content, 4);
		return bytes;
	});
	return Uint8Array.from(Buffer.concat(parts));
}

/** One line for each leaf: `TUPLE_ORIG.PROTO.NUM 06`. */
export function attributeLines(nodes: readonly AttributeNode[], vocabulary: Vocabulary, path = ""): string[] {
	return nodes.flatMap(({ type, payload, children }) => {
		const entry = vocabulary[type] ?? `unknown ${type}`;
		const name = path + (typeof entry === "string" ? entry : entry[0]);
		if (!children) return `${name} ${Buffer.from(payload).toString("hex")}`;
		return children.length === 0
			? `${name} {}`
			: attributeLines(children, typeof entry === "string" ? {} : entry[1], `${name}.`);
	});
}

/**
 * The attributes once for every leaf and every length that is too short for it. The leaf stands at the end, so that
 * whoever reads its missing bytes reads past the message.
 */
export function* shortened(
	nodes: readonly AttributeNode[],
	path: readonly number[] = [],
): Generator<{ path: readonly number[]; nodes: AttributeNode[] }> {
	for (const [i, node] of nodes.entries()) {
		const others = nodes.toSpliced(i, 1);
		const here = [...path, node.type];
		if (node.children) {
			for (const inner of shortened(node.children, here)) {
				yield { path: inner.path, nodes: [...others, { ...node, children: inner.nodes }] };
			}
		} else {
			for (let size = 0; size < node.payload.length; size++) {
				yield { path: here, nodes: [...others, { ...node, payload: node.payload.slice(0, size) }] };
			}
		}
	}
}

const TUPLE: Vocabulary = {
	1: ["IP", { 1: "V4_SRC", 2: "V4_DST", 3: "V6_SRC", 4: "V6_DST" }],
	2: [
		"PROTO",
		{
			1: "NUM",
			2: "SRC_PORT",
			3: "DST_PORT",
			4: "ICMP_ID",
			5: "ICMP_TYPE",
			6: "ICMP_CODE",
			7: "ICMPV6_ID",
			8: "ICMPV6_TYPE",
			9: "ICMPV6_CODE",
		},
	],
	3: "ZONE",
};
const NAT: Vocabulary = {
	1: "V4_MINIP",
	2: "V4_MAXIP",
	3: ["PROTO", { 1: "PORT_MIN", 2: "PORT_MAX" }],
	4: "V6_MINIP",
	5: "V6_MAXIP",
};
const SEQ_ADJ: Vocabulary = { 1: "CORRECTION_POS", 2: "OFFSET_BEFORE", 3: "OFFSET_AFTER" };

export const CONNTRACK_VOCABULARY: Vocabulary = {
	1: ["TUPLE_ORIG", TUPLE],
	2: ["TUPLE_REPLY", TUPLE],
	3: "STATUS",
	4: [
		"PROTOINFO",
		{
			1: [
				"TCP",
				{ 1: "STATE", 2: "WSCALE_ORIGINAL", 3: "WSCALE_REPLY", 4: "FLAGS_ORIGINAL", 5: "FLAGS_REPLY" },
			],
			3: ["SCTP", { 1: "STATE", 2: "VTAG_ORIGINAL", 3: "VTAG_REPLY" }],
		},
	],
	5: ["HELP", { 1: "NAME" }],
	6: ["NAT_SRC", NAT],
	7: "TIMEOUT",
	8: "MARK",
	12: "ID",
	13: ["NAT_DST", NAT],
	14: ["TUPLE_MASTER", TUPLE],
	15: ["SEQ_ADJ_ORIG", SEQ_ADJ],
	16: ["SEQ_ADJ_REPLY", SEQ_ADJ],
	18: "ZONE",
	24: ["SYNPROXY", { 1: "ISN", 2: "ITS", 3: "TSOFF" }],
};

export const EXPECTATION_VOCABULARY: Vocabulary = {
	1: ["MASTER", TUPLE],
	2: ["TUPLE", TUPLE],
	3: ["MASK", TUPLE],
	4: "TIMEOUT",
	5: "ID",
	6: "HELP_NAME",
	7: "ZONE",
	8: "FLAGS",
	9: "CLASS",
	10: ["NAT", { 1: "DIR", 2: ["TUPLE", TUPLE] }],
	11: "FN",
};
