// The clauses of Filter that conntrackd does not have.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError, parseConfig } from "./config.ts";
import { printConfig } from "./print.ts";

const filterOf = (text: string) => parseConfig(`General {\nFilter {\n${text}\n}\n}`, "f");

function errors(text: string): string[] {
	try {
		filterOf(text);
		return [];
	} catch (error) {
		assert.ok(error instanceof ConfigError);
		return error.problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
	}
}

test("every clause is read, joined and printed again", () => {
	const { config, warnings } = filterOf(`
		Mark Accept { 7 0x10/0xf0 }
		Mark Accept { 0xffffffff }
		Zone Ignore { 5 0 5 }
		Label Accept { 127 3 }
		MinimumAge 10
		OwnConnections Ignore`);
	assert.deepEqual(warnings, []);
	const { filter } = config.general;
	assert.deepEqual(filter, {
		from: "userspace",
		mark: {
			accept: true,
			marks: [
				{ value: 7, mask: 0xffffffff },
				{ value: 0x10, mask: 0xf0 },
				{ value: 0xffffffff, mask: 0xffffffff },
			],
		},
		zone: { accept: false, zones: [5, 0] },
		label: { accept: true, labels: [3, 127] },
		minimumAge: 10,
		ownConnections: "Ignore",
	});
	assert.deepEqual(parseConfig(printConfig(config), "f").config.general.filter, filter);
});

test("none of them is there unless it is written", () => {
	assert.deepEqual(filterOf("Protocol Accept { TCP }").config.general.filter, {
		from: "userspace",
		protocol: { accept: true, protocols: [6] },
	});
});

test("what is no mark, zone, label or age is named with its place", () => {
	const no = (mark: string) =>
		`3:15 "${mark}" is no mark: VALUE or VALUE/MASK, numbers of 32 bits like 7 or 0x10/0xf0`;
	for (const mark of ["x", "0x", "1/2/3", "/1", "1/", "0x100000000", "4294967296", "-1", "1/-1"])
		assert.deepEqual(errors(`Mark Accept { ${mark} }`), [no(mark)]);
	for (const zone of ["65536", "x", "-1"])
		assert.deepEqual(errors(`Zone Accept { ${zone} }`), [
			`3:15 "${zone}" is no zone: a number from 0 to 65535, 0 for no zone`,
		]);
	assert.match(errors("Label Ignore { 128 }")[0]!, /^3:16 "128": a label is a number from 0 to 127/);
	assert.match(errors("MinimumAge 0")[0]!, /^3:12 /);
	assert.match(errors("OwnConnections Perhaps")[0]!, /^3:16 .*Accept.*Ignore/);
	assert.equal(errors("Mark { 1 }").length, 1);
});

test("what can mean nothing is told", () => {
	const [warning] = filterOf("Mark Ignore { 0x13/0xf0 }").warnings;
	assert.match(warning!.message, /no connection has the mark "0x13\/0xf0"/);
	assert.match(filterOf("Zone Accept { }").warnings[0]!.message, /Zone accepts nothing/);
	const stats = parseConfig("Stats { } General { Filter { MinimumAge 3 } }", "f");
	assert.match(stats.warnings[0]!.message, /MinimumAge has no effect without Sync/);
});
