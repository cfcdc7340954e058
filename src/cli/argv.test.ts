// The numbers were read from the control socket while conntrackd 1.4.7 was called with the same words.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ClientCommand, type Command, parseArgv } from "./argv.ts";

const parse = (line: string): Command => parseArgv(line === "" ? [] : line.split(" "));

const OPCODES: readonly (readonly [line: string, op: number])[] = [
	["-c", 46],
	["-c ct", 18],
	["-c c", 18],
	["-c e", 42],
	["-c exp", 42],
	["-c expect", 42],
	["-f", 45],
	["-f i", 33],
	["-f internal", 33],
	["-f e", 34],
	["-f ext", 34],
	["-F", 43],
	["-F ct", 0],
	["-F e", 38],
	["-i", 16],
	["-i ct", 16],
	["-i c", 16],
	["-i e", 40],
	["-i exp", 40],
	["-i -x", 24],
	["-i ct -x", 24],
	["-i exp -x", 47],
	["-e", 17],
	["-e e", 41],
	["-e -x", 25],
	["-e exp -x", 48],
	["-k", 20],
	["-s", 21],
	["-s n", 28],
	["-s network", 28],
	["-s c", 29],
	["-s ca", 29],
	["-s r", 30],
	["-s ru", 30],
	["-s rs", 32],
	["-s rsqueue", 32],
	["-s l", 31],
	["-s m", 31],
	["-s q", 36],
	["-s p", 35],
	["-s e", 37],
	["-s ct", 21],
	["-R", 44],
	["-R ct", 1],
	["-R e", 39],
	["-n", 23],
	["-B", 22],
	["-t", 26],
	["-i -e", 17],
	["-e -i", 16],
	["-c -i", 16],
	["-i -c", 46],
	["-i -x -e", 17],
	["-i e -x -n", 23],
	["-e exp -x -i", 16],
	["-k -i -x", 24],
	["-n -n", 23],
];

for (const [line, op] of OPCODES) {
	test(`ctsync ${line} asks for ${op}`, () => {
		const command = parse(line);
		assert.equal(command.kind, "client");
		assert.equal(command.kind === "client" && command.op, op);
	});
}

test("without a command the daemon runs in the foreground", () => {
	assert.deepEqual(parse(""), { kind: "daemon", background: false });
	assert.deepEqual(parse("-C a.conf"), { kind: "daemon", background: false, config: "a.conf" });
	assert.deepEqual(parse("-d"), { kind: "daemon", background: true });
	assert.deepEqual(parse("-d -C a.conf"), { kind: "daemon", background: true, config: "a.conf" });
});

test("the configuration file may stand anywhere, the last one counts", () => {
	assert.deepEqual(parse("-C a.conf -s ca"), { kind: "client", op: 29, config: "a.conf" });
	assert.deepEqual(parse("-i exp -C a.conf -x -C b.conf"), { kind: "client", op: 47, config: "b.conf" });
});

test("the old word for a link is understood with a warning", () => {
	assert.deepEqual(parse("-s multicast"), {
		kind: "client",
		op: 31,
		warning: "use `link' instead of `multicast' as parameter.",
	});
	assert.deepEqual(parse("-s multicast -s link"), { kind: "client", op: 31 });
});

test("version and help are shown wherever they are met, mistakes behind them are not seen", () => {
	assert.deepEqual(parse("-v"), { kind: "version" });
	assert.deepEqual(parse("-i -v"), { kind: "version" });
	assert.deepEqual(parse("-h"), { kind: "help" });
	assert.deepEqual(parse("-i -h -z"), { kind: "help" });
	assert.deepEqual(parse("--version"), { kind: "version" });
	assert.deepEqual(parse("-i --help -z"), { kind: "help" });
});

test("an option that is not known is an error", () => {
	const lines = ["-z", "--halp", "-S", "nonsense", "--", "-", "-ix", "-i --"];
	for (const line of lines) {
		const message = `Unknown option: ${line.split(" ").at(-1)}`;
		assert.deepEqual(parse(line), { kind: "error", message, pointsToHelp: true });
	}
	assert.deepEqual(parseArgv([""]), { kind: "error", message: "Unknown option: ", pointsToHelp: true });
	assert.deepEqual(parse("-z -h"), { kind: "error", message: "Unknown option: -z", pointsToHelp: true });
});

test("a parameter that is not known is taken for an option", () => {
	for (const line of [
		"-c x",
		"-F x",
		"-i x",
		"-e x",
		"-R x",
		"-n ct",
		"-B x",
		"-t x",
		"-k x",
		"-i -x ct",
		"-i expects",
	]) {
		const message = `Unknown option: ${line.split(" ").at(-1)}`;
		assert.deepEqual(parse(line), { kind: "error", message, pointsToHelp: true });
	}
	assert.deepEqual(parseArgv(["-i", ""]), { kind: "error", message: "Unknown option: ", pointsToHelp: true });
});

