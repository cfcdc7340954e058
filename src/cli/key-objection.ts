// Asks the daemon, if one is running, whether a change of keys would cut off a node.
import { Writable } from "node:stream";
import { CANNOT_CONNECT, request } from "../control/client.ts";
import { Opcode } from "../control/request.ts";

/**
 * @param path of the control socket
 * @param fingerprint of the key
 * @returns what is against it; undefined if nothing is, or no daemon answers
 */
export async function keyObjection(
	path: string,
	change: "use" | "remove",
	fingerprint: string,
): Promise<string | undefined> {
	const nothing = new Writable({ write: (_chunk, _encoding, done) => done() });
	const argument = `${change} ${fingerprint.slice(0, 8)}`;
	const { error } = await request(path, Opcode.keysInUse, nothing, { argument });
	return error?.startsWith(CANNOT_CONNECT) ? undefined : error;
}
