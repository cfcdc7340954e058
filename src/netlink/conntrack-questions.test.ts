// What the answers to questions mean, from a kernel that is played here.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NameTable } from "../conntrack/names.ts";
import { newConntrackRecord } from "../conntrack/record.ts";
import { EAGAIN, ENOBUFS, type Native } from "../system/native.ts";
import { ConntrackQuestions } from "./conntrack-questions.ts";

const ENOENT = 2;
const ENOMEM = 12;

/** struct nlmsghdr and struct nlmsgerr (linux/netlink.h). */
function errorAnswer(sequence: number, errno: number): Uint8Array {
	const bytes = new Uint8Array(36);
	const view = new DataView(bytes.buffer);
	view.setUint32(0, bytes.length, true);
	view.setUint16(4, 2, true);
	view.setUint32(8, sequence, true);
	view.setInt32(16, -errno, true);
	return bytes;
}

function questions(answers: (Uint8Array | number)[]): ConntrackQuestions {
	const ignore = (): void => {};
	const native = {
		openSocket: () => 3,
		bindSocket: ignore,
		netlinkPort: () => 1,
		setOption: ignore,
		getOption: () => 0,
		closeSocket: ignore,
		send: (_fd: number, _bytes: Uint8Array, _offset: number, length: number) => length,
		receive: (_fd: number, buffer: Uint8Array, _stride: number, lengths: Int32Array) => {
			const answer = answers.shift() ?? -EAGAIN;
			if (typeof answer === "number") return answer;
			buffer.set(answer);
			lengths[0] = answer.length;
			return 1;
		},
	} as unknown as Native;
	return new ConntrackQuestions({ native, names: new NameTable() });
}

function missingOf(...answers: (Uint8Array | number)[]): { missing: number[]; lost: number[] } {
	const all = questions(answers);
	const missing: number[] = [];
	const lost: number[] = [];
	all.begin();
	all.add(newConntrackRecord(), 7);
	all.send();
	all.answers(
		() => assert.fail("nothing was found"),
		(number) => missing.push(number),
		(errno) => lost.push(errno),
	);
	return { missing, lost };
}

test("what the kernel does not have is missing", () => {
	assert.deepEqual(missingOf(errorAnswer(7, ENOENT)), { missing: [7], lost: [] });
});

test("an answer that failed says nothing of whether it is there", () => {
	assert.deepEqual(missingOf(errorAnswer(7, ENOMEM)), { missing: [], lost: [] });
});

test("answers that are lost are told", () => {
	assert.deepEqual(missingOf(-ENOBUFS), { missing: [], lost: [ENOBUFS] });
});
