// The key commands as operators call them: a ring is made, gets a second key, which becomes the primary one, and loses
// the first.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../bin/ctsync", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "ctsync-keys-command-"));
const conf = join(folder, "a.conf");
const ring = join(folder, "keys");
writeFileSync(conf, `General {\n\tSecurity {\n\t\tKeyFile ${ring}\n\t}\n}\n`);
after(() => rmSync(folder, { recursive: true, force: true }));

function ctsync(...argv: string[]): { status: number | null; stdout: string; stderr: string[] } {
	const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...argv], { encoding: "utf8" });
	const lines = stderr.split("\n").slice(0, -1);
	return { status, stdout, stderr: lines.map((line) => line.replace(/^\[.*?\] \(pid=\d+\) /, "")) };
}

const list = (): string[] => ctsync("keys", "-C", conf).stdout.split("\n").slice(0, -1);

test("keygen prints a line that keys can read", () => {
	const made = ctsync("keygen");
	assert.match(made.stdout, /^1 \S{44} primary\n$/);
	assert.deepEqual([made.status, made.stderr], [0, []]);
	const path = join(folder, "printed");
	writeFileSync(path, made.stdout, { mode: 0o600 });
	assert.match(ctsync("keys", path).stdout, /^1 [0-9a-f]{8} primary\n$/);
});

test("a key is changed without a moment in which the ring is none", () => {
	const created = ctsync("keygen", "--out", ring);
	assert.deepEqual([created.status, created.stdout, created.stderr.length], [0, "", 1]);
	assert.match(created.stderr[0]!, /^\[notice\] created `.*' with key 1 \(fingerprint [0-9a-f]{8}\)/);
	assert.equal(statSync(ring).mode & 0o777, 0o600);
	const [first] = list();
	assert.match(first!, /^1 [0-9a-f]{8} primary$/);

	assert.equal(ctsync("keygen", "--out", ring).status, 0);
	const [one, two] = list();
	assert.equal(one, first);
	assert.match(two!, /^2 [0-9a-f]{8}$/);

	const used = ctsync("-C", conf, "keys", "use", "2");
	assert.deepEqual([used.status, used.stdout], [0, ""]);
	assert.equal(
		used.stderr.at(-1),
		"[notice] tell the daemon of this node: kill -HUP its pid, which stands in the LockFile",
	);
	assert.deepEqual(list(), [one!.replace(" primary", ""), `${two} primary`]);

	const refused = ctsync("keys", "remove", "2", "-C", conf);
	assert.equal(refused.status, 1);
	assert.deepEqual(refused.stderr, [
		`[ERROR] ${ring}: key 2 is the primary one: make another one primary before`,
	]);
	assert.equal(ctsync("keys", "remove", "1", "-C", conf).status, 0);
	assert.deepEqual(list(), [`${two} primary`]);
});

test("each failure is one line and status 1", () => {
	const open = join(folder, "open");
	writeFileSync(open, "");
	chmodSync(open, 0o644);
	const bare = join(folder, "bare.conf");
	writeFileSync(bare, "");
	const cases: readonly (readonly [argv: string[], message: RegExp])[] = [
		[["keys", join(folder, "none")], /^\[ERROR\] cannot open key file `.*none': ENOENT \(make one with/],
		[["keys", "-C", bare], /^\[ERROR\] .*bare\.conf: no key file is configured/],
		[["keys", "-C", join(folder, "none.conf")], /^\[ERROR\] cannot open config file/],
		[["keygen", "--out", open], /^\[ERROR\] key file `.*open' is not its owner's alone \(mode 0644\)/],
		[["keygen", "0"], /^\[ERROR\] a key's number must be from 1 to 255$/],
		[["keys", "use", "9", "-C", conf], /^\[ERROR\] .*: there is no key 9$/],
	];
	for (const [argv, message] of cases) {
		const { status, stdout, stderr } = ctsync(...argv);
		assert.deepEqual([status, stdout, stderr.length], [1, "", 1], argv.join(" "));
		assert.match(stderr[0]!, message);
	}
	assert.equal(readFileSync(open, "utf8"), "");
});

test("a key that goes nowhere is a failure", () => {
	const { status, stderr } = spawnSync(
		"sh",
		["-c", '"$0" "$1" keygen >/dev/full', process.execPath, program],
		{
			encoding: "utf8",
		},
	);
	assert.match(stderr, /\[ERROR\] can't write: ENOSPC/);
	assert.equal(status, 1);
});

test("wrong words are named, and the usage has the key commands", () => {
	const { status, stdout, stderr } = ctsync("keys", "use");
	assert.deepEqual(
		[status, stdout, stderr],
		[1, "", ["[ERROR] Invalid parameters", "ctsync --help shows how it is used"]],
	);
	assert.match(ctsync("--help").stdout, /^ {2}keys use ID/m);
});
