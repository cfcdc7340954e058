// The client's end of the control socket: asks one thing and lets the text of the answer flow to an output.
import { connect, type Socket } from "node:net";
import type { Writable } from "node:stream";
import { encodeRequest, parseReply, REPLY_SEPARATOR, type Reply, type RequestDetail } from "./request.ts";

/** How the error begins when no daemon answers. */
export const CANNOT_CONNECT = "can't connect";

/** The end of an answer is one JSON object; anything longer is not ours. */
const REPLY_MAX = 65536;

/**
 * Sends one request to the daemon behind a control socket.
 *
 * Never rejects: whatever goes wrong is a status of 1 with an error. A reader of `out` that goes away (EPIPE) ends
 * the request quietly, with status 0.
 *
 * @param path the socket's path in the file system
 * @param op an Opcode
 * @param out gets the text of the answer, as fast as it takes it; it is not ended
 * @param detail what the command is about, and whether it is to answer in JSON
 */
export function request(path: string, op: number, out: Writable, detail: RequestDetail = {}): Promise<Reply> {
	return new Promise((resolve) => {
		const socket = connect(path);
		const splitter = new ReplySplitter();
		let isConnected = false;
		const finish = (reply: Reply) => {
			socket.destroy();
			resolve(reply);
		};
		// stays for good: a standard output reports the failures of earlier writes later
		out.on("error", (error: NodeJS.ErrnoException) => {
			finish(error.code === "EPIPE" ? { status: 0 } : { status: 1, error: `can't write: ${error.message}` });
		});
		socket.on("connect", () => {
			isConnected = true;
			socket.write(encodeRequest(op, detail));
		});
		socket.on("data", (chunk: Buffer) => forward(splitter.push(chunk), socket, out));
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

function noReply(path: string): string {
	return `the answer was cut off: does ctsync listen at ${path}?`;
}

function connectFailed(path: string, error: NodeJS.ErrnoException): string {
	return `${CANNOT_CONNECT}: is ctsync running? appropriate permissions? (${path}: ${error.code ?? error.message})`;
}
