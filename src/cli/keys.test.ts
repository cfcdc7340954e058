import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { parseConfig } from "../config/config.ts";
import { parseKeyFile, readKeyFile } from "../security/key-ring.ts";
import type { KeyCommand } from "./key-words.ts";
import { type KeyEnvironment, runKeyCommand } from "./keys.ts";

const key = (fill: number): string => Buffer.alloc(32, fill).toString("base64");
const RING = `# ring\n1 ${key(1)} primary # one\n2 ${key(2)}\n`;
const printOf = (id: number): string => parseKeyFile(RING, "f").keys.get(id)!.fingerprint;

const folder = mkdtempSync(join(tmpdir(), "ctsync-cli-keys-"));
const path = join(folder, "keys");
after(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
	rmSync(path, { force: true });
	writeFileSync(path, RING, { mode: 0o600 });
});

interface Outcome {
	status: number;
	out: string;
	said: string[];
}

/** Runs a command with the configuration that a text is; undefined is one that cannot be read. */
async function run(
	command: KeyCommand,
	text: string | undefined = `General { Security { KeyFile ${path} } }`,
	replaced: Partial<KeyEnvironment> = {},
): Promise<Outcome> {
	const outcome: Outcome = { status: -1, out: "", said: [] };
	outcome.status = await runKeyCommand(command, {
		say: async (level, line) => void outcome.said.push(`${level}: ${line}`),
		print: async (line) => {
			outcome.out += line;
		},
		objection: async () => undefined,
		config: async () => (text === undefined ? undefined : parseConfig(text, "a.conf")),
		...replaced,
	});
	return outcome;
}

const HINT = "notice: tell the daemon of this node: kill -HUP its pid, which stands in the LockFile";
const failure = (message: string): Outcome => ({ status: 1, out: "", said: [`ERROR: ${message}`] });

test("keygen prints one line that is a ring, with the number 1 or another", async () => {
	const { status, out, said } = await run({ action: "generate" });
	assert.match(out, /^1 [A-Za-z0-9+/]{43}= primary\n$/);
	assert.deepEqual([status, said], [0, []]);
	assert.match((await run({ action: "generate", id: "255" })).out, /^255 \S{44} primary\n$/);
	assert.notEqual((await run({ action: "generate" })).out, out);
});

test("a number that is none is refused without repeating it", async () => {
	const expected = failure("a key's number must be from 1 to 255");
	for (const id of ["0", "256", "x", key(7)]) {
		assert.deepEqual(await run({ action: "generate", id }), expected);
		assert.deepEqual(await run({ action: "generate", id, out: path }), expected);
		assert.deepEqual(await run({ action: "use", id }), expected);
		assert.deepEqual(await run({ action: "remove", id }), expected);
	}
	assert.equal(readFileSync(path, "utf8"), RING);
});

test("keygen --out creates a file and tells the fingerprint alone", async () => {
	rmSync(path);
	const { status, out, said } = await run({ action: "generate", out: path });
	const { fingerprint } = readKeyFile(path).primary;
	assert.equal(out, "");
	assert.deepEqual(said, [
		`notice: created \`${path}' with key 1 (fingerprint ${fingerprint}), which is primary`,
	]);
	assert.equal(statSync(path).mode & 0o777, 0o600);
	assert.equal(status, 0);
});

test("keygen --out adds to a file that is there", async () => {
	const { status, out, said } = await run({ action: "generate", out: path });
	const { keys, primary } = readKeyFile(path);
	assert.deepEqual([...keys.keys()], [1, 2, 3]);
	assert.equal(primary.id, 1);
	assert.deepEqual(said, [`notice: added key 3 (fingerprint ${keys.get(3)!.fingerprint}) to \`${path}'`]);
	assert.deepEqual([status, out], [0, ""]);
	await run({ action: "generate", out: path, id: "200" });
	assert.ok(readKeyFile(path).keys.has(200));
	assert.deepEqual(
		await run({ action: "generate", out: path, id: "2" }),
		failure(`${path}: key 2 is there already`),
	);
});

test("keygen --out makes the first key of an empty file primary, and says so", async () => {
	writeFileSync(path, "");
	const { said } = await run({ action: "generate", out: path });
	assert.match(said[0]!, /^notice: added key 1 \(fingerprint [0-9a-f]{8}\) to `.*', where it is primary$/);
});

test("keygen --out adds nothing to a file that others can read", async () => {
	chmodSync(path, 0o640);
	assert.deepEqual(
		await run({ action: "generate", out: path }),
		failure(`key file \`${path}' is not its owner's alone (mode 0640): chmod 600 it`),
	);
	assert.equal(readFileSync(path, "utf8"), RING);
});

test("keys lists numbers, fingerprints and the primary one", async () => {
	const out = `1 ${printOf(1)} primary\n2 ${printOf(2)}\n`;
	assert.deepEqual(await run({ action: "list" }), { status: 0, out, said: [] });
	const other = join(folder, "other");
	writeFileSync(other, `7 ${key(2)}`, { mode: 0o600 });
	assert.equal((await run({ action: "list", file: other })).out, `7 ${printOf(2)} primary\n`);
});

