import assert from "node:assert/strict";
import {
	chmodSync,
	existsSync,
	lstatSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { addKey, usePrimary } from "./key-edit.ts";
import { createKeyFile, editKeyFile } from "./key-file.ts";
import { KeyFileError, readKeyFile } from "./key-ring.ts";

const key = (fill: number): string => Buffer.alloc(32, fill).toString("base64");
const RING = `# ring\n1 ${key(1)} primary\n2 ${key(2)}\n`;

const root = mkdtempSync(join(tmpdir(), "ctsync-key-file-"));
after(() => rmSync(root, { recursive: true, force: true }));

let folder: string;
let path: string;
beforeEach(() => {
	folder = mkdtempSync(join(root, "case-"));
	path = join(folder, "keys");
});

const modeOf = (file: string): number => statSync(file).mode & 0o777;
const isKeyFileError = (pattern: RegExp) => (error: unknown) => {
	assert.ok(error instanceof KeyFileError, String(error));
	assert.match(error.message, pattern);
	return true;
};

test("a new file has its content and is its owner's alone, whatever the umask", () => {
	const umask = process.umask(0o277);
	try {
		assert.equal(createKeyFile(path, RING), true);
	} finally {
		process.umask(umask);
	}
	assert.equal(readFileSync(path, "utf8"), RING);
	assert.equal(modeOf(path), 0o600);
});

test("what is there already is not touched by creating", () => {
	writeFileSync(path, "precious");
	assert.equal(createKeyFile(path, RING), false);
	assert.equal(readFileSync(path, "utf8"), "precious");
	const dangling = join(folder, "link");
	symlinkSync(join(folder, "nowhere"), dangling);
	assert.equal(createKeyFile(dangling, RING), false);
	assert.ok(!existsSync(join(folder, "nowhere")), "nothing is written through a link");
});

test("a file in a folder that is not there cannot be created", () => {
	const lost = join(folder, "none", "keys");
	assert.throws(
		() => createKeyFile(lost, RING),
		isKeyFileError(/^cannot create key file `.*\/none\/keys': ENOENT$/),
	);
});

test("a change takes the place of the old file and leaves nothing beside it", () => {
	createKeyFile(path, RING);
	chmodSync(path, 0o400);
	const { ino } = statSync(path);
	const { key: used } = editKeyFile(path, (text) => usePrimary(text, path, 2));
	assert.equal(used.id, 2);
	assert.equal(readKeyFile(path).primary.id, 2);
	assert.notEqual(statSync(path).ino, ino, "written as a new file");
	assert.equal(modeOf(path), 0o600);
	assert.deepEqual(readdirSync(folder), ["keys"]);
});

test("what changes nothing does not write", () => {
	createKeyFile(path, RING);
	const { ino } = statSync(path);
	assert.equal(editKeyFile(path, (text) => usePrimary(text, path, 1)).isChange, false);
	assert.equal(statSync(path).ino, ino);
	assert.deepEqual(readdirSync(folder), ["keys"]);
});

test("a change that is refused leaves the file as it was, and nothing beside it", () => {
	createKeyFile(path, RING);
	assert.throws(
		() => editKeyFile(path, (text) => usePrimary(text, path, 3)),
		isKeyFileError(/there is no key 3$/),
	);
	assert.equal(readFileSync(path, "utf8"), RING);
	assert.deepEqual(readdirSync(folder), ["keys"]);
});

test("while it is being changed the new content is its owner's alone, and a second change is refused", () => {
	createKeyFile(path, RING);
	editKeyFile(path, (text) => {
		assert.equal(modeOf(`${path}.new`), 0o600);
		assert.throws(
			() => editKeyFile(path, (inner) => addKey(inner, path)),
			isKeyFileError(/^`.*\/keys\.new' is there: somebody else changes the keys/),
		);
		return usePrimary(text, path, 2);
	});
	assert.deepEqual(readdirSync(folder), ["keys"]);
	assert.deepEqual([...readKeyFile(path).keys.keys()], [1, 2]);
});

test("what an interrupted change has left is not overwritten", () => {
	createKeyFile(path, RING);
	writeFileSync(`${path}.new`, "left");
	assert.throws(() => editKeyFile(path, (text) => addKey(text, path)), isKeyFileError(/Then remove it$/));
	assert.equal(readFileSync(`${path}.new`, "utf8"), "left");
	assert.equal(readFileSync(path, "utf8"), RING);
});

test("a symbolic link stays one, and the file behind it is changed", () => {
	createKeyFile(path, RING);
	const link = join(root, `link-${process.pid}`);
	symlinkSync(path, link);
	editKeyFile(link, (text) => usePrimary(text, link, 2));
	assert.ok(lstatSync(link).isSymbolicLink());
	assert.equal(readKeyFile(path).primary.id, 2);
	assert.deepEqual(readdirSync(folder), ["keys"]);
});

test("a file that others can read is not changed", () => {
	createKeyFile(path, RING);
	chmodSync(path, 0o644);
	assert.throws(
		() => editKeyFile(path, (text) => addKey(text, path)),
		isKeyFileError(/is not its owner's alone \(mode 0644\)/),
	);
	assert.equal(readFileSync(path, "utf8"), RING);
	assert.deepEqual(readdirSync(folder), ["keys"]);
});

test("a file that is not there cannot be changed", () => {
	assert.throws(
		() => editKeyFile(path, (text) => addKey(text, path)),
		isKeyFileError(/^cannot open key file `.*': ENOENT \(make one with/),
	);
});
