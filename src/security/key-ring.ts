// The key ring: a file of pre-shared keys, one a line. Keys never appear in messages, logs or arguments; where one
// has to be named, its fingerprint is.
//
//   # comment
//   ID  BASE64-OF-32-BYTES  [primary]
//
// Every node accepts every key of its ring, and seals with the primary one (the only one, if there is one only). So a
// key is changed without a gap: install the new one everywhere, make it primary everywhere, remove the old one.
import { createHash, createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";

/** Bytes of a key: random ones, no passphrase. */
export const KEY_SIZE = 32;
const ID_MAX = 255;
/** No ring is longer; what is, is not a key file. */
const FILE_MAX = 65_536;

export interface RingKey {
	/** 1 .. 255, chosen by the operator, sent in every frame. */
	readonly id: number;
	readonly key: KeyObject;
	/** Eight hexadecimal digits that name the key without telling it. */
	readonly fingerprint: string;
}

export interface KeyRing {
	readonly keys: ReadonlyMap<number, RingKey>;
	readonly primary: RingKey;
}

/** A key file that cannot be used: file, line if there is one, and why. Never contains key material. */
export class KeyFileError extends Error {}

/**
 * Reads a key file that only its owner (root, or who runs this) can read.
 *
 * @throws KeyFileError
 */
export function readKeyFile(path: string): KeyRing {
	let fd: number;
	try {
		fd = openSync(path, "r");
	} catch (error) {
		throw new KeyFileError(`cannot open key file \`${path}': ${(error as NodeJS.ErrnoException).code}`);
	}
	try {
		const stat = fstatSync(fd);
		if (!stat.isFile()) throw new KeyFileError(`key file \`${path}' is not a regular file`);
		if (stat.size > FILE_MAX) throw new KeyFileError(`key file \`${path}' is longer than ${FILE_MAX} bytes`);
		if ((stat.mode & 0o077) !== 0) {
			const mode = (stat.mode & 0o777).toString(8).padStart(4, "0");
			throw new KeyFileError(`key file \`${path}' can be read or written by others (mode ${mode}): chmod 600 it`);
		}
		if (stat.uid !== 0 && stat.uid !== process.getuid?.()) {
			throw new KeyFileError(`key file \`${path}' belongs to user ${stat.uid}, neither to root nor to ctsync's user`);
		}
		return parseKeyFile(readFileSync(fd, "utf8"), path);
	} finally {
		closeSync(fd);
	}
}

/** @throws KeyFileError naming file and line */
export function parseKeyFile(text: string, path: string): KeyRing {
	const keys = new Map<number, RingKey>();
	let primary: RingKey | undefined;
	text.split("\n").forEach((line, i) => {
		const words = line.replace(/#.*/, "").split(/\s+/).filter(Boolean);
		if (words.length === 0) return;
		const fail = (why: string): never => {
			throw new KeyFileError(`${path}:${i + 1}: ${why}`);
		};
		const [idText, encoded, mark, ...rest] = words;
		const id = Number(idText);
		if (!/^\d{1,3}$/.test(idText!) || id < 1 || id > ID_MAX) fail(`a key's number must be from 1 to ${ID_MAX}`);
		if (keys.has(id)) fail(`key ${id} is there twice`);
		if (encoded === undefined || !/^[A-Za-z0-9+/]{43}=$/.test(encoded)) {
			fail(`key ${id} is not ${KEY_SIZE} bytes in base64 (make one with "ctsync keygen")`);
		}
		if ((mark !== undefined && mark !== "primary") || rest.length > 0) {
			fail(`after key ${id} there may only be the word "primary"`);
		}
		const bytes = Buffer.from(encoded!, "base64");
		const key: RingKey = { id, key: createSecretKey(bytes), fingerprint: fingerprintOf(bytes) };
		keys.set(id, key);
		if (mark === "primary") {
			if (primary) fail(`key ${primary.id} is primary already`);
			primary = key;
		}
	});
	if (keys.size === 0) throw new KeyFileError(`${path}: there is no key in it (make one with "ctsync keygen")`);
	if (!primary && keys.size > 1) throw new KeyFileError(`${path}: mark one of the ${keys.size} keys "primary"`);
	return { keys, primary: primary ?? [...keys.values()][0]! };
}

/** A line for a key file, with a new random key. */
export function generateKeyLine(id: number, isPrimary: boolean): string {
	return `${id} ${randomBytes(KEY_SIZE).toString("base64")}${isPrimary ? " primary" : ""}\n`;
}

function fingerprintOf(bytes: Uint8Array): string {
	return createHash("sha256").update("ctsync key").update(bytes).digest("hex").slice(0, 8);
}
