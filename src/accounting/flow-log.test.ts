import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
	constants,
	mkdtempSync,
	openSync,
	readFileSync,
	readSync,
	renameSync,
	rmSync,
	statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../system/clock.ts";
import { FlowLog, type FlowLogOptions } from "./flow-log.ts";

const folder = mkdtempSync(join(tmpdir(), "ctsync-flow-log-"));
after(() => rmSync(folder, { recursive: true }));

const DATE = new Date(0);
const STAMP = "Thu Jan  1 00:00:00 1970";

function open(options: Partial<FlowLogOptions>) {
	const told: string[] = [];
	const log = new FlowLog({
		clock: { ...systemClock, after: (ms, callback) => systemClock.after(Math.min(ms, 50), callback) },
		log: { limited: (_, text) => void told.push(text), warning: (text) => void told.push(text) },
		...options,
	});
	const put = (text: string): void => log.write(DATE, STAMP, text);
	return { log, told, put };
}

const lines = (file: string): string[] => readFileSync(file, "utf8").split("\n").slice(0, -1);
const numbered = (from: number, to: number): string[] =>
	Array.from({ length: to - from }, (_, i) => `${STAMP}\tflow ${from + i}`);

test("a line is the time, a tab and the text; nobody else may read the file", async () => {
	const file = join(folder, "plain");
	const { log, put } = open({ file });
	for (let i = 0; i < 1000; i++) put(`flow ${i}`);
	log.flush();
	for (let i = 1000; i < 2000; i++) put(`flow ${i}`);
	await log.close();
	assert.deepEqual(lines(file), numbered(0, 2000));
	assert.equal(statSync(file).mode & 0o777, 0o600);
	assert.deepEqual(log.counters, { lines: 2000, lost: 0, failures: 0, syslogLost: 0 });
});

test("a log is on with a file or syslog", async () => {
	const { log } = open({});
	assert.equal(log.isOn, false);
	log.reopen(join(folder, "late"));
	assert.equal(log.isOn, true);
	await log.close();
	assert.equal(open({ syslog: { write: () => true, close: () => {} } }).log.isOn, true);
});

test("a file that was moved away is followed by a new one; no line is lost or in pieces", async () => {
	const file = join(folder, "moved");
	const { log, put } = open({ file });
	for (let i = 0; i < 5000; i++) put(`flow ${i}`);
	log.flush();
	renameSync(file, `${file}.1`);
	log.reopen(file);
	for (let i = 5000; i < 6000; i++) put(`flow ${i}`);
	await log.close();
	assert.deepEqual([...lines(`${file}.1`), ...lines(file)], numbered(0, 6000));
	assert.ok(lines(file).length >= 1000);
});

test("a file that cannot be opened is named, and the lines go on where they went", async () => {
	const file = join(folder, "stays");
	assert.throws(() => open({ file: folder }), /cannot open LogFile `.*' of Stats: .*directory/i);
	const { log, put } = open({ file });
	assert.throws(() => log.reopen(join(folder, "no", "where")), /no\/where/);
	put("flow 0");
	await log.close();
	assert.deepEqual(lines(file), numbered(0, 1));
});

test("a full disk is told, loses nothing that has room to wait, and is tried again", async () => {
	const { log, told, put } = open({ file: "/dev/full" });
	put("flow 0");
	log.flush();
	await sleep(200);
	put("flow 1");
	assert.match(told[0]!, /cannot write to LogFile `\/dev\/full': .*space.*: 32 bytes wait, trying again/i);
	assert.ok(log.counters.failures >= 2, `${log.counters.failures}`);
	const file = join(folder, "room");
	log.reopen(file);
	await log.close();
	assert.deepEqual(lines(file), numbered(0, 2));
});

test("a disk that stays full costs what does not fit into the queue, and the end of the daemon does not wait for it", async () => {
	const { log, told, put } = open({ file: "/dev/full", queueMax: 100 });
	for (let i = 0; i < 10; i++) put(`flow ${i}`);
	assert.equal(log.counters.lost, 7);
	assert.ok(log.waiting <= 100);
	assert.match(told.at(-1)!, /is full or slow: 7 lines of flows are lost so far/);
	const begun = performance.now();
	await log.close();
	assert.ok(performance.now() - begun < 1000);
	assert.match(told.at(-1)!, /does not take the last 96 bytes/);
});

test("a slow reader holds up nobody, and gets whole lines", async () => {
	const fifo = join(folder, "fifo");
	assert.equal(spawnSync("mkfifo", [fifo]).status, 0);
	assert.throws(() => open({ file: fifo }), /cannot open LogFile/, "nobody reads");
	const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
	const { log, put } = open({ file: fifo });
	const begun = performance.now();
	for (let i = 0; i < 20_000; i++) put(`flow ${i}`);
	log.flush();
	assert.ok(performance.now() - begun < 500, "it does not wait");
	let text = "";
	const bytes = Buffer.alloc(1 << 20);
	for (let i = 0; i < 400 && log.waiting > 0; i++) {
		await sleep(10);
		try {
			text += bytes.toString("latin1", 0, readSync(reader, bytes));
		} catch {}
	}
	text += bytes.toString("latin1", 0, log.waiting === 0 ? readRest(reader, bytes) : 0);
	assert.deepEqual(text.split("\n").slice(0, -1), numbered(0, 20_000));
	await log.close();
});

function readRest(fd: number, bytes: Buffer): number {
	try {
		return readSync(fd, bytes);
	} catch {
		return 0;
	}
}

test("syslog gets the text alone as information; what it does not take is counted", async () => {
	const sent: string[] = [];
	let takes = true;
	const syslog = {
		write: (_: Date, severity: number, text: string) => sent.push(`${severity} ${text}`) > 0 && takes,
		close: () => {},
	};
	const { log, told, put } = open({ syslog });
	put("flow 0");
	takes = false;
	put("flow 1");
	await log.close();
	assert.deepEqual(sent, ["6 flow 0", "6 flow 1"]);
	assert.deepEqual(log.counters, { lines: 2, lost: 0, failures: 0, syslogLost: 1 });
	assert.match(told[0]!, /syslog does not take/);
});
