import assert from "node:assert/strict";
import { importer } from "../importer.mjs";

/** Netlink datagrams at the event listener, and what it delivers in a cache and on the wire. */
export async function createNetlink(dist) {
	const load = importer(dist);
	const [{ EventListener }, { NameTable }, cache, { Datagram }, { RecordEncoder }, { MsgpackWriter }] =
		await Promise.all([
			load("netlink/event-listener.js"),
			load("conntrack/names.js"),
			load("cache/internal-cache.js"),
			load("sync/datagram.js"),
			load("sync/wire/encode.js"),
			load("sync/wire/msgpack.js"),
		]);
	const EAGAIN = 11;
	const LIMIT = 200;
	const clock = { now: () => 0, after: () => () => {}, pause: async () => {}, wall: () => new Date(0) };
	return () => {
		const names = new NameTable();
		const { conntracks, expectations } = cache.newInternalCaches(1, LIMIT);
		const halves = [conntracks, expectations];
		const writer = new MsgpackWriter(new Uint8Array(4096));
		const encoder = new RecordEncoder(writer, names);
		const datagram = new Datagram(names);
		let waiting;
		let delivered = 0;
		const native = {
			openSocket: () => 3,
			bindSocket() {},
			netlinkPort: () => 1,
			setOption() {},
			getOption: () => 0,
			attachFilter() {},
			closeSocket() {},
			receive(_fd, buffer, stride, lengths) {
				if (!waiting) return -EAGAIN;
				buffer.set(waiting.subarray(0, stride), 0);
				lengths[0] = waiting.length;
				waiting = undefined;
				return 1;
			},
		};
		const take = (kind, event, record) => {
			delivered++;
			const family = record[1] & 0xff;
			assert.ok(family === 2 || family === 10, `family ${family}`);
			if (event === "destroy") halves[kind].destroy(record, 0);
			else halves[kind].apply(record, event === "new", 0);
			writer.at = 0;
			encoder[event === "destroy" ? "delete" : "set"](kind, record, 1);
			assert.ok(writer.at < 512, `${writer.at} bytes on the wire`);
			// a master without an address, of which the kernel knows none, is refused by the peer
			const fault = datagram.decode(writer.bytes, 0, writer.at);
			assert.ok(fault === undefined || fault === "payload" || fault === "truncated", fault);
		};
		const listener = new EventListener({
			native,
			clock,
			names,
			handler: {
				conntrack: (event, record) => take(0, event, record),
				expectation: (event, record) => take(1, event, record),
				batchEnd() {},
				overrun() {},
			},
			expectations: true,
			receiveBuffer: 0,
			reliable: false,
			ignorePorts: [],
		});
		const { counters } = listener;
		return {
			run(bytes) {
				const before = delivered;
				const malformed = counters.malformed + counters.unknownType;
				waiting = bytes;
				listener.drain();
				const news = delivered - before;
				assert.ok(delivered + counters.malformed + counters.unknownType >= counters.received);
				return news > 0 && counters.malformed + counters.unknownType === malformed;
			},
			finish() {
				for (const half of halves) assert.ok(half.store.live <= LIMIT);
				assert.ok(names.names.length <= 1024, "names are bounded");
			},
		};
	};
}
