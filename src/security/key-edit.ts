// Changes to the text of a key file: one key more, another primary key, one key less. Comments and the order of the
// lines stay. Nothing here touches the disk.
import {
	generateKeyLine,
	KEY_ID_MAX,
	KeyFileError,
	type KeyLine,
	parseKeyFile,
	parseKeyLines,
	type RingKey,
} from "./key-ring.ts";

export interface KeyEdit {
	/** The whole file as it is to be. */
	text: string;
	/** The key that it is about. */
	key: RingKey;
	isPrimary: boolean;
	/** false: the file is as it is to be already. */
	isChange: boolean;
}

/**
 * Adds a new random key at the end. It is primary only if it is the first one; the one key that was primary without
 * saying so is marked, because two keys without a mark are no ring.
 *
 * @param id absent: the number after the highest one, or the lowest free one when that is taken
 * @param path for messages
 * @throws KeyFileError
 */
export function addKey(text: string, path: string, id?: number): KeyEdit {
	const lines = parseKeyLines(text, path);
	const isPrimary = lines.length === 0;
	// what is no ring yet would be one key worse after this
	if (!isPrimary) parseKeyFile(text, path);
	const newId = id ?? nextId(lines, path);
	if (lines.some((line) => line.id === newId))
		throw new KeyFileError(`${path}: key ${newId} is there already`);
	const kept = lines.length === 1 ? mark(text, lines[0]!) : text;
	const gap = kept === "" || kept.endsWith("\n") ? "" : "\n";
	return edited(text, `${kept}${gap}${generateKeyLine(newId, isPrimary)}`, path, newId);
}

/**
 * Makes another key the primary one.
 *
 * @throws KeyFileError
 */
export function usePrimary(text: string, path: string, id: number): KeyEdit {
	const lines = parseKeyLines(text, path);
	const line = findLine(lines, path, id);
	const old = lines.find(({ isMarked }) => isMarked);
	return edited(text, old === line ? text : mark(old ? unmark(text, old) : text, line), path, id);
}

/**
 * Removes a key with its line. Not the primary one: this node would seal with another key at once, which the others
 * need not have yet.
 *
 * @throws KeyFileError
 */
export function removeKey(text: string, path: string, id: number): KeyEdit {
	const ring = parseKeyFile(text, path);
	const { index } = findLine(parseKeyLines(text, path), path, id);
	if (ring.primary.id === id) {
		throw new KeyFileError(`${path}: key ${id} is the primary one: make another one primary before`);
	}
	const rest = text
		.split("\n")
		.filter((_, i) => i !== index)
		.join("\n");
	parseKeyFile(rest, path);
	return { text: rest, key: ring.keys.get(id)!, isPrimary: false, isChange: true };
}

/** The edit, once its text is known to be a ring. */
function edited(before: string, text: string, path: string, id: number): KeyEdit {
	const { keys, primary } = parseKeyFile(text, path);
	return { text, key: keys.get(id)!, isPrimary: primary.id === id, isChange: text !== before };
}

function findLine(lines: readonly KeyLine[], path: string, id: number): KeyLine {
	const line = lines.find((candidate) => candidate.id === id);
	if (!line) throw new KeyFileError(`${path}: there is no key ${id}`);
	return line;
}

/** A number that was in use lately may still be meant by an old key elsewhere: the highest one is counted up. */
function nextId(lines: readonly KeyLine[], path: string): number {
	const used = new Set(lines.map(({ id }) => id));
	const next = Math.max(0, ...used) + 1;
	if (next <= KEY_ID_MAX) return next;
	for (let id = 1; id <= KEY_ID_MAX; id++) if (!used.has(id)) return id;
	throw new KeyFileError(`${path}: all numbers from 1 to ${KEY_ID_MAX} are taken: remove a key`);
}

function mark(text: string, line: KeyLine): string {
	return line.isMarked ? text : replaceLine(text, line, /^(\s*\d+\s+[^\s#]+)/, "$1 primary");
}

function unmark(text: string, line: KeyLine): string {
	return replaceLine(text, line, /^(\s*\d+\s+[^\s#]+)\s+primary/, "$1");
}

function replaceLine(text: string, { index }: KeyLine, pattern: RegExp, replacement: string): string {
	const lines = text.split("\n");
	lines[index] = lines[index]!.replace(pattern, replacement);
	return lines.join("\n");
}
