// The daemon's end of the control socket. Answers conntrackd's own protocol and that of our client (request.ts).
import { chmodSync, existsSync, lstatSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import {
	encodeReply,
	type ParsedRequest,
	parseRequest,
	REQUEST_MAX,
	type Reply,
	type RequestDetail,
} from "./request.ts";

/**
 * Where a handler writes its text; a promise that resolves when there is room for more.
 *
 * @throws Error when the client has gone: nobody needs the rest
 */
export type TextSink = (text: string) => Promise<void> | undefined;

/** Answers one request: writes text, and says how it went. */
export type RequestHandler = (op: number, write: TextSink, detail?: RequestDetail) => Promise<Reply>;

/** Clients at a time; one more takes the place of whoever has not read its answer for longest, or is turned away. */
const CLIENTS_MAX = 16;
/** A client that says nothing for this long is cut off, milliseconds. */
const IDLE_MAX_MS = 5000;
/** Bytes that wait for a client that does not read, before its handler is held up. */
const UNREAD_MAX = 1 << 20;

export interface ControlCounters {
	unknownRequests: number;
	readErrors: number;
}

export function newControlCounters(): ControlCounters {
	return { unknownRequests: 0, readErrors: 0 };
}

export class ControlServer {
	readonly counters: ControlCounters;
	readonly #path: string;
	readonly #handler: RequestHandler;
	readonly #server: Server;
	readonly #clients = new Set<Socket>();
	/** Of these, those whose answer waits for them to read, longest first. */
	readonly #unread = new Set<Socket>();

	constructor(path: string, handler: RequestHandler, counters: ControlCounters) {
		this.counters = counters;
		this.#path = path;
		this.#handler = handler;
		// half-open: a client that has asked may close its side and still wants the answer
		this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket));
	}

	/** @throws Error naming the path: something else is there, or another daemon answers on it */
	async listen(): Promise<void> {
		if (!existsSync(dirname(this.#path))) {
			throw new Error(`can't open UNIX socket \`${this.#path}': there is no folder ${dirname(this.#path)}`);
		}
		if (existsSync(this.#path)) {
			if (!lstatSync(this.#path).isSocket())
				throw new Error(`UNIX path \`${this.#path}' exists and is no socket`);
			if (await isAnswered(this.#path)) {
				throw new Error(
					`somebody answers on \`${this.#path}', perhaps ctsync or conntrackd already running?`,
				);
			}
			unlinkSync(this.#path);
		}
		// for root alone, from the first moment on
		const before = process.umask(0o177);
		try {
			await new Promise<void>((resolve, reject) => {
				this.#server.once("error", (error) =>
					reject(new Error(`can't open UNIX socket \`${this.#path}': ${error.message}`)),
				);
				this.#server.listen(this.#path, resolve);
			});
		} finally {
			process.umask(before);
		}
		chmodSync(this.#path, 0o600);
	}

	/** Cuts off whoever still reads, and removes the path. */
	close(): void {
		this.#server.close();
		for (const socket of this.#clients) socket.destroy();
	}

	#serve(socket: Socket): void {
		socket.on("error", () => {
			this.counters.readErrors++;
			socket.destroy();
		});
		if (this.#clients.size >= CLIENTS_MAX) {
			const [idle] = this.#unread;
			(idle ?? socket).destroy();
			if (!idle) return;
			this.#forget(idle);
		}
		this.#clients.add(socket);
		socket.on("close", () => this.#forget(socket));
		socket.setTimeout(IDLE_MAX_MS, () => socket.destroy());
		let asked = Buffer.alloc(0);
		socket.on("data", (chunk: Buffer) => {
			if (asked.length > REQUEST_MAX) return;
			asked = Buffer.concat([asked, chunk]);
			const request = parseRequest(asked);
			if (request.kind === "incomplete") return;
			asked = Buffer.alloc(REQUEST_MAX + 1);
			// a commit may take longer than a client may stay silent
			socket.setTimeout(0);
			if (request.kind === "bad") {
				this.counters.unknownRequests++;
				socket.end(encodeReply({ status: 1, error: request.reason }));
				return;
			}
			void this.#answer(socket, request);
		});
		socket.on("end", () => {
			if (asked.length <= REQUEST_MAX) socket.end();
		});
	}

	#forget(socket: Socket): void {
		this.#clients.delete(socket);
		this.#unread.delete(socket);
	}

	async #answer(
		socket: Socket,
		asked: Exclude<ParsedRequest, { kind: "incomplete" | "bad" }>,
	): Promise<void> {
		const write: TextSink = (text) => {
			// else the dumps of clients that have gone would pile up, beyond CLIENTS_MAX
			if (socket.destroyed) throw new Error("the client has gone");
			// as bytes: a string that waits would be a tree of its parts on the heap, which each collection copies
			if (socket.write(Buffer.from(text)) || socket.writableLength < UNREAD_MAX) return undefined;
			this.#unread.add(socket);
			return new Promise((resolve) => {
				const done = (): void => {
					this.#unread.delete(socket);
					socket.off("drain", done);
					socket.off("close", done);
					resolve();
				};
				socket.on("drain", done);
				socket.on("close", done);
			});
		};
		let reply: Reply;
		try {
			reply = await this.#handler(asked.op, write, asked.kind === "json" ? asked : {});
		} catch (error) {
			reply = { status: 1, error: (error as Error).message };
		}
		if (socket.destroyed) return;
		// conntrackd's client prints what comes and ends with 0: a failure is told where its user looks
		const told = reply.error === undefined ? "" : `ctsync: ${reply.error}\n`;
		socket.end(asked.kind === "json" ? encodeReply(reply) : told);
	}
}

function isAnswered(path: string): Promise<boolean> {
	return new Promise((resolve) => {
		const probe = connect(path);
		probe.on("connect", () => {
			probe.destroy();
			resolve(true);
		});
		probe.on("error", () => resolve(false));
	});
}
