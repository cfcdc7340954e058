import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
	encodeReply,
	encodeRequest,
	isOpcode,
	Opcode,
	parseReply,
	parseRequest,
	REQUEST_MAX,
	type Reply,
} from "./request.ts";

const native = (...numbers: number[]): Uint8Array => new Uint8Array(Int32Array.from(numbers).buffer);
const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

test("each opcode has its own number and is known", () => {
	const numbers = Object.values(Opcode);
	assert.equal(new Set(numbers).size, numbers.length);
	for (const number of numbers) assert.ok(isOpcode(number));
	for (const number of [-1, 2, 15, 27, 49, 1.5]) assert.ok(!isOpcode(number), String(number));
});

test("four bytes are an opcode in the host's byte order, in a view of any alignment", () => {
	fc.assert(
		fc.property(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 7 }), (op, offset) => {
			const bytes = Buffer.alloc(64, 0xff).subarray(offset, offset + 4);
			bytes.set(native(op));
			assert.deepEqual(parseRequest(bytes), { kind: "opcode", op });
		}),
	);
});

test("fewer than four bytes are incomplete", () => {
	for (let length = 0; length < 4; length++) {
		assert.deepEqual(parseRequest(native(Opcode.stats).subarray(0, length)), { kind: "incomplete" });
	}
	assert.deepEqual(
		parseRequest(native(Opcode.stats, 7)),
		{ kind: "opcode", op: Opcode.stats },
		"more are ignored",
	);
});

test("the opcode that begins like a JSON request is told from one by its zero bytes", () => {
	assert.deepEqual(parseRequest(native(0x7b)), { kind: "opcode", op: 0x7b });
});

test("a number that is no opcode is refused", () => {
	for (const number of [256, 0x7b7b7b, -1, 2 ** 31 - 1, 0x20202020]) {
		assert.deepEqual(parseRequest(native(number)), { kind: "bad", reason: `unknown request ${number}` });
	}
});

test("the line of our own client is a JSON request, wherever it is cut", () => {
	const line = encodeRequest(Opcode.commitCt);
	assert.equal(line, '{"op":18,"json":true}\n');
	for (let length = 1; length < line.length; length++) {
		assert.deepEqual(parseRequest(ascii(line.slice(0, length))), { kind: "incomplete" });
	}
	assert.deepEqual(parseRequest(ascii(line)), { kind: "json", op: Opcode.commitCt });
	assert.deepEqual(parseRequest(ascii(`${line}more`)), { kind: "json", op: Opcode.commitCt });
});

test("members of later versions are ignored, missing ones are not", () => {
	const parse = (line: string) => parseRequest(ascii(`${line}\n`));
	assert.deepEqual(parse('{"op":1,"json":true,"later":[{}]}'), { kind: "json", op: 1 });
	const json = { kind: "json", op: 1, form: "json" };
	assert.deepEqual(parse('{"op":1,"json":true,"form":"json"}'), json);
	const noForm = { kind: "bad", reason: 'the "form" of a request is "json", or absent' };
	for (const form of ['"xml"', "1", "null"]) {
		assert.deepEqual(parse(`{"op":1,"json":true,"form":${form}}`), noForm, form);
	}
	assert.deepEqual(parse('{"op":1}'), { kind: "bad", reason: 'request lacks "json": true' });
	const noOp = { kind: "bad", reason: 'request lacks "op", a number from 0 to 255' };
	for (const op of ["-1", "256", "1.5", '"1"', "null", "[1]"]) {
		assert.deepEqual(parse(`{"op":${op},"json":true}`), noOp, op);
	}
	assert.deepEqual(parse('{"json":true}'), noOp);
	const noJson = { kind: "bad", reason: "request is not a JSON object" };
	for (const line of ["{op}", "{", '{"op":1,"json":true}x', "{\u0001\u0001\u0001"])
		assert.deepEqual(parse(line), noJson, line);
});

test("a line that does not end is refused at its limit", () => {
	const fill = (length: number) => ascii(`{${" ".repeat(length - 1)}`);
	assert.deepEqual(parseRequest(fill(REQUEST_MAX - 1)), { kind: "incomplete" });
	const tooLong = { kind: "bad", reason: "request longer than 4096 bytes" };
	assert.deepEqual(parseRequest(fill(REQUEST_MAX)), tooLong);
	const padded = (length: number) => ascii(`{"op":1,"json":true}`.padEnd(length - 1).concat("\n"));
	assert.deepEqual(parseRequest(padded(REQUEST_MAX)), { kind: "json", op: 1 });
	assert.deepEqual(parseRequest(padded(REQUEST_MAX + 1)), tooLong);
});

test("no bytes make the parser throw", () => {
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 64 }), fc.boolean(), (bytes, isText) => {
			const input = isText ? Uint8Array.from([0x7b, ...bytes, 0x0a]) : bytes;
			assert.ok(["opcode", "json", "incomplete", "bad"].includes(parseRequest(input).kind));
		}),
	);
});

test("the end of an answer survives encoding", () => {
	const replies: Reply[] = [{ status: 0 }, { status: 1 }, { status: 1, error: 'can\'t "commit"\n\u0000' }];
	for (const reply of replies) {
		const text = encodeReply(reply);
		assert.equal(text.indexOf("\0"), 0, "the separator, and no other");
		assert.equal(text.lastIndexOf("\0"), 0);
		assert.deepEqual(parseReply(text.slice(1)), reply);
	}
	assert.deepEqual(parseReply('{"status":0,"error":5,"later":1}'), { status: 0 });
});

test("what is no end of an answer is not taken for one", () => {
	for (const text of ["", "{", "0", "null", "[]", "{}", '{"status":2}', '{"status":"0"}']) {
		assert.equal(parseReply(text), undefined, text);
	}
});
