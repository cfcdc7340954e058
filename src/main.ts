// The command: argv -> client or daemon. A keepalived hook runs several client commands per failover, so that each
// path loads only what it needs, and never the daemon for a client.
import { closeSync, existsSync, readFileSync, writeSync } from "node:fs";
import type { Readable } from "node:stream";
import { type ClientCommand, parseArgv } from "./cli/argv.ts";
import type { Config, ConfigProblem } from "./config/config.ts";
import type { Level } from "./system/log.ts";

/** The first that exists is read when no `-C` names another. */
const DEFAULT_FILES = ["/etc/ctsync/ctsync.conf", "/etc/conntrackd/conntrackd.conf"];

/** Tells the process behind `-d` the descriptor that its parent listens on. */
const READY_FD = "CTSYNC_READY_FD";
const READY = "ready\n";

interface Loaded {
	configPath: string;
	config: Config;
	warnings: ConfigProblem[];
}

const status = run(process.argv.slice(2)).catch(unwritten);
// a console that went away must not end a daemon, nor make a client print a stack
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});
process.exitCode = await status;

/** @returns the exit status: 0, or 1 for any failure */
async function run(argv: readonly string[]): Promise<number> {
	const command = parseArgv(argv);
	switch (command.kind) {
		case "version": {
			const { formatVersion } = await import("./cli/usage.ts");
			await print(formatVersion(version()));
			return 0;
		}
		case "help":
			await printUsage();
			return 0;
		case "error":
			await say("ERROR", command.message);
			if (command.pointsToHelp) process.stderr.write("ctsync --help shows how it is used\n");
			return 1;
		case "keys": {
			const { runKeyCommand } = await import("./cli/keys.ts");
			const { keyObjection } = await import("./cli/key-objection.ts");
			const loaded = (): Promise<Loaded | undefined> => loadAndWarn(command.config);
			return runKeyCommand(command.command, {
				say,
				print,
				config: loaded,
				objection: keyObjection,
			});
		}
		case "check":
			return check(command.config, command.isVerbose, command.form);
		case "policy test":
			return testPolicyFile(command.input, command.config, command.form);
		case "client":
			if (command.warning !== undefined) await say("warning", command.warning);
			return ask(command);
		case "daemon":
			return command.background ? startInBackground(command.config) : runInForeground(command.config);
	}
}

/** @returns 0 if the daemon would start with the file */
async function check(file: string | undefined, isVerbose: boolean, form?: "json"): Promise<number> {
	const path = await pathOf(file, say);
	if (path === undefined) return 1;
	const { checkConfig } = await import("./check.ts");
	const { status, output, problems, json } = checkConfig(path, isVerbose);
	if (form === "json") await print(json);
	else {
		process.stderr.write(problems);
		await print(output);
	}
	return status;
}

/** @returns 0 if all are accepted, 1 if any is not or nothing could be read */
async function testPolicyFile(input: string, file: string | undefined, form?: "json"): Promise<number> {
	const loaded = await loadAndWarn(file);
	if (!loaded) return 1;
	const [{ testPolicy }, { networkInterfaces }, { reasonOf }] = await Promise.all([
		import("./cli/policy-test.ts"),
		import("node:os"),
		import("./system/reason.ts"),
	]);
	const own = Object.values(networkInterfaces()).flatMap((list) => list!.map(({ address }) => address));
	let found: ReturnType<typeof testPolicy>;
	try {
		found = testPolicy(readFileSync(input === "-" ? 0 : input, "utf8"), loaded.config, own);
	} catch (error) {
		await say("ERROR", `can't judge \`${input}': ${reasonOf(error)}`);
		return 1;
	}
	await print(form === "json" ? found.json : found.text);
	if (found.judged === 0) await say("ERROR", "there is no expectation in it");
	return found.judged === 0 || found.rejected > 0 ? 1 : 0;
}

async function ask({ op, config: file, argument, form }: ClientCommand): Promise<number> {
	const client = import("./control/client.ts"); // loads while the configuration does
	const loaded = await loadAndWarn(file);
	if (!loaded) return 1;
	const { request } = await client;
	const reply = await request(loaded.config.general.unixPath, op, process.stdout, {
		...(argument === undefined ? {} : { argument }),
		...(form === undefined ? {} : { form }),
	});
	if (reply.error !== undefined) await say("ERROR", reply.error);
	return reply.status;
}

