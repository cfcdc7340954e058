// One instance per lock file: a lock that the kernel releases when its holder dies, so it is never stale.
//
// conntrackd's lock is the mere existence of the file (open(2) with O_EXCL): it is empty, no process holds a lock of the
// kernel's on it, and nobody can tell one that is in use from one that was left behind. So a file that was there stays as
// it is until this process is known to be the only daemon.
import { closeSync, fstatSync, ftruncateSync, openSync, statSync, unlinkSync, writeSync } from "node:fs";
import type { Native } from "./native.ts";
import { reasonOf } from "./reason.ts";

export class LockFile {
	readonly #path: string;
	readonly #fd: number;
	/** This process has made the file, or signed it. */
	#isOurs: boolean;

	private constructor(path: string, fd: number, isOurs: boolean) {
		this.#path = path;
		this.#fd = fd;
		this.#isOurs = isOurs;
	}

	/**
	 * Takes the lock; a file that was there keeps its content.
	 *
	 * @throws Error with a message for the operator: held by another process, or the file cannot be made
	 */
	static take(native: Native, path: string): LockFile {
		for (;;) {
			const { fd, isNew } = open(path);
			if (native.lock(fd) !== 0) {
				closeSync(fd);
				throw new Error(`lockfile \`${path}' exists, perhaps ctsync already running?`);
			}
			// who held it has perhaps removed it between the two calls, and somebody else has made another
			if (isAt(path, fd)) return new LockFile(path, fd, isNew);
			closeSync(fd);
		}
	}

	/** No other daemon runs: from here on the file holds the number of this process, and is removed at its end. */
	sign(): void {
		this.#isOurs = true;
		ftruncateSync(this.#fd);
		writeSync(this.#fd, `${process.pid}\n`);
	}

	/** Lets go of the lock. A file that is another daemon's, or was left by one, stays. */
	release(): void {
		if (this.#isOurs && isAt(this.#path, this.#fd)) {
			try {
				unlinkSync(this.#path);
			} catch {}
		}
		closeSync(this.#fd);
	}
}

function open(path: string): { fd: number; isNew: boolean } {
	try {
		return { fd: openSync(path, "ax", 0o600), isNew: true };
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw cannotOpen(path, error);
	}
	try {
		return { fd: openSync(path, "a", 0o600), isNew: false };
	} catch (error) {
		throw cannotOpen(path, error);
	}
}

const cannotOpen = (path: string, error: unknown): Error =>
	new Error(`cannot open lockfile \`${path}': ${reasonOf(error)}`);

/** Whether the path still leads to the open file. */
function isAt(path: string, fd: number): boolean {
	const there = statSync(path, { throwIfNoEntry: false });
	const { dev, ino } = fstatSync(fd);
	return there?.dev === dev && there.ino === ino;
}
