import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { after, test } from "node:test";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { ReplySplitter, request } from "./client.ts";
import { encodeReply, encodeRequest, Opcode, type Reply } from "./request.ts";

const folder = mkdtempSync(join(tmpdir(), "ctsync-client-"));
after(() => rmSync(folder, { recursive: true }));
let sockets = 0;

/** Runs a server that answers its one client by `serve`, for as long as `use` takes. */
async function withServer(
	serve: (socket: Socket, asked: string) => void,
	use: (path: string) => Promise<void>,
): Promise<void> {
	const path = join(folder, `${sockets++}.ctl`);
	const server = createServer((socket) => {
		socket.on("error", () => {});
		socket.once("data", (chunk) => serve(socket, chunk.toString()));
	});
	await new Promise<void>((resolve) => server.listen(path, resolve));
	try {
		await use(path);
	} finally {
		await new Promise((resolve) => server.close(resolve));
	}
}

class Collector extends Writable {
	text = "";
	override _write(chunk: Buffer, _encoding: string, done: () => void): void {
		this.text += chunk.toString();
		done();
	}
}

test("a request brings back the text and the status", async () => {
	let question = "";
	await withServer(
		(socket, asked) => {
			question = asked;
			socket.end(`first\nsecond\n${encodeReply({ status: 1, error: "no" })}`);
		},
		async (path) => {
			const out = new Collector();
			assert.deepEqual(await request(path, Opcode.commitAll, out), { status: 1, error: "no" });
			assert.equal(out.text, "first\nsecond\n");
		},
	);
	assert.equal(question, encodeRequest(Opcode.commitAll));
});

test("text and end are told apart wherever the answer is cut", () => {
	const reply: Reply = { status: 1, error: "a \u0000 in JSON is escaped" };
	const answer = Buffer.from(`tcp      6 ESTABLISHED\n${encodeReply(reply)}`);
	fc.assert(
		fc.property(fc.array(fc.integer({ min: 0, max: answer.length })), (cuts) => {
			const splitter = new ReplySplitter();
			let text = "";
			let from = 0;
			for (const to of [...cuts.sort((a, b) => a - b), answer.length]) {
				text += Buffer.from(splitter.push(answer.subarray(from, to))).toString();
				from = to;
			}
			assert.equal(text, "tcp      6 ESTABLISHED\n");
			assert.deepEqual(splitter.end(), reply);
		}),
	);
});

test("an end of absurd length is not kept and is none", () => {
	const splitter = new ReplySplitter();
	splitter.push(Buffer.from(encodeReply({ status: 0 })));
	assert.deepEqual(splitter.end(), { status: 0 });
	for (let i = 0; i < 100; i++) assert.equal(splitter.push(Buffer.alloc(1024, " ")).length, 0);
	assert.equal(splitter.end(), undefined);
});

test("an answer without an end is an error", async () => {
	await withServer(
		(socket) => socket.end("half of"),
		async (path) => {
			const out = new Collector();
			const reply = await request(path, Opcode.stats, out);
			assert.equal(reply.status, 1);
			assert.equal(reply.error, `the answer was cut off: does ctsync listen at ${path}?`);
			assert.equal(out.text, "half of");
		},
	);
});

test("a daemon that hangs up with our request unread is an error", async () => {
	const path = join(folder, "reset.ctl");
	const server = createServer({ pauseOnConnect: true }, (socket) => {
		sleep(50).then(() => socket.destroy()); // by then the request is there, unread
	});
	await new Promise<void>((resolve) => server.listen(path, resolve));
	const reply = await request(path, Opcode.stats, new Collector());
	await new Promise((resolve) => server.close(resolve));
	assert.equal(reply.status, 1);
	assert.match(reply.error!, /^the answer was cut off: does ctsync listen at /);
});

test("no daemon is an error with the path and the cause", async () => {
	const path = join(folder, "nobody.ctl");
	assert.deepEqual(await request(path, Opcode.stats, new Collector()), {
		status: 1,
		error: `can't connect: is ctsync running? appropriate permissions? (${path}: ENOENT)`,
	});
});

