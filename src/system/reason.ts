// Why the system refused something, for an operator.
import { getSystemErrorMap } from "node:util";

/** The system's words for the error, without the code and the path that Node puts around them. */
export function reasonOf(error: unknown): string {
	const { errno, message } = error as NodeJS.ErrnoException;
	const known = errno === undefined ? undefined : getSystemErrorMap().get(errno);
	return known?.[1] ?? message;
}
