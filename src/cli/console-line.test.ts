import assert from "node:assert/strict";
import { test } from "node:test";
import { formatConsoleLines, formatTime } from "./console-line.ts";

test("the time is ctime's, with the day in two columns", () => {
	assert.equal(formatTime(new Date(2026, 10, 21, 21, 42, 47)), "Sat Nov 21 21:42:47 2026");
	assert.equal(formatTime(new Date(2027, 0, 3, 4, 5, 6)), "Sun Jan  3 04:05:06 2027");
});

test("each line of a text is dressed", () => {
	const date = new Date(2026, 10, 21, 21, 42, 47);
	assert.equal(
		formatConsoleLines("ERROR", "one\ntwo", date, 26614),
		"[Sat Nov 21 21:42:47 2026] (pid=26614) [ERROR] one\n[Sat Nov 21 21:42:47 2026] (pid=26614) [ERROR] two\n",
	);
});