/** Takes nothing until it is opened. */
class Gate extends Writable {
	bytes = 0;
	#isOpen = false;
	#held: (() => void) | undefined;
	override _write(chunk: Buffer, _encoding: string, done: () => void): void {
		this.bytes += chunk.length;
		if (this.#isOpen) done();
		else this.#held = done;
	}
	open(): void {
		this.#isOpen = true;
		this.#held?.();
	}
}

test("a slow output slows the daemon down", async () => {
	const total = 64 << 20;
	let sent = 0;
	const out = new Gate({ highWaterMark: 1024 });
	await withServer(
		(socket) => {
			const block = Buffer.alloc(65536, "x");
			const pump = () => {
				while (sent < total) {
					sent += block.length;
					if (!socket.write(block)) return void socket.once("drain", pump);
				}
				socket.end(encodeReply({ status: 0 }));
			};
			pump();
		},
		async (path) => {
			const reply = request(path, Opcode.dumpInternalCt, out);
			for (let i = 0; i < 200; i++) await turn();
			assert.ok(sent < total / 4, `${sent} bytes left the daemon while nobody read`);
			out.open();
			assert.deepEqual(await reply, { status: 0 });
			assert.equal(out.bytes, total);
		},
	);
});

function failingOutput(code: string): Writable {
	return new Writable({
		write(_chunk, _encoding, done) {
			done(Object.assign(new Error(`write ${code}`), { code }));
		},
	});
}

test("a reader that has gone ends a dump quietly, as SIGPIPE would", async () => {
	let isClosed: Promise<unknown> | undefined;
	await withServer(
		(socket) => {
			isClosed = new Promise((resolve) => socket.on("close", resolve));
			socket.write("line\n");
		},
		async (path) => {
			for (const op of [
				Opcode.dumpExternalCt,
				Opcode.dumpInternalExpectXml,
				Opcode.stats,
				Opcode.policyRejected,
			]) {
				assert.deepEqual(await request(path, op, failingOutput("EPIPE")), { status: 141 });
				await isClosed;
			}
		},
	);
});

test("what is done or judged goes on without a reader, and has its own status", async () => {
	let reply: Reply = { status: 0 };
	let gone = Promise.resolve();
	await withServer(
		async (socket) => {
			// more than fits into the client: it has to be read though nobody wants it
			const block = Buffer.alloc(1 << 20, "x");
			for (let i = 0; i < 8; i++) {
				if (!socket.write(block)) await new Promise((resolve) => socket.once("drain", resolve));
			}
			await gone;
			socket.end(encodeReply(reply));
		},
		async (path) => {
			for (const op of [Opcode.commit, Opcode.commitAll, Opcode.rehearse, Opcode.verify]) {
				for (reply of [{ status: 0 }, { status: 1, error: "3 entries can't be committed" }] as Reply[]) {
					const out = failingOutput("EPIPE");
					gone = new Promise((resolve) => out.once("error", () => setTimeout(resolve, 5)));
					assert.deepEqual(await request(path, op, out), reply);
				}
			}
		},
	);
});

test("a daemon that ends before it has replied is an error, whoever still reads", async () => {
	await withServer(
		(socket) => socket.end("half of"),
		async (path) => {
			const { status, error } = await request(path, Opcode.verify, failingOutput("EPIPE"));
			assert.equal(status, 1);
			assert.match(error!, /^the answer was cut off: /);
		},
	);
});

test("another failure of the output is an error, beside that of the command", async () => {
	let reply: Reply = { status: 0 };
	await withServer(
		(socket) => {
			socket.write("line\n");
			setTimeout(() => socket.end(encodeReply(reply)), 20);
		},
		async (path) => {
			const commit = () => request(path, Opcode.commit, failingOutput("ENOSPC"));
			assert.deepEqual(await commit(), { status: 1, error: "can't write: write ENOSPC" });
			reply = { status: 1, error: "no room" };
			assert.deepEqual(await commit(), { status: 1, error: "no room\ncan't write: write ENOSPC" });
		},
	);
});

test("another failure of the output ends a dump with an error", async () => {
	await withServer(
		(socket) => socket.write("line\n"),
		async (path) => {
			assert.deepEqual(await request(path, Opcode.dumpExternalCt, failingOutput("ENOSPC")), {
				status: 1,
				error: "can't write: write ENOSPC",
			});
		},
	);
});
