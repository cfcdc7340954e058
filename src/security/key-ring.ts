// The key ring: a file of pre-shared keys, one a line. Keys never appear in messages, logs or arguments; where one
// has to be named, its fingerprint is.
//
//   # comment
//   ID  BASE64-OF-32-BYTES  [primary]
//
// Every node accepts every key of its ring, and seals with the primary one (the only one, if there is one only). So a
// key is changed without a gap: install the new one everywhere, make it primary everywhere, remove the old one.
import { createHash, createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";

/** Bytes of a key: random ones, no passphrase. */
export const KEY_SIZE = 32;
export const KEY_ID_MAX = 255;
/** No ring is longer; what is, is not a key file. */
const FILE_MAX = 65_536;
/** 32 bytes in base64 (RFC 4648, section 4); the last letter has two bits to spare, which are zero. */
const ENCODED_KEY = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

export interface RingKey {
	/** 1 .. 255, chosen by the operator, sent in every frame. */
	readonly id: number;
	readonly key: KeyObject;
	/** Eight hexadecimal digits that name the key without telling it. */
	readonly fingerprint: string;
}

export interface KeyRing {
	/** In the order of the file. */
	readonly keys: ReadonlyMap<number, RingKey>;
	readonly primary: RingKey;
}

/** A key as its line has it. */
export interface KeyLine extends RingKey {
	/** Whether the line says so. A key that is the only one is primary without. */
	readonly isMarked: boolean;
	/** Of the line in the file, from 0. */
	readonly index: number;
}

/** A key file that cannot be used: file, line if there is one, and why. Never contains key material. */
export class KeyFileError extends Error {}

/**
 * Reads a key file that only its owner (root, or who runs this) can read.
 *
 * @throws KeyFileError
 */
export function readKeyFile(path: string): KeyRing {
	return parseKeyFile(readKeyText(path), path);
}

/**
 * The text of a key file that only its owner (root, or who runs this) can read.
 *
 * @throws KeyFileError
 */
export function readKeyText(path: string): string {
	let fd: number;
	try {
		// a FIFO in its place would be waited for without O_NONBLOCK
		fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
	} catch (error) {
		const hint = codeOf(error) === "ENOENT" ? ' (make one with "ctsync keygen --out FILE")' : "";
		throw new KeyFileError(`cannot open key file \`${path}': ${codeOf(error)}${hint}`);
	}
	try {
		checkOwner(fd, path);
		return readFileSync(fd, "utf8");
	} catch (error) {
		if (error instanceof KeyFileError) throw error;
		throw new KeyFileError(`cannot read key file \`${path}': ${codeOf(error)}`);
	} finally {
		closeSync(fd);
	}
}

function checkOwner(fd: number, path: string): void {
	const stat = fstatSync(fd);
	if (!stat.isFile()) throw new KeyFileError(`key file \`${path}' is not a regular file`);
	if (stat.size > FILE_MAX) throw new KeyFileError(`key file \`${path}' is longer than ${FILE_MAX} bytes`);
	if ((stat.mode & 0o077) !== 0) {
		const mode = (stat.mode & 0o777).toString(8).padStart(4, "0");
		throw new KeyFileError(`key file \`${path}' is not its owner's alone (mode ${mode}): chmod 600 it`);
	}
	if (stat.uid !== 0 && stat.uid !== process.getuid?.()) {
		throw new KeyFileError(
			`key file \`${path}' belongs to user ${stat.uid}, neither to root nor to ctsync's user`,
		);
	}
}

/** @throws KeyFileError naming file and, where one is at fault, line */
export function parseKeyFile(text: string, path: string): KeyRing {
	const lines = parseKeyLines(text, path);
	const [only] = lines;
	if (!only) throw new KeyFileError(`${path}: there is no key in it (make one with "ctsync keygen")`);
	const primary = lines.length === 1 ? only : lines.find((line) => line.isMarked);
	if (!primary) throw new KeyFileError(`${path}: mark one of the ${lines.length} keys "primary"`);
	const ringKeys = lines.map(({ id, key, fingerprint }): RingKey => ({ id, key, fingerprint }));
	const keys = new Map(ringKeys.map((ringKey) => [ringKey.id, ringKey]));
	return { keys, primary: keys.get(primary.id)! };
}

/**
 * The lines that have a key, each in order, but not yet a ring: there may be none, or none of several marked.
 *
 * @throws KeyFileError naming file and line
 */
export function parseKeyLines(text: string, path: string): KeyLine[] {
	const lines: KeyLine[] = [];
	text.split("\n").forEach((content, index) => {
		const words = content.replace(/#.*/, "").split(/\s+/).filter(Boolean);
		if (words.length > 0) lines.push(parseLine(words, lines, `${path}:${index + 1}`, index));
	});
	return lines;
}

function parseLine(words: readonly string[], before: readonly KeyLine[], at: string, index: number): KeyLine {
	// no word of the line is repeated in a message: each of them could be the key
	const [idText, encoded, mark, ...rest] = words;
	const id = parseKeyId(idText!);
	if (id === undefined) throw new KeyFileError(`${at}: a key's number must be from 1 to ${KEY_ID_MAX}`);
	if (before.some((line) => line.id === id)) throw new KeyFileError(`${at}: key ${id} is there twice`);
	if (encoded === undefined || !ENCODED_KEY.test(encoded)) {
		throw new KeyFileError(
			`${at}: key ${id} is not ${KEY_SIZE} bytes in base64 (make one with "ctsync keygen")`,
		);
	}
	const isMarked = mark === "primary";
	if ((mark !== undefined && !isMarked) || rest.length > 0) {
		throw new KeyFileError(`${at}: after key ${id} there may only be the word "primary"`);
	}
	const marked = before.find((line) => line.isMarked);
	if (isMarked && marked) throw new KeyFileError(`${at}: key ${marked.id} is primary already`);
	const bytes = Buffer.from(encoded, "base64");
	const key = createSecretKey(bytes);
	const same = before.find((line) => line.key.equals(key));
	if (same) throw new KeyFileError(`${at}: key ${id} is key ${same.id} once more`);
	return { id, key, fingerprint: fingerprintOf(bytes), isMarked, index };
}

/** The number of a key from its text; undefined when it is none. */
export function parseKeyId(text: string): number | undefined {
	const id = Number(text);
	return /^\d{1,3}$/.test(text) && id >= 1 && id <= KEY_ID_MAX ? id : undefined;
}

/** A line for a key file, with a new random key. */
export function generateKeyLine(id: number, isPrimary: boolean): string {
	return `${id} ${randomBytes(KEY_SIZE).toString("base64")}${isPrimary ? " primary" : ""}\n`;
}

function fingerprintOf(bytes: Uint8Array): string {
	return createHash("sha256").update("ctsync key").update(bytes).digest("hex").slice(0, 8);
}

function codeOf(error: unknown): string {
	const { code, message } = error as NodeJS.ErrnoException;
	return code ?? message;
}