/** The daemon itself; as the child of startInBackground it tells its parent how the start went. */
async function runInForeground(file: string | undefined): Promise<number> {
	const parent = readyChannel();
	const complain = async (level: Level, text: string) => {
		parent?.(text);
		await say(level, text);
	};
	const loaded = await load(file, complain);
	if (!loaded) return 1;
	const { keepSmall } = await import("./system/memory.ts");
	keepSmall();
	const { runDaemon } = await import("./daemon.ts");
	try {
		const status = await runDaemon({ ...loaded, ...(parent && { ready: () => parent(READY) }) });
		// everything is closed; a dump or commit that was under way must not keep the process
		process.exit(status);
	} catch (error) {
		await complain("ERROR", error instanceof Error ? error.message : String(error));
		return 1;
	}
}

/** Starts the same program again, detached, and waits until it is ready or has failed. */
async function startInBackground(file: string | undefined): Promise<number> {
	const loaded = await loadAndWarn(file);
	if (!loaded) return 1;
	const { spawn } = await import("node:child_process");
	const { resolve } = await import("node:path");
	const child = spawn(
		process.execPath,
		[...process.execArgv, process.argv[1]!, "-C", resolve(loaded.configPath)],
		{
			cwd: "/",
			detached: true,
			stdio: ["ignore", "ignore", "ignore", "pipe"],
			env: { ...process.env, [READY_FD]: "3" },
		},
	);
	const pipe = child.stdio[3] as Readable;
	const cause = await new Promise<string | undefined>((done) => {
		let told = "";
		pipe.on("data", (chunk: Buffer) => {
			told += chunk.toString();
			if (told === READY) done(undefined);
		});
		child.on("error", (error) => done(`can't start the daemon: ${error.message}`));
		child.on("close", (code, signal) => {
			const end = signal ? `signal ${signal}` : `exit status ${code}`;
			done(told.trim() || `the daemon ended before it was ready (${end}), see its log`);
		});
	});
	if (cause !== undefined) {
		await say("ERROR", cause);
		return 1;
	}
	pipe.destroy();
	child.unref();
	return 0;
}

/** Writes to the parent of a process behind `-d`, once; undefined for every other process. */
function readyChannel(): ((text: string) => void) | undefined {
	const fd = Number(process.env[READY_FD]);
	delete process.env[READY_FD];
	if (!Number.isInteger(fd) || fd < 3) return undefined;
	let isOpen = true;
	return (text) => {
		if (!isOpen) return;
		isOpen = false;
		try {
			writeSync(fd, text);
			closeSync(fd);
		} catch {
			// nobody waits any more
		}
	};
}

type Complain = (level: Level, text: string) => Promise<void>;

async function pathOf(file: string | undefined, complain: Complain): Promise<string | undefined> {
	const path = file ?? DEFAULT_FILES.find((candidate) => existsSync(candidate));
	if (path === undefined) {
		await complain("ERROR", `no config file: neither ${DEFAULT_FILES.join(" nor ")} exists`);
	}
	return path;
}

async function load(file: string | undefined, complain: Complain): Promise<Loaded | undefined> {
	const configPath = await pathOf(file, complain);
	if (configPath === undefined) return undefined;
	const [{ loadConfig }, { ConfigError }] = await Promise.all([
		import("./config/load.ts"),
		import("./config/problem.ts"),
	]);
	try {
		return { configPath, ...loadConfig(configPath) };
	} catch (error) {
		if (!(error instanceof ConfigError)) throw error;
		await complain("ERROR", error.message);
		return undefined;
	}
}

async function loadAndWarn(file: string | undefined): Promise<Loaded | undefined> {
	const loaded = await load(file, say);
	if (!loaded || loaded.warnings.length === 0) return loaded;
	const { formatProblem } = await import("./config/problem.ts");
	for (const warning of loaded.warnings) await say("warning", formatProblem(warning));
	return loaded;
}

async function say(level: Level, text: string): Promise<void> {
	const [{ formatLine }, { systemClock }] = await Promise.all([
		import("./system/log.ts"),
		import("./system/clock.ts"),
	]);
	const date = systemClock.wall();
	for (const line of text.split("\n")) process.stderr.write(formatLine(date, level, line));
}

/** Rejects with the system's error when the output does not take it. */
function print(text: string): Promise<void> {
	return new Promise((resolve, reject) => {
		process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
	});
}

/** What was to be printed has not arrived: that is a failure of the command, and none of ours. */
async function unwritten(error: NodeJS.ErrnoException): Promise<number> {
	if (error.syscall !== "write") throw error;
	await say("ERROR", `can't write: ${error.message}`);
	return 1;
}

async function printUsage(): Promise<void> {
	const { formatUsage } = await import("./cli/usage.ts");
	await print(formatUsage(version()));
}

function version(): string {
	const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
	return (JSON.parse(text) as { version: string }).version;
}
