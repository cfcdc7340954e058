// The flusher against a kernel that breaks off. What it deletes otherwise is tried against a real one (commit.test.ts).
import assert from "node:assert/strict";
import { test } from "node:test";
import { conntrackToRecord } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import { Filter } from "../filter/filter.ts";
import { AttributeWriter, WireBuffer } from "../netlink/attribute.ts";
import { IPCTNL_MSG_CT_DELETE, NFNL_SUBSYS_CTNETLINK, NLMSG_DONE } from "../netlink/constants.ts";
import { ConntrackEncoder } from "../netlink/encode-conntrack.ts";
import { TCP, UDP } from "../netlink/kernel-cases.ts";
import { eachMessage, messageType } from "../netlink/message.ts";
import { EAGAIN, type Native } from "../system/native.ts";
import { Flusher } from "./flusher.ts";

const EIO = 5;
/** The sockets in the order in which they are opened; the third reads the table. */
const [REQUESTS, ADDRESSES] = [1, 2] as const;
const DELETE = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE;

test("a flush that breaks off leaves nothing for the next job to delete", () => {
	const names = new NameTable();
	const record = conntrackToRecord(UDP, names);
	const writer = new AttributeWriter(4096);
	new ConntrackEncoder(writer, names).create(record, 1, 0, { windowTracking: false });
	const shown = writer.wire.bytes.slice(0, writer.at);
	const done = new Uint8Array(new Int32Array([20, NLMSG_DONE, 1, 0, 0]).buffer);
	/** By socket: addresses end at once, the table after one entry. */
	const answers: (Uint8Array | number)[][] = [[], [], [done], [shown, -EIO]];
	let sockets = 0;
	let deleted = 0;
	const native = {
		openSocket: () => ++sockets,
		bindSocket: () => {},
		netlinkPort: (fd: number) => fd,
		setOption: () => {},
		getOption: () => 0,
		closeSocket: () => {},
		send: (fd: number, bytes: Uint8Array, offset: number, length: number) => {
			const wire = new WireBuffer(bytes);
			eachMessage(wire, offset, offset + length, (start) => {
				if (fd === REQUESTS && messageType(wire, start) === DELETE) deleted++;
			});
			return length;
		},
		receive: (fd: number, buffer: Uint8Array, _: number, lengths: Int32Array) => {
			const answer = answers[fd]?.shift() ?? -EAGAIN;
			if (typeof answer === "number") return answer;
			buffer.set(answer);
			lengths[0] = answer.length;
			return 1;
		},
	} as unknown as Native;
	const flusher = new Flusher(native, names);
	assert.equal(flusher.requests.socket.port, REQUESTS);
	assert.throws(() => flusher.conntracks(new Filter({}, [])), /dump conntracks/);
	assert.equal(sockets, ADDRESSES + 1);
	assert.equal(deleted, 0);
	assert.equal(flusher.records(conntrackToRecord(TCP, names)), 1);
	assert.equal(deleted, 1);
});
