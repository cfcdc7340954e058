import assert from "node:assert/strict";
import { importer } from "../importer.mjs";

/** Records in a datagram: Datagram.decode, and back through the encoder. */
export async function createRecord(dist) {
	const load = importer(dist);
	const [{ Datagram }, { NameTable }, { RecordEncoder }, { MsgpackWriter }, { Packr }] = await Promise.all([
		load("sync/datagram.js"),
		load("conntrack/names.js"),
		load("sync/wire/encode.js"),
		load("sync/wire/msgpack.js"),
		import("msgpackr"),
	]);
	const oracle = new Packr({ useRecords: false, int64AsType: "number" });
	return () => {
		const names = new NameTable();
		const datagram = new Datagram(names);
		const again = new Datagram(names);
		const writer = new MsgpackWriter(new Uint8Array(65536));
		const encoder = new RecordEncoder(writer, names);

		function encode({ kind, op, record, version, node, detail }) {
			if (op === "claim" || op === "verdict") encoder[op](kind, record, version, node, detail);
			else if (op === "return") encoder.giveBack(kind, record);
			else encoder[op](kind, record, version);
		}

		/** What is taken is MessagePack, arrays and nothing else, to the last byte, and every record counts. */
		function compare(bytes) {
			const values = bytes.length > 0 ? oracle.unpackMultiple(bytes) : [];
			let [states, acks, others] = [0, 0, 0];
			for (const value of values) {
				assert.ok(Array.isArray(value));
				const [type, ...elements] = value;
				if (type >= 76) continue;
				if (type === 6) {
					const { node, epochTag, highest, credit, bitmapLength } = datagram.acks[acks++];
					assert.deepEqual(
						[node, epochTag, highest, credit, bitmapLength],
						[...elements.slice(0, 4), elements[4].length],
					);
				} else if ((type >= 7 && type <= 10) || (type >= 70 && type <= 73) || type === 64 || type === 65) {
					const { type: read, numbers, at } = datagram.others[others++];
					const given = elements.filter((element) => typeof element === "number");
					assert.deepEqual([read, ...numbers], [type, ...given]);
					assert.equal(at >= 0, given.length < elements.length);
					if (at >= 0) assert.equal(Buffer.compare(bytes.subarray(at, at + 128), elements.at(-1)), 0);
				} else states++;
			}
			assert.deepEqual(
				[datagram.stateCount, datagram.acks.length, datagram.others.length],
				[states, acks, others],
			);
		}

		return {
			run(bytes) {
				if (datagram.decode(bytes, 0, bytes.length)) return false;
				compare(bytes);
				const isFull = names.overflow > 0;
				writer.at = 0;
				for (let i = 0; i < datagram.stateCount; i++) encode(datagram.states[i]);
				assert.equal(again.decode(writer.bytes, 0, writer.at), undefined, "what was decoded encodes");
				assert.equal(again.stateCount, datagram.stateCount);
				for (let i = 0; i < datagram.stateCount; i++) {
					const { kind, op, version, record, node, detail } = datagram.states[i];
					const other = again.states[i];
					assert.ok(other.kind === kind && other.op === op);
					// of the other records these say nothing
					if (op === "claim" || op === "verdict") assert.ok(other.node === node && other.detail === detail);
					// what is given back has no version
					assert.equal(other.version, op === "return" ? 0 : version);
					// a name that found no room in the table is left out
					if (!isFull && !sameWords(other.record, record)) assert.deepEqual(other.record, record);
				}
				return true;
			},
			finish() {
				assert.ok(names.names.length <= 1024, "names are bounded");
			},
		};
	};
}

function sameWords(a, b) {
	if (a.length !== b.length) return false;
	for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
	return true;
}
