// Runs the command as a process of its own, from a copy of the compiled files in which the daemon is a stand-in.
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import {
	closeSync,
	cpSync,
	existsSync,
	mkdtempSync,
	openSync,
	readFileSync,
	readlinkSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { encodeReply, Opcode, parseRequest } from "./control/request.ts";

/** Behaves as the file `behaviour` beside it says, and writes down what it was given. */
const STAND_IN = `
import { readFileSync, writeFileSync } from "node:fs";
const here = (name) => new URL(name, import.meta.url);
writeFileSync(here("loaded"), "");
export async function runDaemon({ configPath, config, warnings, ready }) {
	const given = { configPath, unixPath: config.general.unixPath, warnings: warnings.length, hasReady: ready !== undefined };
	writeFileSync(here("given.json"), JSON.stringify({ ...given, pid: process.pid, env: process.env.CTSYNC_READY_FD }));
	switch (readFileSync(here("behaviour"), "utf8")) {
		case "fail": throw new Error("can't open channel socket: No such device");
		case "die": process.kill(process.pid, "SIGKILL"); return new Promise(() => {});
		case "return 1": return 1;
		case "stay": {
			ready?.();
			const timer = setInterval(() => {}, 1000);
			await new Promise((resolve) => process.once("SIGTERM", resolve));
			clearInterval(timer);
			return 0;
		}
		default: ready?.(); return 0;
	}
}
`;

const folder = mkdtempSync(join(tmpdir(), "ctsync-main-"));
const dist = join(folder, "dist");
const program = join(dist, "main.js");
const control = join(folder, "ctl");
const config = join(folder, "a.conf");
let server: Server;
let answer = "";
const asked: number[] = [];

before(async () => {
	const compiled = dirname(fileURLToPath(import.meta.url));
	for (const part of ["main.js", "cli", "control", "config", "conntrack", "system"]) {
		cpSync(join(compiled, part), join(dist, part), { recursive: true });
	}
	cpSync(join(compiled, "../package.json"), join(folder, "package.json"));
	writeFileSync(join(dist, "daemon.js"), STAND_IN);
	// nor is what it is made of
	writeFileSync(join(dist, "system", "memory.js"), "export const keepSmall = () => {};");
	writeFileSync(config, `General {\n\tUNIX {\n\t\tPath ${control}\n\t}\n}\n`);
	server = createServer((socket) => {
		socket.on("error", () => {});
		socket.once("data", (bytes) => {
			const request = parseRequest(bytes);
			asked.push(request.kind === "json" ? request.op : -1);
			socket.end(answer);
		});
	});
	await new Promise<void>((resolve) => server.listen(control, resolve));
});

after(async () => {
	await new Promise((resolve) => server.close(resolve));
	rmSync(folder, { recursive: true });
});

interface Result {
	status: number | null;
	stdout: string;
	stderr: string;
}

const ctsync = (...argv: string[]): Promise<Result> => run(program, argv);
/** `--check` loads what the daemon decides by, which is not in the copy. */
const whole = fileURLToPath(new URL("main.js", import.meta.url));
const check = (...argv: string[]): Promise<Result> => run(whole, argv);

/** Without blocking this process, which is the server. */
async function run(file: string, argv: readonly string[]): Promise<Result> {
	const child = spawn(process.execPath, [file, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
	const result: Result = { status: null, stdout: "", stderr: "" };
	child.stdout.on("data", (chunk) => {
		result.stdout += chunk;
	});
	child.stderr.on("data", (chunk) => {
		result.stderr += chunk;
	});
	result.status = await new Promise((resolve) => child.on("close", resolve));
	return result;
}

const undressed = (text: string): string[] => {
	const dress = /^\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\] \(pid=\d+\) (\[\w+\] .*)$/;
	return text
		.split("\n")
		.slice(0, -1)
		.map((line) => dress.exec(line)?.[1] ?? `not dressed: ${line}`);
};

const behave = (behaviour: string): void => {
	rmSync(join(dist, "given.json"), { force: true });
	writeFileSync(join(dist, "behaviour"), behaviour);
};
const given = () => JSON.parse(readFileSync(join(dist, "given.json"), "utf8"));

test("version and help go to the standard output", async () => {
	const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
	const shown = await ctsync("-v");
	assert.match(shown.stdout, new RegExp(`^Connection tracking state replication daemon ctsync v${version}`));
	assert.equal(shown.status, 0);
	const help = await ctsync("-h");
	assert.match(help.stdout, /^Client mode commands:$/m);
	assert.equal(help.stderr, "");
	assert.equal(help.status, 0);
	assert.deepEqual(await ctsync("--help"), help);
	assert.deepEqual(await ctsync("--version"), shown);
});

test("--check names the mistakes of a file and prints what is right", async () => {
	const sync =
		"Sync {\n\tMode FTFW { }\n\tUDP { IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.2 Port 1 }\n}\n";
	const right = join(folder, "right.conf");
	writeFileSync(right, `${sync}General { HashLimit 3 }\n`);
	const limit = `${right}:5:11: warning: HashLimit 3 is less than HashSize 65536: no more than 3 entries are kept, twice nf_conntrack_max is advised`;
	const open = `${right}: warning: the dedicated link is not authenticated: whoever reaches it can insert connections`;
	const away = `${right}: warning: the dedicated link of line 3 cannot be opened here: no interface has the address 10.0.0.1: name one with "Interface"`;
	assert.deepEqual(await check("--check", "-C", right), {
		status: 0,
		stdout: `${right}: valid, 3 warnings\n`,
		stderr: `${limit}\n${open}\n${away}\n`,
	});
	const printed = await check("-C", right, "--check", "-v");
	assert.match(
		printed.stdout,
		/^Sync \{\n\tMode FTFW \{\n\t\tResendQueueSize 131072\n.*\tHashLimit 3\n.*\}\n$/s,
	);
	assert.equal(printed.status, 0);
	const again = join(folder, "again.conf");
	writeFileSync(again, printed.stdout);
	assert.equal((await check("--check", "-v", "-C", again)).stdout, printed.stdout);

	const wrong = join(folder, "wrong.conf");
	writeFileSync(wrong, `${sync}General {\n\tHashsize 3\n}\n`);
	const told = `${wrong}:6:2: error: unknown word "Hashsize": upper and lower case count (did you mean "HashSize"?)`;
	assert.deepEqual(await check("--check", "-C", wrong), {
		status: 1,
		stdout: "",
		stderr: `${told}\n${wrong}: 1 error\n`,
	});
	const json = await check("check", "--json", "-C", wrong);
	assert.deepEqual([json.status, json.stderr], [1, ""]);
	assert.deepEqual(JSON.parse(json.stdout), {
		version: 1,
		kind: "check",
		file: wrong,
		valid: false,
		problems: [
			{
				severity: "error",
				file: wrong,
				line: 6,
				column: 2,
				message: 'unknown word "Hashsize": upper and lower case count',
				suggestion: "HashSize",
			},
		],
	});
	const verbose = JSON.parse((await check("check", "-v", "--json", "-C", right)).stdout);
	assert.deepEqual([verbose.valid, verbose.configuration], [true, printed.stdout]);
	const [first, second] = verbose.problems;
	assert.deepEqual([first.severity, first.line, second.line], ["warning", 5, undefined]);
	// valid, and perhaps not what was meant
	const none = await check("--check", "-v", "-C", config);
	assert.match(none.stderr, /warning: no running mode specified: collecting statistics/);
	assert.equal(none.status, 0);
	assert.match(
		(await check("--check", "-C", join(folder, "none"))).stderr,
		/^error: cannot open config file/,
	);
	for (const words of [["x"], ["-z"], ["-C"], ["-d"]])
		assert.equal((await check("--check", ...words)).status, 1);
	assert.equal((await check("-s", "--check")).status, 1);
});

test("what cannot be printed is a failure with a line, and no stack", () => {
	const full = openSync("/dev/full", "w");
	try {
		for (const argv of [
			["-v"],
			["-h"],
			["keygen"],
			["--check", "-C", config],
			["check", "--json", "-C", config],
		]) {
			const { status, stderr } = spawnSync(process.execPath, [whole, ...argv], {
				stdio: ["ignore", full, "pipe"],
				encoding: "utf8",
			});
			assert.match(stderr, /^\[.*\[ERROR\] can't write: ENOSPC: no space left on device, write\n$/m);
			assert.doesNotMatch(stderr, /^ +at /m);
			assert.equal(status, 1, argv[0]);
		}
	} finally {
		closeSync(full);
	}
});

test("wrong usage names the mistake and where the usage stands, and ends with status 1", async () => {
	const result = await ctsync("-z");
	assert.equal(result.stdout, "");
	const [line, hint, end] = result.stderr.split("\n");
	assert.deepEqual(undressed(`${line}\n`), ["[ERROR] Unknown option: -z"]);
	assert.deepEqual([hint, end], ["ctsync --help shows how it is used", ""]);
	assert.equal(result.status, 1);
	const parameter = await ctsync("-s", "nonsense");
	assert.equal(parameter.stdout, "");
	assert.deepEqual(undressed(parameter.stderr), ["[ERROR] unknown parameter `nonsense' for option `-s'"]);
	assert.equal(parameter.status, 1);
});

test("a client command prints the daemon's answer", async () => {
	answer = `line 1\nline 2\n${encodeReply({ status: 0 })}`;
	asked.length = 0;
	assert.deepEqual(await ctsync("-C", config, "-e", "exp", "-x"), {
		status: 0,
		stdout: "line 1\nline 2\n",
		stderr: "",
	});
	assert.deepEqual(asked, [Opcode.dumpExternalExpectXml]);
});

test("a command that the daemon refuses ends with status 1 and its reason", async () => {
	answer = encodeReply({ status: 1, error: "commit already in progress" });
	const result = await ctsync("-c", "-C", config);
	assert.equal(result.stdout, "");
	assert.deepEqual(undressed(result.stderr), ["[ERROR] commit already in progress"]);
	assert.equal(result.status, 1);
});

test("a client command never loads the daemon", async () => {
	rmSync(join(dist, "loaded"), { force: true });
	answer = encodeReply({ status: 0 });
	assert.equal((await ctsync("-C", config, "-s")).status, 0);
	assert.ok(!existsSync(join(dist, "loaded")));
});

test("a client command without a daemon names the socket", async () => {
	const lonely = join(folder, "lonely.conf");
	writeFileSync(lonely, `General { UNIX { Path ${folder}/nobody } }\n`);
	const result = await ctsync("-C", lonely, "-s");
	assert.deepEqual(undressed(result.stderr), [
		`[ERROR] can't connect: is ctsync running? appropriate permissions? (${folder}/nobody: ENOENT)`,
	]);
	assert.equal(result.status, 1);
});

/** As `ctsync ... | head -1`: reads a little and closes its end. */
async function head(...argv: string[]): Promise<Omit<Result, "stdout">> {
	const child = spawn(process.execPath, [program, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
	let stderr = "";
	child.stderr.on("data", (chunk) => {
		stderr += chunk;
	});
	child.stdout.once("data", () => child.stdout.destroy());
	return { status: await new Promise((resolve) => child.on("close", resolve)), stderr };
}

const LINES = "line\n".repeat(1 << 20);

test("a reader that goes away ends a dump quietly, with the status of SIGPIPE", async () => {
	answer = `${LINES}${encodeReply({ status: 0 })}`;
	assert.deepEqual(await head("-C", config, "-e"), { status: 141, stderr: "" });
});

test("a reader that goes away changes nothing about what a commit or a comparison has come to", async () => {
	for (const words of [["-c"], ["commit"], ["verify"]]) {
		answer = `${LINES}${encodeReply({ status: 0 })}`;
		assert.deepEqual(await head("-C", config, ...words), { status: 0, stderr: "" });
		answer = `${LINES}${encodeReply({ status: 1, error: "something was left" })}`;
		const { status, stderr } = await head("-C", config, ...words);
		assert.deepEqual(undressed(stderr), ["[ERROR] something was left"]);
		assert.equal(status, 1, words[0]);
	}
});

test("a configuration that cannot be read is an error for client and daemon", async () => {
	behave("ok");
	for (const argv of [["-s"], ["-d"], []]) {
		const result = await ctsync("-C", "/nonexistent.conf", ...argv);
		const lines = undressed(result.stderr);
		assert.equal(lines.length, 1);
		assert.match(lines[0]!, /^\[ERROR\] .*`\/nonexistent\.conf'/);
		assert.equal(result.status, 1);
	}
	assert.ok(!existsSync(join(dist, "given.json")), "no daemon was started");
});

test("each error and warning of a configuration is a line of its own", async () => {
	const bad = join(folder, "bad.conf");
	writeFileSync(bad, "General {\n\tNonsense 3\n\tGarbage 4\n}\n");
	const errors = undressed((await ctsync("-C", bad, "-s")).stderr);
	assert.equal(errors.length, 2);
	for (const [i, line] of errors.entries()) assert.ok(line.startsWith(`[ERROR] ${bad}:${i + 2}:2: `), line);
	const old = join(folder, "old.conf");
	writeFileSync(old, `General {\n\tUNIX {\n\t\tPath ${control}\n\t\tBacklog 20\n\t}\n}\n`);
	answer = encodeReply({ status: 0 });
	const result = await ctsync("-C", old, "-s");
	const warnings = undressed(result.stderr);
	assert.equal(warnings.length, 1);
	assert.ok(warnings[0]!.startsWith(`[warning] ${old}:4:3: `), warnings[0]);
	assert.equal(result.status, 0);
});

test("the old word for a link is understood with a warning", async () => {
	answer = encodeReply({ status: 0 });
	asked.length = 0;
	const result = await ctsync("-C", config, "-s", "multicast");
	assert.deepEqual(undressed(result.stderr), ["[warning] use `link' instead of `multicast' as parameter."]);
	assert.deepEqual(asked, [Opcode.statsLink]);
});

test("without a command the daemon runs here and its status is ours", async () => {
	behave("return 1");
	assert.deepEqual(await ctsync("-C", config), { status: 1, stdout: "", stderr: "" });
	const { pid, ...rest } = given();
	assert.deepEqual(rest, { configPath: config, unixPath: control, warnings: 0, hasReady: false });
});

test("a daemon that cannot start says why", async () => {
	behave("fail");
	const result = await ctsync("-C", config);
	assert.deepEqual(undressed(result.stderr), ["[ERROR] can't open channel socket: No such device"]);
	assert.equal(result.status, 1);
});

/** Waiting for its end also waits for whoever still holds its output: a background daemon must not. */
function background(...argv: string[]): SpawnSyncReturns<string> {
	return spawnSync(process.execPath, [program, ...argv, "-d"], {
		cwd: folder,
		encoding: "utf8",
		timeout: 20_000,
	});
}

test("-d returns when the daemon is ready and leaves it running in a session of its own", async () => {
	behave("stay");
	const result = background("-C", "a.conf");
	assert.equal(result.stderr, "");
	assert.equal(result.stdout, "");
	assert.equal(result.status, 0);
	const { pid, ...rest } = given();
	try {
		assert.deepEqual(rest, { configPath: config, unixPath: control, warnings: 0, hasReady: true });
		assert.equal(readlinkSync(`/proc/${pid}/cwd`), "/");
		for (const fd of [0, 1, 2]) assert.equal(readlinkSync(`/proc/${pid}/fd/${fd}`), "/dev/null");
		const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
		assert.equal(Number(fields[3]), pid, "leads its session");
	} finally {
		process.kill(pid, "SIGTERM");
	}
	for (let i = 0; i < 200 && existsSync(`/proc/${pid}`); i++) await sleep(20);
	assert.ok(!existsSync(`/proc/${pid}`), "ends by a signal");
});

test("-d tells why the daemon could not start", () => {
	behave("fail");
	const result = background("-C", config);
	assert.deepEqual(undressed(result.stderr), ["[ERROR] can't open channel socket: No such device"]);
	assert.equal(result.status, 1);
});

test("-d notices a daemon that ends without a word", () => {
	const ended = (how: string) => [`[ERROR] the daemon ended before it was ready (${how}), see its log`];
	behave("return 1");
	assert.deepEqual(undressed(background("-C", config).stderr), ended("exit status 1"));
	behave("die");
	const result = background("-C", config);
	assert.deepEqual(undressed(result.stderr), ended("signal SIGKILL"));
	assert.equal(result.status, 1);
});
