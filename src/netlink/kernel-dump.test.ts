// How a dump is read: what is queued while, and when nothing is there. What is in it kernel.test.ts shows.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NameTable } from "../conntrack/names.ts";
import { HandClock } from "../system/hand-clock.ts";
import { EAGAIN, type Native } from "../system/native.ts";
import { hexBytes } from "./attribute-tree.ts";
import { NEW_WITH_HELPER } from "./captured.ts";
import { KernelDump } from "./kernel-dump.ts";

/** A message of the first dump of a socket. */
function message(type: number, body: Uint8Array): Uint8Array {
	const bytes = new Uint8Array(16 + body.length);
	const view = new DataView(bytes.buffer);
	view.setUint32(0, bytes.length, true);
	view.setUint16(4, type, true);
	view.setUint32(8, 1, true);
	bytes.set(body, 16);
	return bytes;
}

const ENTRY = message(0x100, hexBytes(NEW_WITH_HELPER));
const DONE = message(3, new Uint8Array(4));

/** Answers calls in turn, each when the one before it is over: with a datagram, or with -EAGAIN. */
class SlowSocket {
	/** Calls that have not been answered. */
	outstanding = 0;
	resumed = 0;
	ready: () => void = () => {};
	readonly #answers: (Uint8Array | number)[];
	#last: Promise<unknown> = Promise.resolve();

	constructor(answers: readonly (Uint8Array | number)[]) {
		this.#answers = [...answers];
	}

	native(): Native {
		const ignore = (): void => {};
		return {
			openSocket: () => 3,
			bindSocket: ignore,
			netlinkPort: () => 1,
			setOption: ignore,
			getOption: () => 0,
			closeSocket: ignore,
			sendLater: async () => 0,
			receiveLater: (_fd: number, buffer: Uint8Array, _stride: number, lengths: Int32Array) => {
				this.outstanding++;
				const call = this.#last.then(() => this.#answer(buffer, lengths));
				this.#last = call;
				return call;
			},
			poll: (_fd: number, callback: () => void) => {
				this.ready = callback;
				return {};
			},
			pollPause: ignore,
			pollResume: () => {
				this.resumed++;
				setImmediate(this.ready);
			},
			pollClose: ignore,
		} as unknown as Native;
	}

	async #answer(buffer: Uint8Array, lengths: Int32Array): Promise<number> {
		await new Promise(setImmediate);
		this.outstanding--;
		const answer = this.#answers.shift() ?? -EAGAIN;
		if (typeof answer === "number") return answer;
		buffer.set(answer);
		lengths[0] = answer.length;
		return 1;
	}
}

async function read(socket: SlowSocket): Promise<number[]> {
	const dump = new KernelDump(socket.native(), new HandClock(), new NameTable());
	const outstanding: number[] = [];
	await dump.conntracks(() => outstanding.push(socket.outstanding));
	assert.equal(socket.outstanding, 0, "the buffers are nobody's when the dump is over");
	assert.equal(dump.counters.malformed, 0);
	return outstanding;
}

test("while a buffer is decoded one call is under way and one is queued behind it", async () => {
	const socket = new SlowSocket([ENTRY, ENTRY, ENTRY, ENTRY, ENTRY, DONE]);
	assert.deepEqual(await read(socket), [2, 2, 2, 2, 2]);
	assert.equal(socket.resumed, 0);
});

test("after a call that has found nothing what was queued behind it counts, and then the socket is waited for", async () => {
	const socket = new SlowSocket([ENTRY, -EAGAIN, ENTRY, -EAGAIN, -EAGAIN, -EAGAIN, ENTRY, DONE]);
	assert.equal((await read(socket)).length, 3);
	assert.ok(socket.resumed >= 1);
});

test("an empty table is one answer", async () => {
	assert.deepEqual(await read(new SlowSocket([DONE])), []);
});
