import assert from "node:assert/strict";
import { test } from "node:test";
import { MULTICAST, parse, warningsOf } from "./parse-kit.ts";

test("Security may stand in Sync or in General, and is the same in both", () => {
	const words = "Security { KeyFile /k Node 4294967295 Cluster fw.Office_2-b Suite CHACHA20-Poly1305 }";
	const expected = { keyFile: "/k", node: 4294967295, cluster: "fw.Office_2-b", suite: "chacha20-poly1305" };
	for (const text of [
		`Sync { Mode FTFW { } ${MULTICAST} ${words} }`,
		`General { ${words} }`,
		`General { ${words.replaceAll(/(Node|Cluster|Suite|\})/g, "\n$1")} }`,
	]) {
		assert.deepEqual(parse(text).security, expected);
		assert.deepEqual(warningsOf(text), []);
	}
});

test("Security has defaults for all but the key file, and is absent without the section", () => {
	const { security } = parse("General { Security { KeyFile /k } }");
	assert.deepEqual(security, { keyFile: "/k", cluster: "ctsync", suite: "aes-256-gcm" });
	assert.ok(Object.isFrozen(security));
	assert.ok(!("security" in parse("General { }")));
});

test("a cluster's name may have 63 characters and a node the number 1", () => {
	const name = "x".repeat(63);
	const { security } = parse(`General { Security { KeyFile /k Node 1 Cluster ${name} Suite AES-256-GCM } }`);
	assert.deepEqual(security, { keyFile: "/k", node: 1, cluster: name, suite: "aes-256-gcm" });
});

test("a word of Security that is given twice counts the last time, with a warning", () => {
	const text = "General { Security { KeyFile /a\nKeyFile /b } }";
	assert.equal(parse(text).security!.keyFile, "/b");
	assert.deepEqual(warningsOf(text), ["f:2:1: KeyFile counts in place of the one in line 1"]);
});
