import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { checkConfig } from "./check.ts";

const folder = mkdtempSync(join(tmpdir(), "ctsync-check-"));
after(() => rmSync(folder, { recursive: true }));

const path = join(folder, "ctsync.conf");
const keys = join(folder, "keys");
const link = (device: string, group = 3780, address = "127.0.0.1"): string =>
	`Multicast { IPv4_address 225.0.0.50 Group ${group} IPv4_interface ${address} Interface ${device} }`;

function check(security: string, ...links: string[]) {
	writeFileSync(path, `Sync {\nMode FTFW { }\n${links.join("\n")}\n${security}\n}\n`);
	const { status, problems, output, json } = checkConfig(path, false);
	return { status, output, problems: problems.split("\n").slice(0, -1), told: JSON.parse(json).problems };
}

const sealed = `Security { KeyFile ${keys} }`;
const writeKeys = (text: string): void => {
	writeFileSync(keys, text, { mode: 0o600 });
	chmodSync(keys, 0o600);
};
const KEY = `1 ${Buffer.alloc(32, 90).toString("base64")}\n`;

test("an interface that does not exist is a warning", () => {
	writeKeys(KEY);
	const { status, output, problems, told } = check(sealed, link("lo"), link("no-such-if", 3781));
	assert.deepEqual([status, output], [0, `${path}: valid, 1 warning\n`]);
	const message =
		"the dedicated link of line 4 cannot be opened here: interface no-such-if: ioctl: No such device";
	assert.deepEqual(problems, [`${path}: warning: ${message}`]);
	assert.deepEqual(told, [{ severity: "warning", file: path, message }]);
});

test("an address that is not this host's is a warning, with every transport", () => {
	writeKeys(KEY);
	for (const type of ["UDP", "TCP", "Multicast"]) {
		const unicast = `${type} { IPv4_address 192.0.2.1 IPv4_Destination_Address 192.0.2.2 Port 3781 Interface lo }`;
		const { status, told } = check(sealed, type === "Multicast" ? link("lo", 3780, "192.0.2.1") : unicast);
		assert.equal(status, 0);
		assert.equal(
			told[0].message,
			"the dedicated link of line 3 cannot be opened here: interface lo: 192.0.2.1: bind: Cannot assign requested address",
		);
	}
});

test("a key file with which the daemon would not start is an error", () => {
	rmSync(keys, { force: true });
	const message = `cannot open key file \`${keys}': ENOENT (make one with "ctsync keygen --out FILE")`;
	const missing = check(sealed, link("lo"));
	assert.deepEqual([missing.status, missing.output], [1, ""]);
	assert.deepEqual(missing.problems, [`${path}: error: ${message}`, `${path}: 1 error`]);
	assert.deepEqual(missing.told, [{ severity: "error", file: path, message }]);
	writeKeys("1 short\n");
	assert.match(check(sealed, link("lo")).problems[0]!, /: error: .*keys:1: /);
	writeKeys(KEY);
	chmodSync(keys, 0o644);
	assert.match(check(sealed, link("lo")).problems[0]!, /: error: .*mode 0644.*: chmod 600 it$/);
	writeKeys(KEY);
	assert.deepEqual(check(sealed, link("lo")).problems, []);
});
