// Who may import whom, what the deterministic folders may not touch, and a few rules for every file. The table is
// data; the checker is tried on made-up sources before it judges the real ones.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** What the files of a folder, or one file, may import. Its own folder it always may. */
interface Layer {
	/** Folders, or single files as "folder/file". */
	values: readonly string[];
	/** Of these only types, which are gone at run time. */
	types?: readonly string[];
	/** Only by `import()`, so that they load when they are needed. */
	dynamic?: readonly string[];
	/** Modules of Node. */
	node: readonly string[];
}

const EVERYTHING = ["*"];

const LAYERS: Readonly<Record<string, Layer>> = {
	conntrack: { values: [], node: [] },
	netlink: { values: ["conntrack", "system"], node: ["node:util"] },
	filter: { values: ["conntrack", "netlink/constants", "netlink/socket-filter"], node: [] },
	policy: { values: ["conntrack"], node: [] },
	cache: { values: ["conntrack"], node: [] },
	channel: { values: ["system"], node: [] },
	"channel/tcp-channel": { values: ["system"], node: ["node:net"] },
	sync: { values: ["conntrack", "cache", "policy"], types: ["system/clock"], node: [] },
	commit: { values: ["conntrack", "cache", "filter", "netlink", "policy", "system"], node: [] },
	"commit/worker": {
		values: ["conntrack", "cache", "filter", "netlink", "system"],
		node: ["node:worker_threads"],
	},
	"commit/commit-worker": {
		values: ["conntrack", "cache", "filter", "netlink", "system"],
		node: ["node:worker_threads"],
	},
	"commit/rehearsal": {
		values: ["conntrack", "cache", "filter", "netlink", "system"],
		node: ["node:fs"],
	},
	config: { values: ["conntrack"], node: [] },
	"config/load": { values: ["conntrack"], node: ["node:fs", "node:util"] },
	control: {
		values: ["conntrack", "cache", "policy/codes", "system"],
		node: ["node:fs", "node:net", "node:path", "node:stream"],
	},
	accounting: {
		values: ["conntrack", "control", "system"],
		types: ["cache", "netlink"],
		node: ["node:fs"],
	},
	stats: {
		values: [
			"conntrack/kind",
			"conntrack/node-id",
			"control/request",
			"policy/codes",
			"sync/in-flight",
			"sync/mode",
			"sync/peer-differences",
		],
		types: EVERYTHING,
		node: [],
	},
	security: {
		values: ["sync/wire/frame", "sync/wire/seal"],
		types: ["config", "system/native"],
		node: ["node:crypto", "node:fs", "node:path", "node:buffer"],
	},
	cli: {
		values: [
			"config",
			"conntrack",
			"control/client",
			"control/commit-request",
			"control/request",
			"policy",
			"security",
			"system",
		],
		node: ["node:stream"],
	},
	system: { values: [], node: EVERYTHING },
	daemon: { values: EVERYTHING, dynamic: ["stats-daemon"], node: EVERYTHING },
	"stats-daemon": { values: EVERYTHING, node: EVERYTHING },
	operations: { values: EVERYTHING, node: EVERYTHING },
	failover: { values: EVERYTHING, node: EVERYTHING },
	overrun: { values: ["system/clock"], types: ["system/log"], node: [] },
	purge: { values: EVERYTHING, node: EVERYTHING },
	verification: { values: EVERYTHING, node: EVERYTHING },
	"entry-rules": { values: EVERYTHING, node: EVERYTHING },
	"dedicated-link": { values: EVERYTHING, node: EVERYTHING },
	"keys-in-use": { values: EVERYTHING, node: EVERYTHING },
	"expectation-checks": { values: EVERYTHING, node: EVERYTHING },
	"direct-injection": { values: EVERYTHING, node: EVERYTHING },
	"injection-kit": { values: EVERYTHING, node: EVERYTHING },
	"event-router": { values: EVERYTHING, node: EVERYTHING },
	"event-source": { values: ["kernel-poll", "netlink", "setup"], types: EVERYTHING, node: [] },
	"expectation-masters": { values: EVERYTHING, node: EVERYTHING },
	"expectation-watch": { values: EVERYTHING, node: EVERYTHING },
	setup: { values: EVERYTHING, node: EVERYTHING },
	settings: { values: ["config"], node: [] },
	admission: { values: EVERYTHING, node: [] },
	boot: { values: EVERYTHING, node: EVERYTHING },
	"conntrack-rules": { values: ["conntrack", "filter"], types: ["cache"], node: [] },
	"own-connections": { values: ["conntrack", "purge"], types: ["cache", "system/clock"], node: [] },
	"young-entries": { values: ["conntrack", "cache"], types: ["system/clock"], node: [] },
	reload: { values: ["config/config"], types: ["settings", "system/log"], node: [] },
	"kernel-poll": { values: [], types: ["system/clock"], node: [] },
	check: { values: ["config", "security/key-ring", "setup", "system/native"], node: [] },
	main: {
		values: ["cli", "config", "control/client", "system/log", "system/clock", "system/reason"],
		dynamic: ["daemon", "check", "system/memory"],
		node: EVERYTHING,
	},
};

