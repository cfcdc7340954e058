import assert from "node:assert/strict";
import { importer } from "../importer.mjs";

/** Requests at the control socket, and answers at the client. */
export async function createControl(dist) {
	const load = importer(dist);
	const [{ parseReply, parseRequest, REQUEST_MAX }, { ReplySplitter }] = await Promise.all([
		load("control/request.js"),
		load("control/client.js"),
	]);
	return () => ({
		run(bytes, random) {
			const request = parseRequest(bytes);
			if (request.kind === "opcode" || request.kind === "json") {
				assert.ok(Number.isInteger(request.op) && request.op >= 0 && request.op <= 255);
			} else if (request.kind === "bad") assert.ok(request.reason.length > 0);
			else assert.ok(request.kind === "incomplete" && bytes.length < REQUEST_MAX);
			// in pieces: it is undecided until it is decided, and then for good
			const cut = random.below(bytes.length + 1);
			const early = parseRequest(bytes.subarray(0, cut));
			if (early.kind !== "incomplete") assert.equal(early.kind, request.kind);
			if (early.kind === "json" || early.kind === "opcode") assert.deepEqual(early, request);
			const splitter = new ReplySplitter();
			splitter.push(bytes.subarray(0, cut));
			splitter.push(bytes.subarray(cut));
			const reply = splitter.end();
			const at = bytes.indexOf(0);
			const whole = at < 0 ? undefined : parseReply(Buffer.from(bytes.subarray(at + 1)).toString());
			if (bytes.length < 60_000) assert.deepEqual(reply, whole);
			return request.kind === "opcode" || request.kind === "json";
		},
		finish() {},
	});
}

const CONTROL_PIECES = [
	...'{ } [ ] : , " op json true false null 0 18 255 256 -1 1e9 0.5 \\u0000 \n \n status error __proto__'.split(
		" ",
	),
	'{"op":18,"json":true}\n',
	'{"op":64,"json":true,"argument":"10.0.0.2"}\n',
	'"argument"',
	'\0{"status":0}',
];

function words(random, pieces, most) {
	let text = "";
	for (let i = random.below(most); i > 0; i--) text += random.pick(pieces);
	return Uint8Array.from(Buffer.from(text));
}

export const controlInput = (random) =>
	random.chance(0.3)
		? new Uint8Array(Int32Array.of(random.chance(0.8) ? random.below(300) : random.below(2 ** 32)).buffer)
		: words(random, CONTROL_PIECES, random.chance(0.99) ? 20 : 2000);
