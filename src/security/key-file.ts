// Writes key files: a new one, and a changed one in place of the old one. Whenever the machine stops, either of them
// is there as a whole, and at no moment can anybody but the owner read one.
import {
	closeSync,
	constants,
	fchmodSync,
	fsyncSync,
	openSync,
	realpathSync,
	renameSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import type { KeyEdit } from "./key-edit.ts";
import { KeyFileError, readKeyText } from "./key-ring.ts";

const MODE = 0o600;

/**
 * Creates a key file.
 *
 * @returns false when there is something of this name already, which is left as it is
 * @throws KeyFileError
 */
export function createKeyFile(path: string, text: string): boolean {
	let fd: number;
	try {
		fd = openNew(path);
	} catch (error) {
		if (codeOf(error) === "EEXIST") return false;
		throw new KeyFileError(`cannot create key file \`${path}': ${codeOf(error)}`);
	}
	try {
		write(fd, text);
		syncFolder(realpathSync(path));
	} catch (error) {
		unlinkSync(path);
		throw new KeyFileError(`cannot write key file \`${path}': ${codeOf(error)}`);
	} finally {
		closeSync(fd);
	}
	return true;
}

/**
 * Changes a key file. The new content is written to PATH.new, which also keeps two changes from meeting, and takes the
 * place of the old one. A symbolic link stays one.
 *
 * @param edit gets the text of the file; what it throws leaves the file as it is
 * @throws KeyFileError
 */
export function editKeyFile(path: string, edit: (text: string) => KeyEdit): KeyEdit {
	readKeyText(path); // judged before anything is written beside it
	const target = attempt(path, () => realpathSync(path));
	const temporary = `${target}.new`;
	const fd = attempt(path, () => openNew(temporary));
	let isInPlace = false;
	try {
		const result = edit(readKeyText(path));
		if (!result.isChange) return result;
		attempt(path, () => {
			write(fd, result.text);
			renameSync(temporary, target);
			isInPlace = true;
			syncFolder(target);
		});
		return result;
	} finally {
		closeSync(fd);
		if (!isInPlace) unlinkSync(temporary);
	}
}

function openNew(path: string): number {
	const { O_CREAT, O_EXCL, O_WRONLY } = constants;
	return openSync(path, O_CREAT | O_EXCL | O_WRONLY, MODE);
}

function write(fd: number, text: string): void {
	fchmodSync(fd, MODE); // whatever the umask took
	writeFileSync(fd, text);
	fsyncSync(fd);
}

/** A name is on the disk when its folder is (fsync(2)). */
function syncFolder(path: string): void {
	const fd = openSync(path.slice(0, path.lastIndexOf("/") + 1), constants.O_RDONLY | constants.O_DIRECTORY);
	try {
		fsyncSync(fd);
	} finally {
		closeSync(fd);
	}
}

function attempt<T>(path: string, action: () => T): T {
	try {
		return action();
	} catch (error) {
		if (codeOf(error) !== "EEXIST") {
			throw new KeyFileError(`cannot write key file \`${path}': ${codeOf(error)}`);
		}
		const temporary = (error as NodeJS.ErrnoException).path;
		throw new KeyFileError(
			`\`${temporary}' is there: somebody else changes the keys, or did not come to an end. Then remove it`,
		);
	}
}

function codeOf(error: unknown): string {
	const { code, message } = error as NodeJS.ErrnoException;
	return code ?? message;
}
