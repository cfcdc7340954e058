import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { generateKeyLine, KeyFileError, parseKeyFile, parseKeyId, readKeyFile } from "./key-ring.ts";

/** A key of 32 equal bytes, in base64. */
const key = (fill: number): string => Buffer.alloc(32, fill).toString("base64");
const [A, B, C] = [key(0xaa), key(0xbb), key(0xcc)];

function messageOf(action: () => unknown): string {
	try {
		action();
	} catch (error) {
		assert.ok(error instanceof KeyFileError, String(error));
		return error.message;
	}
	return assert.fail("no error");
}

let folder: string;
before(() => {
	folder = mkdtempSync(join(tmpdir(), "ctsync-keys-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function keyFile(name: string, text = `1 ${A}\n`, mode = 0o600): string {
	const path = join(folder, name);
	writeFileSync(path, text);
	chmodSync(path, mode);
	return path;
}

test("a ring has every key with its id and bytes, and the one that is marked is primary", () => {
	const { keys, primary } = parseKeyFile(`1 ${A}\n7 ${B} primary\n255 ${C}\n`, "f");
	assert.deepEqual([...keys.keys()], [1, 7, 255]);
	assert.equal(keys.get(1)!.key.export().toString("base64"), A);
	assert.equal(keys.get(255)!.key.export().toString("base64"), C);
	assert.equal(primary, keys.get(7));
	assert.equal(primary.id, 7);
});

test("the only key is primary, with and without the mark", () => {
	assert.equal(parseKeyFile(`9 ${A}`, "f").primary.id, 9);
	assert.equal(parseKeyFile(`9 ${A} primary`, "f").primary.id, 9);
});

test("comments, empty lines, tabs and the line ends of other systems are fine", () => {
	const text = `\ufeff# ours\r\n\r\n\t 1\t${A}   # from fw1\r\n#2 ${B}\r\n2 ${C} primary# the new one`;
	const { keys, primary } = parseKeyFile(text, "f");
	assert.deepEqual([...keys.keys()], [1, 2]);
	assert.equal(primary.key.export().toString("base64"), C);
});

test("a generated line is a key of its own each time, and primary if asked for", () => {
	const lines = [generateKeyLine(1, true), generateKeyLine(2, false), generateKeyLine(3, false)];
	const { keys, primary } = parseKeyFile(lines.join(""), "f");
	assert.equal(primary.id, 1);
	assert.equal(new Set([...keys.values()].map(({ fingerprint }) => fingerprint)).size, 3);
	for (const line of lines) assert.match(line, /^\d \S{44}( primary)?\n$/);
});

test("a fingerprint is the same wherever the key stands, and another one for another key", () => {
	const printOf = (text: string): string => parseKeyFile(text, "f").primary.fingerprint;
	const digest = createHash("sha256").update("ctsync key").update(Buffer.alloc(32, 0xaa)).digest("hex");
	assert.equal(printOf(`1 ${A}`), digest.slice(0, 8));
	assert.equal(printOf(`200 ${A} primary\n1 ${B}`), printOf(`1 ${A}`));
	assert.notEqual(printOf(`1 ${B}`), printOf(`1 ${A}`));
});

const NOT_A_KEY = 'key 1 is not 32 bytes in base64 (make one with "ctsync keygen")';
const BAD_ID = "a key's number must be from 1 to 255";

const BROKEN: readonly (readonly [title: string, text: string, message: string])[] = [
	["an empty file", "", 'f: there is no key in it (make one with "ctsync keygen")'],
	["a file of comments", "# 1 x\n\n", 'f: there is no key in it (make one with "ctsync keygen")'],
	["the number 0", `0 ${A}`, `f:1: ${BAD_ID}`],
	["the number 256", `\n256 ${A}`, `f:2: ${BAD_ID}`],
	["a number with a sign", `+1 ${A}`, `f:1: ${BAD_ID}`],
	["a number in hexadecimal", `0x1 ${A}`, `f:1: ${BAD_ID}`],
	["a key before its number", `${A} 1`, `f:1: ${BAD_ID}`],
	["a number twice", `1 ${A}\n# and\n1 ${B}`, "f:3: key 1 is there twice"],
	["a number twice, once with zeroes", `1 ${A}\n001 ${B}`, "f:2: key 1 is there twice"],
	["a number alone", "1", `f:1: ${NOT_A_KEY}`],
	["a key of 31 bytes", `1 ${Buffer.alloc(31).toString("base64")}`, `f:1: ${NOT_A_KEY}`],
	["a key of 33 bytes", `1 ${Buffer.alloc(33).toString("base64")}`, `f:1: ${NOT_A_KEY}`],
	["a key without its last letter", `1 ${A.slice(0, -1)}`, `f:1: ${NOT_A_KEY}`],
	["a key in hexadecimal", `1 ${"ab".repeat(32)}`, `f:1: ${NOT_A_KEY}`],
	["a key in the alphabet of URLs", `1 ${"_".repeat(42)}8=`, `f:1: ${NOT_A_KEY}`],
	["a key with a wrong last letter", `1 ${"A".repeat(42)}B=`, `f:1: ${NOT_A_KEY}`],
	["a passphrase", "1 correct horse battery staple", `f:1: ${NOT_A_KEY}`],
	["a mark that is none", `1 ${A} Primary`, 'f:1: after key 1 there may only be the word "primary"'],
	["a word too much", `1 ${A} primary now`, 'f:1: after key 1 there may only be the word "primary"'],
	["two marks", `1 ${A} primary\n2 ${B} primary`, "f:2: key 1 is primary already"],
	["no mark on several keys", `1 ${A}\n2 ${B}\n3 ${C}`, 'f: mark one of the 3 keys "primary"'],
	["one key under two numbers", `1 ${A} primary\n2 ${B}\n3 ${A}`, "f:3: key 3 is key 1 once more"],
];

for (const [title, text, message] of BROKEN) {
	test(`${title} is an error that says where`, () => {
		assert.equal(
			messageOf(() => parseKeyFile(text, "f")),
			message,
		);
	});
}

test("a key's number is a decimal number from 1 to 255", () => {
	assert.equal(parseKeyId("1"), 1);
	assert.equal(parseKeyId("255"), 255);
	for (const text of ["0", "256", "", " 1", "1.0", "1e1", "0001", "-1"])
		assert.equal(parseKeyId(text), undefined);
});

/** A file with a mistake in it, made around keys that must not be told. */
const mistaken = fc
	.record({
		bytes: fc.uint8Array({ minLength: 32, maxLength: 32 }),
		other: fc.uint8Array({ minLength: 32, maxLength: 32 }),
		mistake: fc.constantFrom<(key: string, hex: string, other: string) => string>(
			(text) => `${text} 1`,
			(text) => `1 ${text}\n1 ${text}`,
			(text) => `1 ${text}\n2 ${text} primary`,
			(text, _, other) => `1 ${text}\n2 ${other}`,
			(text) => `1 ${text} ${text}`,
			(text) => `1 primary ${text}`,
			(text) => `1 ${text.slice(0, -1)}`,
			(text) => `1 ${text}${text}`,
			(text) => `1 ${text} primary\n2${text}`,
			(text) => `1${text}`,
			(_, hex) => `1 ${hex}`,
			(_, hex) => `${hex} 1`,
			(text, hex) => `1 ${text} ${hex}`,
		),
	})
	.map(({ bytes, other, mistake }) => {
		const [own, hex, another] = [
			Buffer.from(bytes).toString("base64"),
			Buffer.from(bytes).toString("hex"),
			Buffer.from(other).toString("base64"),
		];
		return { text: mistake(own, hex, another), secrets: [own, hex, another] };
	});

test("no message has any part of a key in it", () => {
	fc.assert(
		fc.property(mistaken, ({ text, secrets }) => {
			const message = messageOf(() => parseKeyFile(text, "/etc/ctsync/keys"));
			for (const secret of secrets) {
				for (let i = 0; i + 8 <= secret.length; i++) {
					assert.ok(!message.includes(secret.slice(i, i + 8)), message);
				}
			}
		}),
		{ numRuns: 500 },
	);
});

test("any text is a ring, or an error with the file's name", () => {
	const word = fc.oneof(
		fc.constantFrom("1", "2", "300", "primary", "#", "\n", " ", A, B, "="),
		fc.string({ maxLength: 5 }),
	);
	fc.assert(
		fc.property(fc.array(word, { maxLength: 20 }), (words) => {
			try {
				const { keys, primary } = parseKeyFile(words.join(" "), "f");
				assert.equal(keys.get(primary.id), primary);
			} catch (error) {
				assert.ok(error instanceof KeyFileError, String((error as Error).stack));
				assert.match(error.message, /^f:/);
			}
		}),
		{ numRuns: 1000 },
	);
});

test("a file that its owner alone can read is read", () => {
	for (const mode of [0o600, 0o400, 0o700]) {
		assert.equal(readKeyFile(keyFile(`mode-${mode}`, `3 ${A}\n`, mode)).primary.id, 3);
	}
});

test("a symbolic link to a good file is followed", () => {
	const link = join(folder, "link");
	symlinkSync(keyFile("target", `4 ${B}\n`), link);
	assert.equal(readKeyFile(link).primary.id, 4);
});

for (const mode of [0o640, 0o604, 0o620, 0o601, 0o666]) {
	const octal = `0${mode.toString(8)}`;
	test(`a file with the mode ${octal} is refused`, () => {
		const path = keyFile(`open-${octal}`, `1 ${A}\n`, mode);
		assert.equal(
			messageOf(() => readKeyFile(path)),
			`key file \`${path}' is not its owner's alone (mode ${octal}): chmod 600 it`,
		);
	});
}

test("a file of another user is refused", {
	skip: process.getuid?.() === 0 ? false : "only root can give a file away",
}, () => {
	const path = keyFile("nobody");
	chownSync(path, 65534, 65534);
	assert.equal(
		messageOf(() => readKeyFile(path)),
		`key file \`${path}' belongs to user 65534, neither to root nor to ctsync's user`,
	);
});

test("what is no file is refused, and a FIFO is not waited for", () => {
	const directory = join(folder, "directory");
	mkdirSync(directory, { mode: 0o700 });
	const fifo = join(folder, "fifo");
	execFileSync("mkfifo", ["-m", "600", fifo]);
	for (const path of [directory, fifo, "/dev/null"]) {
		assert.equal(
			messageOf(() => readKeyFile(path)),
			`key file \`${path}' is not a regular file`,
		);
	}
});

test("a file that is not there is an error with the system's reason", () => {
	const path = join(folder, "none");
	assert.equal(
		messageOf(() => readKeyFile(path)),
		`cannot open key file \`${path}': ENOENT (make one with "ctsync keygen --out FILE")`,
	);
	assert.match(
		messageOf(() => readKeyFile(join(keyFile("plain"), "below"))),
		/': ENOTDIR$/,
	);
});

test("a file that is far too long for keys is refused", () => {
	const path = keyFile("long", "#".repeat(65_537));
	assert.equal(
		messageOf(() => readKeyFile(path)),
		`key file \`${path}' is longer than 65536 bytes`,
	);
	assert.match(
		messageOf(() => readKeyFile(keyFile("long-enough", "#".repeat(65_536)))),
		/there is no key/,
	);
});

test("a mistake inside a file is named with the path of the file", () => {
	const path = keyFile("broken", `# ring\n1 ${randomBytes(16).toString("base64")}\n`);
	assert.equal(
		messageOf(() => readKeyFile(path)),
		`${path}:2: ${NOT_A_KEY}`,
	);
});
