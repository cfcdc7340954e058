// The key commands: make a key, list the ring, change it. Keys go to a key file or, with `keygen` alone, to the
// standard output, and nowhere else; messages call them by number and fingerprint.
import type { Config } from "../config/config.ts";
import { addKey, type KeyEdit, removeKey, usePrimary } from "../security/key-edit.ts";
import { createKeyFile, editKeyFile } from "../security/key-file.ts";
import {
	generateKeyLine,
	KEY_ID_MAX,
	KeyFileError,
	parseKeyFile,
	parseKeyId,
	type RingKey,
	readKeyFile,
} from "../security/key-ring.ts";
import type { KeyCommand } from "./key-words.ts";

/** What a key command needs of its process. */
export interface KeyEnvironment {
	/** To the standard error. */
	say(level: "notice" | "ERROR", text: string): Promise<void>;
	/** To the standard output. Rejects with the system's error when that does not take it. */
	print(text: string): Promise<void>;
	/** What the running daemon says against this change of a key; undefined if nothing, or if none is running. */
	objection(path: string, change: "use" | "remove", fingerprint: string): Promise<string | undefined>;
	/** The configuration; undefined when it cannot be read, which has been said. */
	config(): Promise<{ config: Config } | undefined>;
}

const RELOAD_HINT = "tell the daemon of this node: kill -HUP its pid, which stands in the LockFile";

/** @returns the exit status: 0, or 1 when it could not be done, which has been said */
export async function runKeyCommand(command: KeyCommand, environment: KeyEnvironment): Promise<number> {
	try {
		switch (command.action) {
			case "generate": {
				const id = command.id === undefined ? undefined : keyId(command.id);
				if (command.out === undefined) await environment.print(generateKeyLine(id ?? 1, true));
				else await environment.say("notice", addToFile(command.out, id));
				return 0;
			}
			case "list": {
				const path = command.file ?? (await configured(environment))?.keyFile;
				if (path === undefined) return 1;
				await environment.print(formatRing(path));
				return 0;
			}
			case "use":
			case "remove": {
				const id = keyId(command.id);
				const place = await configured(environment);
				if (!place) return 1;
				const path = place.keyFile;
				const key = readKeyFile(path).keys.get(id);
				const objection =
					key &&
					!command.isForced &&
					(await environment.objection(place.socket, command.action, key.fingerprint));
				if (objection) {
					const hint = "--force does it all the same";
					await environment.say("ERROR", `${nameOf(key)}: ${objection} (${hint})`);
					return 1;
				}
				await environment.say("notice", change(path, command.action, id));
				await environment.say("notice", RELOAD_HINT);
				return 0;
			}
		}
	} catch (error) {
		const { message, code } = error as NodeJS.ErrnoException;
		if (error instanceof KeyFileError) await environment.say("ERROR", message);
		else if (code !== undefined) await environment.say("ERROR", `can't write: ${message}`);
		else throw error;
		return 1;
	}
}

/** The text is not repeated: somebody may have typed the key itself. */
function keyId(text: string): number {
	const id = parseKeyId(text);
	if (id === undefined) throw new KeyFileError(`a key's number must be from 1 to ${KEY_ID_MAX}`);
	return id;
}

/** Key file and control socket of the configuration. */
async function configured({
	config,
	say,
}: KeyEnvironment): Promise<{ keyFile: string; socket: string } | undefined> {
	const loaded = await config();
	if (!loaded) return undefined;
	const { file, security, general } = loaded.config;
	if (security) return { keyFile: security.keyFile, socket: general.unixPath };
	await say("ERROR", `${file}: no key file is configured (Security { KeyFile PATH })`);
	return undefined;
}

/** @returns what was done */
function addToFile(path: string, id: number | undefined): string {
	const line = generateKeyLine(id ?? 1, true);
	if (createKeyFile(path, line)) {
		return `created \`${path}' with ${nameOf(parseKeyFile(line, path).primary)}, which is primary`;
	}
	const { key, isPrimary } = editKeyFile(path, (text) => addKey(text, path, id));
	return `added ${nameOf(key)} to \`${path}'${isPrimary ? ", where it is primary" : ""}`;
}

/** @returns what was done */
function change(path: string, action: "use" | "remove", id: number): string {
	const edit = (text: string): KeyEdit =>
		action === "use" ? usePrimary(text, path, id) : removeKey(text, path, id);
	const { key, isChange } = editKeyFile(path, edit);
	if (action === "remove") return `removed ${nameOf(key)} from \`${path}'`;
	return `${nameOf(key)} of \`${path}' is primary ${isChange ? "now" : "already"}`;
}

function formatRing(path: string): string {
	const { keys, primary } = readKeyFile(path);
	return [...keys.values()]
		.map((key) => `${key.id} ${key.fingerprint}${key === primary ? " primary" : ""}\n`)
		.join("");
}

function nameOf({ id, fingerprint }: RingKey): string {
	return `key ${id} (fingerprint ${fingerprint})`;
}
