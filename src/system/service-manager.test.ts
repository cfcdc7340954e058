import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "./clock.ts";
import type { Native } from "./native.ts";
import { applyScheduling } from "./scheduling.ts";
import { type ServiceEnvironment, ServiceManager } from "./service-manager.ts";

/** What is sent where, and a timer that is run by hand. */
function manager(environment: ServiceEnvironment) {
	const said: string[] = [];
	const timers: { after: number; run: () => void }[] = [];
	let isOpen = false;
	let address: Uint8Array | undefined;
	const native = {
		openSocket: () => {
			isOpen = true;
			return 7;
		},
		closeSocket: () => {
			isOpen = false;
		},
		sendMany: (_fd: number, bytes: Uint8Array, _spans: Int32Array, _count: number, to: Uint8Array) => {
			address = to;
			said.push(Buffer.from(bytes).toString());
			return 1;
		},
	} as unknown as Native;
	const clock = {
		after: (after: number, run: () => void) => {
			const timer = { after, run };
			timers.push(timer);
			return () => void timers.splice(timers.indexOf(timer), 1);
		},
	} as unknown as Clock;
	const service = new ServiceManager(native, clock, environment);
	return { service, said, timers, isOpen: () => isOpen, address: () => address };
}

test("ready and stopping are told to the socket that systemd has named", () => {
	const { service, said, timers, isOpen, address } = manager({ NOTIFY_SOCKET: "/run/systemd/notify" });
	service.ready();
	assert.deepEqual(said, [`READY=1\nMAINPID=${process.pid}`]);
	assert.equal(Buffer.from(address()!.subarray(2)).toString(), "/run/systemd/notify\0");
	assert.equal(timers.length, 0);
	service.close();
	assert.equal(said.at(-1), "STOPPING=1");
	assert.equal(isOpen(), false);
});

test("a name in the abstract namespace begins with a zero byte", () => {
	const { service, address } = manager({ NOTIFY_SOCKET: "@notify" });
	service.ready();
	assert.equal(Buffer.from(address()!.subarray(2)).toString(), "\0notify");
});

test("the watchdog is fed twice in its period, as long as the event loop turns", () => {
	const { service, said, timers } = manager({ NOTIFY_SOCKET: "/s", WATCHDOG_USEC: "30000000" });
	service.ready();
	for (let i = 0; i < 3; i++) {
		assert.deepEqual(
			timers.map(({ after }) => after),
			[15_000],
		);
		timers.pop()!.run();
	}
	assert.equal(said.filter((state) => state === "WATCHDOG=1").length, 4);
	service.close();
	assert.equal(timers.length, 0);
});

test("a watchdog for another process is not fed, and without a socket nothing is said", () => {
	const other = manager({
		NOTIFY_SOCKET: "/s",
		WATCHDOG_USEC: "1000000",
		WATCHDOG_PID: `${process.pid + 1}`,
	});
	other.service.ready();
	assert.equal(other.timers.length, 0);
	const none = manager({ WATCHDOG_USEC: "1000000" });
	none.service.ready();
	none.service.close();
	assert.deepEqual(none.said, []);
});

test("a scheduler is for every thread; one that is refused is told once, and a thread that has ended is not", () => {
	const calls: number[][] = [];
	const told: string[] = [];
	const native = { setScheduler: (...args: number[]) => void calls.push(args) };
	const ask = (
		of: Pick<Native, "setScheduler">,
		type: "RR" | "FIFO",
		priority: number,
		threads = [7, 8],
	): void =>
		applyScheduling(
			of,
			{ type, priority },
			(text) => void told.push(text),
			() => threads,
		);
	ask(native, "RR", 99);
	ask(native, "FIFO", 5, [7]);
	ask(native, "FIFO", 0);
	assert.deepEqual(calls, [
		[7, 2, 99],
		[8, 2, 99],
		[7, 1, 5],
	]);
	assert.equal(told.length, 0);
	const failing = (code: string): Pick<Native, "setScheduler"> => ({
		setScheduler: (): void => {
			throw Object.assign(new Error("sched_setscheduler: Operation not permitted"), { code });
		},
	});
	ask(failing("ESRCH"), "RR", 1);
	assert.equal(told.length, 0);
	ask(failing("EPERM"), "RR", 1);
	assert.equal(told.length, 1);
	assert.match(told.join(), /^cannot have Scheduler RR, priority 1: .*not permitted .*CAP_SYS_NICE/);
});
