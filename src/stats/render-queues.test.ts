// Byte comparisons with what conntrackd 1.4.7 prints (recorded from a live pair).
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeQueueStats } from "./counters.ts";
import { renderProcesses, renderQueues, renderResendQueue } from "./render.ts";

test("the queues have conntrackd's layout", () => {
	const queues = [
		makeQueueStats("txqueue", 2147483647),
		makeQueueStats("errorq", 128),
		{ ...makeQueueStats("rsqueue", 131072), elements: 1 },
	];
	assert.equal(renderQueues(1, queues), QUEUES);
});

test("the resend queue lists control messages and objects", () => {
	assert.equal(renderResendQueue([{ kind: "control", sequence: 1795297374, flags: 8 }]), RESEND_QUEUE);
	const text = renderResendQueue([
		{ kind: "control", sequence: 1795305383, flags: 8 },
		{ kind: "object", sequence: 1795305384 },
	]);
	assert.equal(text, "resent queue (len=2)\ncontrol -> seq:1795305383 flags:8\nobject -> seq:1795305384\n");
});

test("processes are listed one a line, none gives nothing", () => {
	assert.equal(renderProcesses([]), "");
	assert.equal(
		renderProcesses([
			{ pid: 7090, type: "any" },
			{ pid: 7089, type: "flush" },
		]),
		"PID=7090 type=any\nPID=7089 type=flush\n",
	);
});

const QUEUES = `allocated queue nodes:		           1

queue txqueue:
current elements:		           0
maximum elements:		  2147483647
not enough space errors:	           0

queue errorq:
current elements:		           0
maximum elements:		         128
not enough space errors:	           0

queue rsqueue:
current elements:		           1
maximum elements:		      131072
not enough space errors:	           0

`;

const RESEND_QUEUE = `resent queue (len=1)
control -> seq:1795297374 flags:8
`;
