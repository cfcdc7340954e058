import assert from "node:assert/strict";
import { importer } from "../importer.mjs";
import { join } from "../random.mjs";

const EPOCH_SIZE = 16;
const OVERHEAD = 16;

/** Sealed datagrams: what anything but its sender has touched does not open. */
export async function createSealed(dist) {
	const load = importer(dist);
	const [{ AeadSeal }, { parseKeyFile }, frames] = await Promise.all([
		load("security/aead-seal.js"),
		load("security/key-ring.js"),
		load("sync/wire/frame.js"),
	]);
	const { bodyOffset, Frame, writeHeader, HEADER_SIZE } = frames;
	const key = (fill) => Buffer.alloc(32, fill).toString("base64");
	const ring = parseKeyFile(`1 ${key(1)} primary\n2 ${key(2)}\n`, "fuzz");
	const stranger = parseKeyFile(`1 ${key(3)}\n`, "fuzz");
	const epoch = new Uint8Array(EPOCH_SIZE).fill(9);

	return () => {
		const seal = (node, suite, keys = ring) =>
			new AeadSeal({ ring: () => keys, cluster: "c", node, epoch, suite });
		const senders = [seal(1, 1), seal(1, 2)];
		const others = [seal(3, 1), seal(1, 1, stranger)];
		const receiver = seal(2, 1);
		const frame = new Frame();
		let sequence = 0;

		/** The datagram as it travels. */
		function send(records, random, by) {
			const flags = random.below(4);
			const body = bodyOffset(flags);
			const room = join(new Uint8Array(body), records, new Uint8Array(OVERHEAD));
			sequence += random.chance(0.99) ? 1 : 2 ** 32;
			writeHeader(room, flags, 1, 0x09090909, sequence);
			if (body > HEADER_SIZE) room.set(epoch, HEADER_SIZE);
			const end = by.seal(room, body, body + records.length, sequence);
			assert.equal(end, room.length);
			return room;
		}

		/** @returns the records, undefined if the datagram does not open */
		function open(datagram) {
			const bytes = datagram.slice();
			if (frame.parse(bytes, 0, bytes.length)) return undefined;
			const stop = receiver.unseal(frame, epoch, bytes, 0, bytes.length);
			if (stop < 0) return undefined;
			return bytes.subarray(frame.body, stop);
		}

		return {
			run(bytes, random) {
				const records = bytes.subarray(0, 1400);
				const sent = send(records, random, random.pick(senders));
				const way = random.below(4);
				if (way === 0) {
					assert.deepEqual(open(sent), records.slice());
					return true;
				}
				if (way === 1) {
					assert.equal(open(send(records, random, random.pick(others))), undefined, "another's opens");
					return false;
				}
				let touched = sent.slice();
				if (way === 2) {
					const at = random.below(touched.length);
					touched[at] ^= 1 << random.below(8);
				} else if (random.chance(0.5)) touched = touched.subarray(0, random.below(touched.length));
				else touched = join(touched, random.bytes(1 + random.below(20)));
				assert.equal(open(touched), undefined, "what was touched opens");
				// what carries nothing of a seal at all
				open(bytes);
				return false;
			},
			finish() {},
		};
	};
}