/** No clock, no timer, no chance: whatever happens there can be made to happen again. */
const DETERMINISTIC = ["sync", "cache", "policy"];
const FORBIDDEN_GLOBALS = [
	"Date",
	"setTimeout",
	"setInterval",
	"setImmediate",
	"performance",
	"crypto",
	"Math.random",
	"process.hrtime",
	"process.uptime",
];

const LINES_MAX = 400;
/** In two pieces, so that this file is not its own violation. */
const UNFINISHED = new RegExp(`\\b(TO${""}DO|FIX${""}ME)\\b`);

/** Test code that is no test itself. Other such files begin with "// For tests". */
const TEST_CODE = ["sync/simulation.ts"];

interface Source {
	/** Below src, as in "sync/ftfw.ts". */
	path: string;
	text: string;
}

interface Import {
	specifier: string;
	kind: "value" | "type" | "dynamic";
	line: number;
}

const isTestCode = ({ path, text }: Source): boolean =>
	path.endsWith(".test.ts") || TEST_CODE.includes(path) || text.startsWith("// For tests");

/** One line for each rule that is broken. */
function violations(sources: readonly Source[]): string[] {
	const found: string[] = [];
	const testCode = new Set(sources.filter(isTestCode).map(({ path }) => moduleOf(path)));
	const graph = new Map<string, string[]>();
	for (const source of sources) {
		const { path, text } = source;
		const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
		const complain = (line: number, what: string) => found.push(`${path}:${line}: ${what}`);
		text.split("\n").forEach((line, i) => {
			if (UNFINISHED.test(line)) complain(i + 1, "is unfinished");
		});
		eachNode(file, (node) => {
			if (ts.isEnumDeclaration(node)) complain(lineOf(node), "has an enum");
			if (ts.isModuleDeclaration(node)) complain(lineOf(node), "has a namespace");
		});
		if (isTestCode(source)) continue;
		const lines = text.split("\n").length - 1;
		if (lines > LINES_MAX) complain(lines, `has more than ${LINES_MAX} lines`);
		for (const node of file.statements) {
			if (ts.isVariableStatement(node) && (node.declarationList.flags & ts.NodeFlags.Const) === 0)
				complain(lineOf(node), "has mutable state of the module");
		}
		const imports = importsOf(file);
		for (const one of imports) {
			const problem = judge(path, one, testCode);
			if (problem) complain(one.line, problem);
		}
		const loaded = imports.filter(({ kind, specifier }) => kind === "value" && specifier.startsWith("."));
		graph.set(
			moduleOf(path),
			loaded.map(({ specifier }) => resolve(path, specifier)),
		);
		if (DETERMINISTIC.includes(folderOf(path))) {
			eachNode(file, (node) => {
				const name = globalName(node);
				if (name && FORBIDDEN_GLOBALS.includes(name)) complain(lineOf(node), `uses ${name}`);
			});
		}
	}
	return [...found, ...cycles(graph)];
}

/** What is wrong with one import, undefined if nothing is. */
function judge(path: string, { specifier, kind }: Import, testCode: ReadonlySet<string>): string | undefined {
	const layer = LAYERS[moduleOf(path)] ?? LAYERS[folderOf(path)];
	if (!layer) return `is in no layer of the table: ${folderOf(path) || moduleOf(path)}`;
	const allows = (list: readonly string[] | undefined, target: string): boolean =>
		list !== undefined && (list === EVERYTHING || list.includes(target) || list.includes(folderOf(target)));
	if (specifier.startsWith("node:")) {
		return allows(layer.node, specifier) ? undefined : `may not import ${specifier}`;
	}
	if (!specifier.startsWith(".")) return `imports a package: ${specifier}`;
	const target = resolve(path, specifier);
	if (testCode.has(target)) return `imports test code: ${target}`;
	if (folderOf(path) !== "" && folderOf(target) === folderOf(path)) return undefined;
	if (allows(layer.values, target)) return undefined;
	if (kind === "type") return allows(layer.types, target) ? undefined : `may not import types of ${target}`;
	if (kind === "dynamic" && allows(layer.dynamic, target)) return undefined;
	return `may not import ${target}`;
}

/** "sync/wire/frame.ts" -> "sync"; "" for the files of src itself. */
const folderOf = (path: string): string => (path.includes("/") ? path.split("/")[0]! : "");
const moduleOf = (path: string): string => path.replace(/\.ts$/, "");

