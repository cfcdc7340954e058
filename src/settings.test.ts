import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { changes } from "./config/changes.ts";
import { DIRECTIVES } from "./config/directives.ts";
import { loadConfig } from "./config/load.ts";
import { Settings } from "./settings.ts";

const folder = mkdtempSync(join(tmpdir(), "ctsync-settings-"));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, "a.conf");

const LINK = "Multicast { IPv4_address 225.0.0.50 Group 3780 Interface eth3 }";
const file = (values: { [word: string]: string | number }): string => {
	const get = (word: string): string => (values[word] === undefined ? "" : `${word} ${values[word]}`);
	return `Sync { Mode FTFW { ${get("PurgeTimeout")} ${get("CommitTimeout")} } ${LINK} }
		General { ${get("LogFile")} ${get("HashLimit")} ${get("NetlinkOverrunResync")} Security { KeyFile ${values.KeyFile ?? "/k"} } }`;
};

function settingsOf(text: string): Settings {
	writeFileSync(path, text);
	return new Settings(path, loadConfig(path).config);
}

const reload = (settings: Settings, text: string): string[] => {
	writeFileSync(path, text);
	return settings.reload().changes.map(({ directive, reload }) => `${directive}${reload ? "" : " waits"}`);
};

/** A value other than the default for every directive that can be reloaded. */
const RELOADED = { LogFile: "/l", NetlinkOverrunResync: 7, PurgeTimeout: 8, KeyFile: "/other" };

test("every directive that the table calls reloadable is taken over, and nothing else", () => {
	const inTable = DIRECTIVES.filter((spec) => spec.reload).map((spec) => spec.word);
	// LogFile stands in Stats, too, which cannot be there together with Sync
	assert.deepEqual([...new Set(inTable)].toSorted(), Object.keys(RELOADED).toSorted());

	const settings = settingsOf(file({}));
	const found = reload(settings, file({ ...RELOADED, HashLimit: 99_999, CommitTimeout: 100 }));
	assert.equal(found.length, 6);
	assert.equal(found.filter((line) => line.endsWith(" waits")).length, 2);
	const { current } = settings;
	assert.equal(current.general.logFile, "/l");
	assert.equal(current.general.netlinkOverrunResync, 7);
	assert.equal(current.sync!.purgeTimeout, 8);
	assert.equal(current.security!.keyFile, "/other");
	assert.equal(current.general.hashLimit, 262_144);
	// what waits for a restart is told again
	const left = changes(current, loadConfig(path).config).map(({ directive, reload }) => [directive, reload]);
	assert.deepEqual(left, [
		["Sync Mode CommitTimeout", false],
		["General HashLimit", false],
	]);
	assert.deepEqual(reload(settings, file(RELOADED)), [], "and no more when it is taken back");
});

test("the log of flows is taken over, and nothing else of Stats", () => {
	const settings = settingsOf("Stats { LogFile /one Syslog on }");
	const found = reload(settings, "Stats { LogFile /two Syslog off }");
	assert.deepEqual(found, ["Stats LogFile", "Stats Syslog waits"]);
	assert.deepEqual([settings.current.stats!.logFile, settings.current.stats!.syslog], ["/two", "daemon"]);
});

test("a file with an error changes nothing", () => {
	const settings = settingsOf(file({}));
	writeFileSync(path, file({ PurgeTimeout: "soon", LogFile: "/l" }));
	assert.throws(() => settings.reload(), /"soon" is not a number of seconds/);
	assert.equal(settings.current.general.logFile, false);
	rmSync(path);
	assert.throws(() => settings.reload(), /cannot open config file/);
	assert.equal(settings.current.sync!.purgeTimeout, 60);
});

test("nothing of a section that another one takes the place of is taken over", () => {
	const settings = settingsOf(file({}));
	const other = file({ PurgeTimeout: 5 }).replace("FTFW", "NOTRACK");
	assert.deepEqual(reload(settings, other.replace(/Security \{.*?\}/, "")), [
		"Sync Mode waits",
		"General Security waits",
	]);
	assert.equal(settings.current.sync!.purgeTimeout, 60);
	assert.equal(settings.current.security!.keyFile, "/k");
});
