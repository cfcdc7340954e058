import assert from "node:assert/strict";
import { test } from "node:test";
import { silentNodes } from "./dedicated-link.ts";

const never = (address?: string) => ({ ...(address && { address }), hasSpoken: false, isHeard: false });
const heard = (address?: string) => ({ ...(address && { address }), hasSpoken: true, isHeard: true });
const nobody: ReadonlySet<string> = new Set();

test("who was heard on one of the links is not silent, this node itself is never", () => {
	const links = [
		{ device: "eth3", attendance: [never("10.0.0.1"), never("10.0.0.2"), heard("10.0.0.3")] },
		{ device: "eth4", attendance: [never("10.0.0.1"), never("10.0.0.2"), never("10.0.0.3")] },
	];
	assert.deepEqual(silentNodes(links, new Set(["10.0.0.1"])), [
		{ address: "10.0.0.2", devices: ["eth3", "eth4"], hasSpoken: false },
	]);
});

test("links that take whoever comes are silent each for itself", () => {
	const links = [
		{ device: "eth3", attendance: [heard()] },
		{ device: "eth4", attendance: [{ hasSpoken: true, isHeard: false }] },
		{ device: "eth5", attendance: [never()] },
	];
	assert.deepEqual(silentNodes(links, nobody), [
		{ devices: ["eth4"], hasSpoken: true },
		{ devices: ["eth5"], hasSpoken: false },
	]);
});
