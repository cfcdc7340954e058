// One instance per lock file: a lock that the kernel releases when its holder dies, so it is never stale.
import { closeSync, ftruncateSync, openSync, unlinkSync, writeSync } from "node:fs";
import type { Native } from "./native.ts";
import { reasonOf } from "./reason.ts";

export class LockFile {
	readonly #path: string;
	readonly #fd: number;

	private constructor(path: string, fd: number) {
		this.#path = path;
		this.#fd = fd;
	}

	/** @throws Error with a message for the operator: held by another process, or the file cannot be made */
	static take(native: Native, path: string): LockFile {
		let fd: number;
		try {
			fd = openSync(path, "a", 0o600);
		} catch (error) {
			throw new Error(`cannot open lockfile \`${path}': ${reasonOf(error)}`);
		}
		if (native.lock(fd) !== 0) {
			closeSync(fd);
			throw new Error(`lockfile \`${path}' exists, perhaps ctsync already running?`);
		}
		ftruncateSync(fd);
		writeSync(fd, `${process.pid}\n`);
		return new LockFile(path, fd);
	}

	release(): void {
		try {
			unlinkSync(this.#path);
		} catch {}
		closeSync(this.#fd);
	}
}