test("a parameter of -s and -f that is not known is named", () => {
	for (const [flag, word] of [
		["-s", "nonsense"],
		["-s", "ctx"],
		["-s", "networks"],
		["-f", "x"],
		["-f", ""],
	] as const) {
		assert.deepEqual(parseArgv([flag, word]), {
			kind: "error",
			message: `unknown parameter \`${word}' for option \`${flag}'`,
			pointsToHelp: false,
		});
	}
});

test("what does not go together is invalid", () => {
	for (const line of [
		"-x",
		"-x -i",
		"-s -x",
		"-i exp -x -x",
		"-i -k -x",
		"-d -i",
		"-i -d",
		"-d -s",
		"-f -x",
	]) {
		assert.deepEqual(parse(line), { kind: "error", message: "Invalid parameters", pointsToHelp: true }, line);
	}
});

test("-C without a file name starts nothing", () => {
	const error = { kind: "error", message: "Missing config filename", pointsToHelp: true };
	assert.deepEqual(parse("-C"), error);
	assert.deepEqual(parse("-i -C"), error);
	assert.deepEqual(parseArgv(["-C", "", "-i"]), error);
});

test("--json asks whatever prints for JSON", () => {
	for (const line of ["-i", "-e", "-i exp", "-e ct", "-s", "-s network", "-s p", "-s expect", "-s rs"]) {
		const plain = parse(line);
		assert.deepEqual(parse(`${line} --json`), { ...plain, form: "json" }, line);
		assert.deepEqual(parse(`${line} --json -C a`), { ...plain, form: "json", config: "a" }, line);
	}
	assert.equal(
		(parse("-s multicast --json") as ClientCommand).warning,
		(parse("-s m") as ClientCommand).warning,
	);
	assert.deepEqual(parse("-s --json -i"), parse("-i"));
	for (const line of [
		"-f --json",
		"-R --json",
		"-i -x --json",
		"-i --json -x",
		"-t --json",
		"-i --json --json -x",
	]) {
		assert.deepEqual(parse(line), { kind: "error", message: "Invalid parameters", pointsToHelp: true }, line);
	}
});

const LONG: readonly (readonly [long: string, short: string])[] = [
	["stats", "-s"],
	["stats net", "-s network"],
	["stats expect --json", "-s expect --json"],
	["dump internal", "-i"],
	["dump int ct", "-i ct"],
	["dump external expect --xml", "-e expect -x"],
	["dump external --json", "-e --json"],
	["dump e e --json", "-e e --json"],
	["flush internal", "-f internal"],
	["flush ext", "-f external"],
	["flush caches", "-f"],
	["flush kernel", "-F"],
	["flush kernel exp", "-F exp"],
	["resync", "-R"],
	["resync ct -C a", "-R ct -C a"],
	["request", "-n"],
	["bulk", "-B"],
	["purge", "-t"],
	["stop", "-k"],
];

for (const [long, short] of LONG) {
	test(`ctsync ${long} is ctsync ${short}`, () => {
		assert.equal(parse(short).kind, "client");
		assert.deepEqual(parse(long), parse(short));
		assert.deepEqual(parse(`-C b ${long}`), parse(long.includes("-C") ? short : `${short} -C b`));
	});
}

test("words that say too little, too much or something else are errors that name what may stand there", () => {
	for (const [line, message] of [
		["dump", "dump takes internal, external"],
		["dump kernel", "dump takes internal, external"],
		["flush", "flush takes internal, external, caches, kernel"],
		["flush internal ct", "flush internal takes no parameter, not `ct'"],
		["flush kernel ct expect", "flush kernel takes one of ct, expect, not `expect'"],
		["stats nonsense", /^stats takes one of network, cache, .*, not `nonsense'$/],
		["stop now", "stop takes no parameter, not `now'"],
		["stats --xml", "stats has no --xml"],
		["flush kernel --json", "flush kernel has no --json"],
		["dump internal --xml --json", "one of --xml and --json"],
		["dump internal -i", "Unknown option: -i"],
		["bulk -C", "Missing config filename"],
		["-d stop", "Invalid parameters"],
	] as const) {
		const command = parse(line);
		assert.equal(command.kind, "error", line);
		if (command.kind !== "error") continue;
		if (typeof message === "string") assert.equal(command.message, message);
		else assert.match(command.message, message);
	}
});

test("what else prints has a form in JSON", () => {
	assert.deepEqual(parse("verify --json --peer a"), { ...parse("verify --peer a"), form: "json" });
	assert.deepEqual(parse("policy rejected --json"), { ...parse("policy rejected"), form: "json" });
	assert.deepEqual(parse("policy test - --json"), { ...parse("policy test -"), form: "json" });
	assert.deepEqual(parse("--check --json"), { ...parse("--check"), form: "json" });
	assert.deepEqual(parse("check -v"), parse("--check -v"));
});