test("keys reads the file that it is given without a configuration", async () => {
	const config = async () => assert.fail("not asked for");
	assert.equal((await run({ action: "list", file: path }, "", { config })).status, 0);
});

test("what is wrong with the key file is said, with status 1", async () => {
	writeFileSync(path, `1 ${key(1)}\n2 ${key(2)} both\n`);
	const message = `${path}:2: after key 2 there may only be the word "primary"`;
	for (const command of [
		{ action: "list" },
		{ action: "list", file: path },
		{ action: "use", id: "1" },
		{ action: "remove", id: "1" },
		{ action: "generate", out: path },
	] as const) {
		assert.deepEqual(await run(command), failure(message), command.action);
	}
	rmSync(path);
	assert.deepEqual(
		await run({ action: "list" }),
		failure(`cannot open key file \`${path}': ENOENT (make one with "ctsync keygen --out FILE")`),
	);
});

test("keys use makes a key primary and says what is left to do", async () => {
	assert.deepEqual(await run({ action: "use", id: "2" }), {
		status: 0,
		out: "",
		said: [`notice: key 2 (fingerprint ${printOf(2)}) of \`${path}' is primary now`, HINT],
	});
	assert.equal(readFileSync(path, "utf8"), `# ring\n1 ${key(1)} # one\n2 ${key(2)} primary\n`);
	const again = await run({ action: "use", id: "2" });
	assert.equal(again.status, 0);
	assert.match(again.said[0]!, /is primary already$/);
});

test("keys remove removes a key, but not the primary one", async () => {
	assert.deepEqual(
		await run({ action: "remove", id: "1" }),
		failure(`${path}: key 1 is the primary one: make another one primary before`),
	);
	assert.deepEqual(await run({ action: "remove", id: "2" }), {
		status: 0,
		out: "",
		said: [`notice: removed key 2 (fingerprint ${printOf(2)}) from \`${path}'`, HINT],
	});
	assert.equal(readFileSync(path, "utf8"), `# ring\n1 ${key(1)} primary # one\n`);
});

test("without a key file in the configuration there is nothing to list or change", async () => {
	const expected = failure("a.conf: no key file is configured (Security { KeyFile PATH })");
	for (const command of [{ action: "list" }, { action: "use", id: "1" }] as const) {
		assert.deepEqual(await run(command, ""), expected);
	}
});

test("a configuration that cannot be read ends the command", async () => {
	for (const command of [{ action: "list" }, { action: "remove", id: "2" }] as const) {
		const config = async () => undefined;
		assert.deepEqual(await run(command, "", { config }), { status: 1, out: "", said: [] });
	}
});

test("a key that could not be printed is an error", async () => {
	const print = async () => {
		throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
	};
	assert.deepEqual(
		await run({ action: "generate" }, "", { print }),
		failure("can't write: ENOSPC: no space left on device, write"),
	);
});

test("no command tells a key anywhere but in the file", async () => {
	const told: string[] = [];
	for (const command of [
		{ action: "generate", out: path },
		{ action: "list" },
		{ action: "use", id: "3" },
		{ action: "remove", id: "3" },
		{ action: "remove", id: "1" },
		{ action: "list", file: path },
	] as const) {
		const { out, said } = await run(command);
		told.push(out, ...said);
	}
	const secrets = [
		key(1),
		key(2),
		...[...readKeyFile(path).keys.values()].map((k) => k.key.export().toString("base64")),
	];
	const text = told.join("\n");
	assert.ok(text.includes("fingerprint"));
	for (const secret of secrets) {
		assert.ok(!text.includes(secret));
		assert.ok(!text.includes(Buffer.from(secret, "base64").toString("hex")));
	}
	assert.ok(!existsSync(`${path}.new`));
});

test("a change that would cut off another node is refused, and done with --force", async () => {
	const asked: string[] = [];
	const objection = async (_socket: string, change: string, fingerprint: string): Promise<string> => {
		asked.push(`${change} ${fingerprint}`);
		return "10.0.0.2 would not understand it";
	};
	const before = readFileSync(path, "utf8");
	const { keys } = readKeyFile(path);
	const [first, second] = [...keys.values()];
	const refused = await run({ action: "use", id: String(second!.id) }, undefined, { objection });
	assert.equal(refused.status, 1);
	assert.match(refused.said[0]!, /^ERROR: key \d+ \(fingerprint .*\): 10\.0\.0\.2 would not .*--force/);
	assert.deepEqual(asked, [`use ${second!.fingerprint}`]);
	assert.equal(readFileSync(path, "utf8"), before);
	const forced = await run({ action: "use", id: String(second!.id), isForced: true }, undefined, {
		objection,
	});
	assert.equal(forced.status, 0);
	const removed = await run({ action: "remove", id: String(first!.id) }, undefined, { objection });
	assert.equal(removed.status, 1);
});
