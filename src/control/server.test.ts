import assert from "node:assert/strict";
import {
	chmodSync,
	existsSync,
	mkdtempSync,
	renameSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { request } from "./client.ts";
import { Opcode, parseReply, REQUEST_MAX, type Reply } from "./request.ts";
import { ControlServer, newControlCounters, type RequestHandler } from "./server.ts";

const folder = mkdtempSync(join(tmpdir(), "ctsync-server-"));
const opened = new Set<Socket>();
const servers = new Set<ControlServer>();
after(() => {
	for (const socket of opened) socket.destroy();
	for (const server of servers) server.close();
	rmSync(folder, { recursive: true });
});

let paths = 0;
const newPath = (): string => join(folder, `${paths++}.ctl`);

const echo: RequestHandler = async (op, write) => {
	await write(`asked ${op}\n`);
	return { status: 0 };
};

async function start(
	handler: RequestHandler,
	path = newPath(),
): Promise<{ path: string; server: ControlServer }> {
	const server = new ControlServer(path, handler, newControlCounters());
	await server.listen();
	servers.add(server);
	return { path, server };
}

class Client {
	readonly socket: Socket;
	/** Everything that came until the server ended. */
	readonly answer: Promise<string>;

	constructor(path: string, options: { reads?: boolean } = {}) {
		this.socket = connect({ path, allowHalfOpen: true });
		opened.add(this.socket);
		const chunks: Buffer[] = [];
		this.answer = new Promise((resolve) => {
			const done = () => resolve(Buffer.concat(chunks).toString());
			this.socket.on("end", () => {
				this.socket.end();
				done();
			});
			this.socket.on("close", done);
			this.socket.on("error", done);
		});
		if (options.reads !== false) this.socket.on("data", (chunk: Buffer) => chunks.push(chunk));
	}
}

const stock = (op: number): Uint8Array => new Uint8Array(Int32Array.of(op).buffer);

async function ask(path: string, bytes: Uint8Array | string): Promise<string> {
	const client = new Client(path);
	client.socket.write(bytes);
	return client.answer;
}

/** The text and the end of an answer to a JSON request. */
function split(answer: string): { text: string; reply: Reply | undefined } {
	const at = answer.indexOf("\0");
	return { text: answer.slice(0, at), reply: parseReply(answer.slice(at + 1)) };
}

describe("the control socket", { concurrency: true }, () => {
	test("four bytes are conntrackd's request: its answer is text until the end", async () => {
		const { path } = await start(echo);
		assert.equal(await ask(path, stock(Opcode.stats)), "asked 21\n");
		assert.equal(await ask(path, stock(255)), "asked 255\n", "the handler knows which exist");
	});

	test("a line of JSON is our own request: its answer ends with how it went", async () => {
		const { path } = await start(async (op, write) => {
			await write("text\n");
			return op === 18 ? { status: 1, error: "no room" } : { status: 0 };
		});
		assert.deepEqual(split(await ask(path, '{"op":18,"json":true}\n')), {
			text: "text\n",
			reply: { status: 1, error: "no room" },
		});
		assert.deepEqual(split(await ask(path, '{"op":21,"json":true}\n')).reply, { status: 0 });
	});

	test("our own client and this server understand each other", async () => {
		const { path } = await start(echo);
		let text = "";
		const out = new Writable({
			write(chunk, _encoding, done) {
				text += chunk;
				done();
			},
		});
		assert.deepEqual(await request(path, Opcode.commitAll, out), { status: 0 });
		assert.equal(text, `asked ${Opcode.commitAll}\n`);
	});

	test("a handler that throws is a request that failed, with its message", async () => {
		const { path } = await start(async (_op, write) => {
			await write("half\n");
			throw new Error("dump conntracks: EPERM");
		});
		assert.deepEqual(split(await ask(path, '{"op":1,"json":true}\n')), {
			text: "half\n",
			reply: { status: 1, error: "dump conntracks: EPERM" },
		});
		// the stock client ends with 0 whatever came; so it gets the cause to print
		assert.equal(await ask(path, stock(1)), "half\nctsync: dump conntracks: EPERM\n");
	});

	test("requests may come byte by byte", async () => {
		const { path } = await start(echo);
		for (const bytes of [Buffer.from(stock(17)), Buffer.from('{"op":17,"json":true}\n')]) {
			const client = new Client(path);
			for (const byte of bytes) {
				client.socket.write(Uint8Array.of(byte));
				await sleep(2);
			}
			assert.match(await client.answer, /^asked 17\n/);
		}
	});

	test("a client that closes its side after asking still gets its answer", async () => {
		const { path } = await start(async (_op, write) => {
			await sleep(30);
			await write("late\n");
			return { status: 0 };
		});
		const client = new Client(path);
		client.socket.end(stock(16));
		assert.equal(await client.answer, "late\n");
	});

	test("a client that closes its side before it has asked is let go at once", async () => {
		const { path, server } = await start(echo);
		const client = new Client(path);
		client.socket.end(Uint8Array.of(1, 0));
		assert.equal(await client.answer, "");
		assert.equal(server.counters.unknownRequests, 0);
	});

	test("a second request on the same connection is not answered", async () => {
		let calls = 0;
		const { path } = await start(async (op, write) => {
			calls++;
			await sleep(20);
			return echo(op, write);
		});
		const client = new Client(path);
		client.socket.write(stock(1));
		client.socket.write(stock(2));
		await sleep(5);
		client.socket.write(stock(3));
		assert.deepEqual([await client.answer, calls], ["asked 1\n", 1]);
	});

	test("garbage is refused with a reason, counted, and harms nobody", async () => {
		const { path, server } = await start(echo);
		const garbage: (string | Uint8Array)[] = [
			stock(256),
			stock(-1),
			"GET / HTTP/1.1\r\n\r\n",
			"{}\n",
			"{nonsense\n",
			'{"op":"18","json":true}\n',
			'{"__proto__":{"op":18},"json":true}\n',
			`{"op":18,${" ".repeat(REQUEST_MAX)}"json":true}\n`,
			Uint8Array.of(0xff, 0xfe, 0xfd, 0xfc, 0xfb),
		];
		for (const bytes of garbage) {
			const { text, reply } = split(await ask(path, bytes));
			assert.equal(text, "");
			assert.equal(reply?.status, 1, String(bytes));
			assert.ok((reply?.error ?? "").length > 0);
		}
		assert.equal(server.counters.unknownRequests, garbage.length);
		assert.equal(await ask(path, stock(21)), "asked 21\n");
	});

	test("a client that says too little is cut off after a while; one that waits for its answer is not", async () => {
		const { path } = await start(async (_op, write) => {
			await sleep(5600);
			await write("at last\n");
			return { status: 0 };
		});
		const began = performance.now();
		const patient = new Client(path);
		patient.socket.write(stock(18));
		const silent = new Client(path);
		const slow = new Client(path);
		slow.socket.write("{");
		assert.deepEqual([await silent.answer, await slow.answer], ["", ""]);
		const waited = performance.now() - began;
		assert.ok(waited > 4500, `${waited} ms`);
		assert.equal(await patient.answer, "at last\n");
	});

	test("sixteen clients are served at a time; more are turned away, and there is room again afterwards", async () => {
		let release = (): void => {};
		const gate = new Promise<void>((resolve) => {
			release = resolve;
		});
		const { path } = await start(async (op, write) => {
			await gate;
			return echo(op, write);
		});
		const clients = Array.from({ length: 16 }, () => {
			const client = new Client(path);
			client.socket.write(stock(1));
			return client;
		});
		await Promise.all(clients.map(({ socket }) => once(socket, "connect")));
		await sleep(20);
		const turnedAway = new Client(path);
		turnedAway.socket.write(stock(2));
		assert.equal(await Promise.race([turnedAway.answer, sleep(2000, "it waits")]), "");
		release();
		for (const client of clients) assert.equal(await client.answer, "asked 1\n");
		// there is room as soon as one of them has really gone
		let answer = "";
		for (let i = 0; i < 500 && answer === ""; i++) {
			await sleep(20);
			answer = await ask(path, stock(3));
		}
		assert.equal(answer, "asked 3\n");
	});

	test("sixteen clients that do not read their answers make room for one that does", async () => {
		const piece = "x".repeat(65536);
		const { path } = await start(async (op, write) => {
			if (op !== 16) return echo(op, write);
			for (let i = 0; i < 1000; i++) await write(piece);
			return { status: 0 };
		});
		const stuck = Array.from({ length: 16 }, () => new Client(path, { reads: false }));
		for (const { socket } of stuck) socket.write(stock(16));
		await sleep(300);
		for (let i = 0; i < 3; i++) assert.equal(await ask(path, stock(21)), "asked 21\n");
		for (const { socket } of stuck) socket.destroy();
	});

	test("a client that does not read holds up its own handler, within bounds, and nobody else", async () => {
		const piece = "x".repeat(65536);
		let written = 0;
		const { path } = await start(async (op, write) => {
			if (op !== 16) return echo(op, write);
			for (let i = 0; i < 1000; i++) {
				await write(piece);
				written++;
			}
			return { status: 0 };
		});
		const stuck = new Client(path, { reads: false });
		stuck.socket.write(stock(16));
		for (let i = 0; i < 20; i++) assert.equal(await ask(path, stock(21)), "asked 21\n");
		await sleep(50);
		assert.ok(written < 40, `${written} pieces are waiting for a client that does not read`);
		let bytes = 0;
		stuck.socket.on("data", (chunk: Buffer) => {
			bytes += chunk.length;
		});
		await stuck.answer;
		assert.equal(bytes, 1000 * piece.length, "and when it reads it gets everything");
	});

	test("a client that goes away in the middle of an answer ends its handler", async () => {
		let isBegun = false;
		let isDone = false;
		let written = 0;
		const { path, server } = await start(async (op, write) => {
			if (op !== 16) return echo(op, write);
			isBegun = true;
			try {
				for (; written < 200; written++) await write("x".repeat(65536));
			} finally {
				isDone = true;
			}
			return { status: 0 };
		});
		const client = new Client(path, { reads: false });
		client.socket.write(stock(16));
		for (let i = 0; i < 1000 && !isBegun; i++) await sleep(10);
		await sleep(50);
		assert.equal(isDone, false);
		client.socket.destroy();
		for (let i = 0; i < 1000 && !isDone; i++) await sleep(10);
		assert.equal(isDone, true);
		assert.ok(written < 40, `${written} pieces were made for nobody`);
		assert.equal(await ask(path, stock(21)), "asked 21\n");
		assert.equal(server.counters.unknownRequests, 0);
	});

	test("the socket is for its owner alone", async () => {
		const { path } = await start(echo);
		assert.equal(statSync(path).mode & 0o7777, 0o600);
		assert.equal(statSync(path).isSocket(), true);
	});

	test("closing removes the path and cuts off whoever still waits", async () => {
		const { path, server } = await start(async () => {
			await sleep(60_000, undefined, { ref: false });
			return { status: 0 };
		});
		const client = new Client(path);
		client.socket.write(stock(1));
		await sleep(20);
		server.close();
		assert.equal(await client.answer, "");
		await sleep(20);
		assert.equal(existsSync(path), false);
	});
});

test("the mode is right whatever the umask was, and the umask is as before", async () => {
	const before = process.umask(0);
	try {
		const { path } = await start(echo);
		assert.equal(statSync(path).mode & 0o7777, 0o600);
		assert.equal(process.umask(), 0);
	} finally {
		process.umask(before);
	}
});

test("a path that is taken by a file, a folder or a link is left alone", async () => {
	const file = newPath();
	writeFileSync(file, "precious");
	chmodSync(file, 0o644);
	const link = newPath();
	const live = await start(echo);
	symlinkSync(live.path, link);
	for (const path of [file, folder, link]) {
		await assert.rejects(
			start(echo, path),
			(error: Error) => error.message.includes(path) && /no socket/.test(error.message),
		);
	}
	assert.equal(statSync(file).size, 8);
	assert.equal(statSync(file).mode & 0o777, 0o644);
});

test("a path on which a daemon answers is left to it", async () => {
	const { path } = await start(echo);
	await assert.rejects(start(echo, path), {
		message: `somebody answers on \`${path}', perhaps ctsync or conntrackd already running?`,
	});
	assert.equal(await ask(path, stock(21)), "asked 21\n");
});

test("a socket that nobody listens on any more is replaced", async () => {
	const path = newPath();
	// a bound socket whose process has died leaves its name behind
	const dead = createServer();
	await new Promise<void>((resolve) => dead.listen(path, resolve));
	const kept = `${path}.kept`;
	renameSync(path, kept);
	await new Promise((resolve) => dead.close(resolve));
	renameSync(kept, path);
	assert.equal(statSync(path).isSocket(), true);
	await start(echo, path);
	assert.equal(await ask(path, stock(21)), "asked 21\n");
});

test("a path in a folder that does not exist is an error that names it", async () => {
	const path = join(folder, "nowhere", "x.ctl");
	await assert.rejects(start(echo, path), (error: Error) => error.message.includes(path));
});

function once(socket: Socket, event: string): Promise<void> {
	return new Promise((resolve) => socket.once(event, () => resolve()));
}