function resolve(from: string, specifier: string): string {
	return moduleOf(new URL(specifier, `file:///${from}`).pathname.slice(1));
}

function importsOf(file: ts.SourceFile): Import[] {
	const imports: Import[] = [];
	const add = (node: ts.Node, specifier: ts.Node | undefined, kind: Import["kind"]) => {
		if (specifier && ts.isStringLiteralLike(specifier)) {
			imports.push({ specifier: specifier.text, kind, line: lineOf(node) });
		}
	};
	eachNode(file, (node) => {
		if (ts.isImportDeclaration(node)) {
			add(node, node.moduleSpecifier, node.importClause?.isTypeOnly ? "type" : "value");
		} else if (ts.isExportDeclaration(node)) {
			add(node, node.moduleSpecifier, node.isTypeOnly ? "type" : "value");
		} else if (ts.isImportTypeNode(node)) {
			add(node, ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined, "type");
		} else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
			add(node, node.arguments[0], "dynamic");
		}
	});
	return imports;
}

/** `Date` or `Math.random` where that is what the expression names; properties and types of that name are others. */
function globalName(node: ts.Node): string | undefined {
	if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)) {
		return `${node.expression.text}.${node.name.text}`;
	}
	if (!ts.isIdentifier(node)) return undefined;
	const { parent } = node;
	const isName =
		(ts.isPropertyAccessExpression(parent) && parent.name === node) ||
		((ts.isPropertyAssignment(parent) || ts.isMethodDeclaration(parent) || ts.isPropertySignature(parent)) &&
			parent.name === node);
	return isName ? undefined : node.text;
}

function eachNode(node: ts.Node, visit: (node: ts.Node) => void): void {
	visit(node);
	ts.forEachChild(node, (child) => eachNode(child, visit));
}

const lineOf = (node: ts.Node): number =>
	node.getSourceFile().getLineAndCharacterOfPosition(node.getStart()).line + 1;

/** Files that load each other in a circle. */
function cycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
	const found: string[] = [];
	const done = new Set<string>();
	const walk = (file: string, way: readonly string[]): void => {
		const at = way.indexOf(file);
		if (at >= 0) found.push(`${file}.ts: imports itself: ${[...way.slice(at), file].join(" > ")}`);
		if (at >= 0 || done.has(file)) return;
		for (const next of graph.get(file) ?? []) walk(next, [...way, file]);
		done.add(file);
	};
	for (const file of graph.keys()) walk(file, []);
	return found;
}

/** What is wrong with one made-up file. */
const faults = (path: string, text: string): string[] => violations([{ path, text }]);

test("the checker sees every way of importing", () => {
	const target = "../sync/ftfw.ts";
	const ways = [
		`import { Ftfw } from "${target}";`,
		`import * as ftfw from "${target}";`,
		`import "${target}";`,
		`import { type Ftfw } from "${target}";`,
		`export { Ftfw } from "${target}";`,
		`export * from "${target}";`,
		`const { Ftfw } = await import("${target}");`,
		`import {\n\tFtfw,\n} from "${target}";`,
	];
	for (const way of ways)
		assert.deepEqual(faults("netlink/x.ts", way), ["netlink/x.ts:1: may not import sync/ftfw"]);
	for (const way of [`import type { Ftfw } from "${target}";`, `type X = import("${target}").Ftfw;`]) {
		assert.deepEqual(faults("netlink/x.ts", way), ["netlink/x.ts:1: may not import types of sync/ftfw"]);
	}
});

test("the checker is not taken in by comments and strings", () => {
	const text = `
		// import { Ftfw } from "../sync/ftfw.ts"; Date.now()
		/* enum X {} namespace Y {} import("../sync/ftfw.ts") */
		const text = 'import { Ftfw } from "../sync/ftfw.ts"; setTimeout(Math.random, Date.now())';
		const other = { Date: 1, performance: text }.Date;
	`;
	assert.deepEqual(faults("cache/x.ts", text), []);
});

