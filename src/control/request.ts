// What a client asks on the control socket, and how the answer ends.
//
//   conntrackd's clients   4 bytes: the opcode as a native-endian int      -> text until EOF
//   our own client         {"op":18,"json":true}\n                         -> text, one NUL byte, JSON until EOF
//
// The first lets conntrackd's own command line talk to us; the second brings back whether the command succeeded, and
// may ask for the text as JSON ("form":"json").
/** The numbers of conntrackd's protocol. `ct` and `expect` are the two halves, `all` means both. */
export const Opcode = {
	flushKernelCt: 0,
	resyncKernelCt: 1,
	dumpInternalCt: 16,
	dumpExternalCt: 17,
	commitCt: 18,
	/** Sent by old clients only: the conntrack halves of both caches. */
	flushCachesCt: 19,
	kill: 20,
	stats: 21,
	sendBulk: 22,
	requestResync: 23,
	dumpInternalCtXml: 24,
	dumpExternalCtXml: 25,
	/** Schedule the flush of PurgeTimeout. */
	resetTimers: 26,
	statsNetwork: 28,
	statsCache: 29,
	statsRuntime: 30,
	statsLink: 31,
	statsResendQueue: 32,
	flushInternal: 33,
	flushExternal: 34,
	statsProcess: 35,
	statsQueue: 36,
	statsExpect: 37,
	flushKernelExpect: 38,
	resyncKernelExpect: 39,
	dumpInternalExpect: 40,
	dumpExternalExpect: 41,
	commitExpect: 42,
	flushKernelAll: 43,
	resyncKernelAll: 44,
	flushCachesAll: 45,
	commitAll: 46,
	dumpInternalExpectXml: 47,
	dumpExternalExpectXml: 48,
	// of our own, for our client only
	verify: 64,
	keysInUse: 65,
	/** As commitAll and its halves, with a report. */
	commit: 66,
	rehearse: 67,
	policyRejected: 68,
} as const;
export type Opcode = (typeof Opcode)[keyof typeof Opcode];

const OPCODES: ReadonlySet<number> = new Set(Object.values(Opcode));

/** Whether the number is an opcode that somebody may have sent. */
export function isOpcode(number: number): number is Opcode {
	return OPCODES.has(number);
}

/** Whose text is all that is asked for, and may be JSON. */
const TELLING_OPCODES: ReadonlySet<number> = new Set([
	Opcode.dumpInternalCt,
	Opcode.dumpExternalCt,
	Opcode.dumpInternalExpect,
	Opcode.dumpExternalExpect,
	Opcode.stats,
	Opcode.statsNetwork,
	Opcode.statsCache,
	Opcode.statsRuntime,
	Opcode.statsLink,
	Opcode.statsResendQueue,
	Opcode.statsProcess,
	Opcode.statsQueue,
	Opcode.statsExpect,
	Opcode.policyRejected,
]);

const XML_OPCODES: ReadonlySet<number> = new Set([
	Opcode.dumpInternalCtXml,
	Opcode.dumpExternalCtXml,
	Opcode.dumpInternalExpectXml,
	Opcode.dumpExternalExpectXml,
]);

/** Whether `"form":"json"` may be asked of the opcode: what can be told as JSON otherwise than by its argument. */
export const hasJson = (op: number): boolean => TELLING_OPCODES.has(op) || op === Opcode.verify;

/** Whether the text is all that is asked for: nothing is done, nor judged, so that nothing is lost when nobody reads it. */
export const isTelling = (op: number): boolean => TELLING_OPCODES.has(op) || XML_OPCODES.has(op);

/** The request of our own client, one line. */
export interface JsonRequest {
	op: number;
	json: true;
	/** What the command is about. */
	argument?: string;
	/** The text is to be JSON: one object, or for a list an object a line. */
	form?: "json";
}

/** What a request may say beside its opcode. */
export type RequestDetail = Pick<JsonRequest, "argument" | "form">;

/** What follows the text and its NUL byte in the answer to a JSON request. */
export interface Reply {
	/** 0: done. 1: refused or failed. */
	status: 0 | 1;
	/** The cause of status 1, one line. */
	error?: string;
}

/** What has arrived so far. The number of an opcode is 0 to 255, known or not. */
export type ParsedRequest =
	| { kind: "opcode"; op: number }
	| ({ kind: "json"; op: number } & RequestDetail)
	| { kind: "incomplete" }
	| { kind: "bad"; reason: string };

/** Bytes of the longest request, its newline included. */
export const REQUEST_MAX = 4096;

/** Ends the text of an answer to a JSON request; text never contains it. */
export const REPLY_SEPARATOR = 0;

const OPEN_BRACE = 0x7b;
const NEWLINE = 0x0a;

/** The request line of our own client. */
export function encodeRequest(op: number, detail: RequestDetail = {}): string {
	const request: JsonRequest = { op, json: true, ...detail };
	return `${JSON.stringify(request)}\n`;
}

/** The end of an answer to a JSON request, with its separator. */
export function encodeReply(reply: Reply): string {
	return `\0${JSON.stringify(reply)}`;
}

/** Reads the end of an answer, without its separator; undefined if it is none. */
export function parseReply(text: string): Reply | undefined {
	const value = parseObject(text);
	if (!value || (value.status !== 0 && value.status !== 1)) return undefined;
	return typeof value.error === "string"
		? { status: value.status, error: value.error }
		: { status: value.status };
}

/**
 * Reads the bytes that a client has sent. An opcode below 256 has zero bytes, text has none, so that the first four
 * bytes tell which it is. Bytes behind a complete request are ignored.
 */
export function parseRequest(bytes: Uint8Array): ParsedRequest {
	const head = bytes.subarray(0, 4);
	if (head[0] === OPEN_BRACE && !head.includes(0)) return parseLine(bytes);
	if (head.length < 4) return { kind: "incomplete" };
	const op = new Int32Array(new Uint8Array(head).buffer)[0]!;
	if (op < 0 || op > 255) return { kind: "bad", reason: `unknown request ${op}` };
	return { kind: "opcode", op };
}

function parseLine(bytes: Uint8Array): ParsedRequest {
	const end = bytes.subarray(0, REQUEST_MAX).indexOf(NEWLINE);
	if (end < 0) {
		return bytes.length < REQUEST_MAX
			? { kind: "incomplete" }
			: { kind: "bad", reason: `request longer than ${REQUEST_MAX} bytes` };
	}
	const request = parseObject(new TextDecoder().decode(bytes.subarray(0, end)));
	if (!request) return { kind: "bad", reason: "request is not a JSON object" };
	const { op, json, argument, form } = request;
	if (json !== true) return { kind: "bad", reason: 'request lacks "json": true' };
	if (typeof op !== "number" || !Number.isInteger(op) || op < 0 || op > 255) {
		return { kind: "bad", reason: 'request lacks "op", a number from 0 to 255' };
	}
	if (argument !== undefined && typeof argument !== "string") {
		return { kind: "bad", reason: 'the "argument" of a request is a string' };
	}
	if (form !== undefined && form !== "json") {
		return { kind: "bad", reason: 'the "form" of a request is "json", or absent' };
	}
	return {
		kind: "json",
		op,
		...(argument === undefined ? {} : { argument }),
		...(form === undefined ? {} : { form }),
	};
}

function parseObject(text: string): Record<string, unknown> | undefined {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === "object" && value !== null && !Array.isArray(value)
			? (value as Record<string, unknown>)
			: undefined;
	} catch {
		return undefined;
	}
}
