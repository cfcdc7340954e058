// What the kernel answered, and to what.
import { getSystemErrorMap } from "node:util";

export class NetlinkError extends Error {
	/** Positive errno. */
	readonly errno: number;
	readonly code: string;

	/** @param what was attempted, as in "dump conntracks" */
	constructor(what: string, errno: number) {
		super(`${what}: ${errnoText(errno)}`);
		this.errno = errno;
		this.code = errnoName(errno);
	}
}

/** The C name of an errno, as in EEXIST. */
export function errnoName(errno: number): string {
	return getSystemErrorMap().get(-errno)?.[0] ?? `errno ${errno}`;
}

export function errnoText(errno: number): string {
	const entry = getSystemErrorMap().get(-errno);
	return entry ? `${entry[1]} (${entry[0]})` : `errno ${errno}`;
}