test("the checker follows the table", () => {
	const may = (path: string, text: string) => faults(path, text).length === 0;
	assert.ok(may("sync/x.ts", 'import { A } from "../cache/slab.ts";'));
	assert.ok(may("sync/x.ts", 'import type { Clock } from "../system/clock.ts";'));
	assert.ok(!may("sync/x.ts", 'import { systemClock } from "../system/clock.ts";'));
	assert.ok(!may("sync/x.ts", 'import type { Log } from "../system/log.ts";'));
	assert.ok(
		may("sync/wire/x.ts", 'import { A } from "../ftfw.ts"; import { B } from "../../cache/slab.ts";'),
	);
	for (const name of ["node:dgram", "node:net", "node:crypto"]) {
		assert.ok(!may("sync/x.ts", `import * as x from "${name}";`));
	}
	assert.ok(may("commit/worker.ts", 'import { parentPort } from "node:worker_threads";'));
	assert.ok(!may("commit/other.ts", 'import { parentPort } from "node:worker_threads";'));
	assert.ok(may("stats/x.ts", 'import type { Ftfw } from "../sync/ftfw.ts";'));
	assert.ok(!may("stats/x.ts", 'import { Ftfw } from "../sync/ftfw.ts";'));
	assert.ok(may("stats/x.ts", 'import { KINDS } from "../conntrack/kind.ts";'));
	assert.ok(!may("stats/x.ts", 'import { IPS_DYING } from "../conntrack/status.ts";'));
	assert.ok(may("main.ts", 'await import("./daemon.ts");'));
	assert.ok(!may("main.ts", 'import { runDaemon } from "./daemon.ts";'));
	assert.ok(may("daemon.ts", 'import { x } from "./sync/ftfw.ts"; import { y } from "node:crypto";'));
	assert.ok(!may("cache/x.ts", 'import { pack } from "msgpackr";'));
	assert.ok(!may("newfolder/x.ts", 'import { x } from "../conntrack/kind.ts";'));
});

test("the checker finds what is not deterministic", () => {
	const used = (text: string) => faults("sync/x.ts", text).map((fault) => fault.replace(/.*uses /, ""));
	assert.deepEqual(used("const a = Date.now(); const b = new Date();"), ["Date", "Date"]);
	assert.deepEqual(used("setTimeout(f, 1); setInterval(f, 1); setImmediate(f);"), [
		"setTimeout",
		"setInterval",
		"setImmediate",
	]);
	assert.deepEqual(used("performance.now() + Math.random() + process.hrtime.bigint();"), [
		"performance",
		"Math.random",
		"process.hrtime",
	]);
	assert.deepEqual(used("Math.floor(1); this.performance.now();"), []);
	assert.deepEqual(faults("system/x.ts", "Date.now()"), []);
	assert.deepEqual(faults("sync/x.test.ts", "Date.now()"), []);
	assert.deepEqual(faults("sync/simulation.ts", "Math.random()"), []);
});

test("the checker finds enums, namespaces, unfinished work, mutable modules, long files, test code in use, and circles", () => {
	assert.deepEqual(faults("cache/x.ts", "\nenum A { b }"), ["cache/x.ts:2: has an enum"]);
	assert.deepEqual(faults("cache/x.test.ts", "const enum A { b }"), ["cache/x.test.ts:1: has an enum"]);
	assert.deepEqual(faults("cache/x.ts", "namespace A { export const b = 1 }"), [
		"cache/x.ts:1: has a namespace",
	]);
	assert.deepEqual(faults("cache/x.ts", `a();\n// TO${""}DO: b`), ["cache/x.ts:2: is unfinished"]);
	assert.deepEqual(faults("cache/x.ts", "a();\n".repeat(LINES_MAX)), []);
	assert.equal(faults("cache/x.ts", "a();\n".repeat(LINES_MAX + 1)).length, 1);
	assert.deepEqual(faults("cache/x.test.ts", "a();\n".repeat(LINES_MAX + 1)), []);
	assert.deepEqual(faults("cache/x.ts", "const a = 1;\nexport let b = 2;\nfunction f() { let c = 3; }"), [
		"cache/x.ts:2: has mutable state of the module",
	]);
	assert.deepEqual(faults("cache/x.test.ts", "let a = 1;"), []);
	const inUse = violations([
		{ path: "cache/helper.ts", text: '// For tests: something.\nimport fc from "fast-check";\n' },
		{ path: "cache/x.ts", text: 'import { a } from "./helper.ts";' },
		{ path: "cache/x.test.ts", text: 'import { a } from "./helper.ts";' },
	]);
	assert.deepEqual(inUse, ["cache/x.ts:1: imports test code: cache/helper"]);
	const circle = violations([
		{ path: "cache/a.ts", text: 'import { b } from "./b.ts";' },
		{ path: "cache/b.ts", text: 'import { c } from "./c.ts"; import type { d } from "./d.ts";' },
		{ path: "cache/c.ts", text: 'import { a } from "./a.ts";' },
		{ path: "cache/d.ts", text: 'import { a } from "./a.ts";' },
	]);
	assert.deepEqual(circle, ["cache/a.ts: imports itself: cache/a > cache/b > cache/c > cache/a"]);
});

test("every source keeps to the rules", () => {
	const root = fileURLToPath(new URL("../src/", import.meta.url));
	const sources = readdirSync(root, { recursive: true, encoding: "utf8" })
		.filter((path) => path.endsWith(".ts"))
		.map((path) => ({ path, text: readFileSync(`${root}${path}`, "utf8") }));
	assert.ok(sources.length > 100, "the sources are where this test looks for them");
	assert.deepEqual(violations(sources), []);
});
