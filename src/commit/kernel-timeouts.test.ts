// What an entry gets whose origin told no timeout.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Conntrack, conntrackToRecord } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import { AF_INET } from "../conntrack/protocol.ts";
import { PROTOCOLS } from "../conntrack/record.ts";
import { TCP, UDP } from "../netlink/kernel-cases.ts";
import { readSysctl } from "../system/sysctl.ts";
import { KernelTimeouts } from "./kernel-timeouts.ts";

function of(timeouts: KernelTimeouts, entry: Conntrack): number {
	// the tuple does not matter
	const record = conntrackToRecord({ ...entry, protocol: entry.tcp ? 6 : 17 }, new NameTable());
	record[PROTOCOLS] = AF_INET | (entry.protocol << 8);
	return timeouts.secondsFor(record);
}

const { tcp: _, ...bare } = TCP;

test("the timeout is this kernel's for protocol and state, a setting counts more than the default", () => {
	const settings: { [name: string]: number } & { tcp_timeout_established: number } = {
		tcp_timeout_established: 7200,
		udp_timeout_stream: 77,
	};
	const timeouts = new KernelTimeouts((name) => settings[name.replace("net.netfilter.nf_conntrack_", "")]);
	const cases: [Conntrack, number][] = [
		[TCP, 7200],
		[bare, 7200], // offloaded: no state, and so established
		[{ ...TCP, tcp: { ...TCP.tcp, state: "SYN_RECV" } }, 60],
		[{ ...TCP, tcp: { ...TCP.tcp, state: "TIME_WAIT" } }, 120],
		[{ ...TCP, tcp: { ...TCP.tcp, state: "CLOSE" } }, 10],
		[UDP, 77],
		[{ ...UDP, status: 0xa }, 30],
		[{ ...UDP, protocol: 136 }, 77],
		[{ ...UDP, protocol: 47 }, 180],
		[{ ...UDP, protocol: 47, status: 0x8 }, 30],
		[{ ...UDP, protocol: 132, sctp: { state: "ESTABLISHED", vtagOrig: 1, vtagReply: 2 } }, 210],
		[{ ...UDP, protocol: 132, sctp: { state: "COOKIE_WAIT", vtagOrig: 1, vtagReply: 2 } }, 3],
		[{ ...UDP, protocol: 132 }, 210],
		[{ ...UDP, protocol: 1 }, 30],
		[{ ...UDP, protocol: 58 }, 30],
		[{ ...UDP, protocol: 89 }, 600],
	];
	for (const [entry, seconds] of cases) {
		assert.equal(of(timeouts, entry), seconds, `${entry.protocol} ${entry.tcp?.state} ${entry.sctp?.state}`);
	}
	settings.tcp_timeout_established = 99;
	assert.equal(of(timeouts, TCP), 7200);
	timeouts.forget();
	assert.equal(of(timeouts, TCP), 99);
});

test("a setting that this machine does not have is unknown, one that it has is a number", () => {
	assert.equal(readSysctl("net.netfilter.no_such_setting"), undefined);
	assert.equal(typeof readSysctl("kernel.pid_max"), "number");
});
