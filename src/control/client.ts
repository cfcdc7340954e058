// The client's end of the control socket: asks one thing and lets the text of the answer flow to an output.
import { connect, type Socket } from "node:net";
import type { Writable } from "node:stream";
import {
	encodeRequest,
	isTelling,
	parseReply,
	REPLY_SEPARATOR,
	type Reply,
	type RequestDetail,
} from "./request.ts";

/** How the error begins when no daemon answers. */
export const CANNOT_CONNECT = "can't connect";

/** What a shell tells of a program that SIGPIPE has ended: 128 and the number of the signal. */
const READER_GONE = 141;

/** What came of a request: the daemon's reply, or that nobody reads its text any more. */
export type Outcome = Reply | { status: typeof READER_GONE; error?: never };

/** The end of an answer is one JSON object; anything longer is not ours. */
const REPLY_MAX = 65536;

/**
 * Sends one request to the daemon behind a control socket.
 *
 * Never rejects: whatever goes wrong is a status of 1 with an error. When the reader of `out` goes away (EPIPE), a request
 * that only tells something ends at once and quietly, with status 141. What is done, or judged, goes on without its text
 * and has the status of the daemon's reply; so it does when `out` fails otherwise, which is an error beside the reply's.
 *
 * @param path the socket's path in the file system
 * @param op an Opcode
 * @param out gets the text of the answer, as fast as it takes it; it is not ended
 * @param detail what the command is about, and whether it is to answer in JSON
 */
export function request(
	path: string,
	op: number,
	out: Writable,
	detail: RequestDetail = {},
): Promise<Outcome> {
	return new Promise((resolve) => {
		const socket = connect(path);
		const splitter = new ReplySplitter();
		let isConnected = false;
		/** The output takes nothing any more. */
		let isMute = false;
		/** Why, unless its reader has gone. */
		let unwritten: string | undefined;
		const finish = (outcome: Outcome) => {
			socket.destroy();
			resolve(unwritten === undefined ? outcome : withError(outcome, unwritten));
		};
		// stays for good: a standard output reports the failures of earlier writes later
		out.on("error", (error: NodeJS.ErrnoException) => {
			isMute = true;
			if (error.code !== "EPIPE") unwritten = `can't write: ${error.message}`;
			if (isTelling(op)) finish({ status: READER_GONE });
			else socket.resume();
		});
		socket.on("connect", () => {
			isConnected = true;
			socket.write(encodeRequest(op, detail));
		});
		socket.on("data", (chunk: Buffer) => {
			const text = splitter.push(chunk);
			if (!isMute) forward(text, socket, out);
		});
		socket.on("end", () => finish(splitter.end() ?? { status: 1, error: noReply(path) }));
		socket.on("error", (error: NodeJS.ErrnoException) => {
			const reply = splitter.end();
			if (reply) finish(reply);
			else if (isConnected) finish({ status: 1, error: `${noReply(path)} (${error.code ?? error.message})` });
			else finish({ status: 1, error: connectFailed(path, error) });
		});
	});
}

/** Separates the text of an answer from its end, wherever the chunks are cut. */
export class ReplySplitter {
	readonly #end: Uint8Array[] = [];
	#endBytes = 0;
	#inEnd = false;

	/** The part of a chunk that is text; may be empty. */
	push(chunk: Uint8Array): Uint8Array {
		if (this.#inEnd) {
			this.#keep(chunk);
			return chunk.subarray(0, 0);
		}
		const at = chunk.indexOf(REPLY_SEPARATOR);
		if (at < 0) return chunk;
		this.#inEnd = true;
		this.#keep(chunk.subarray(at + 1));
		return chunk.subarray(0, at);
	}

	/** The end of the answer, if a whole one has arrived. */
	end(): Reply | undefined {
		return this.#endBytes > REPLY_MAX ? undefined : parseReply(Buffer.concat(this.#end).toString());
	}

	#keep(bytes: Uint8Array): void {
		this.#endBytes += bytes.length;
		if (this.#endBytes <= REPLY_MAX) this.#end.push(bytes);
	}
}

function forward(text: Uint8Array, socket: Socket, out: Writable): void {
	if (text.length === 0 || out.write(text)) return;
	socket.pause();
	out.once("drain", () => socket.resume());
}

const withError = ({ error }: Outcome, more: string): Reply => ({
	status: 1,
	error: error === undefined ? more : `${error}\n${more}`,
});

function noReply(path: string): string {
	return `the answer was cut off: does ctsync listen at ${path}?`;
}

function connectFailed(path: string, error: NodeJS.ErrnoException): string {
	return `${CANNOT_CONNECT}: is ctsync running? appropriate permissions? (${path}: ${error.code ?? error.message})`;
}
