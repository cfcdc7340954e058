import assert from "node:assert/strict";
import { importer } from "../importer.mjs";

const ME = 2;

/** HELLO records: readHello, and back through writeHello. */
export async function createHello(dist) {
	const load = importer(dist);
	const [{ readHello, writeHello, CHALLENGE_SIZE, KEYS_MAX }, { MsgpackWriter }, { Packr }] =
		await Promise.all([load("sync/handshake.js"), load("sync/wire/msgpack.js"), import("msgpackr")]);
	const oracle = new Packr({ useRecords: false, int64AsType: "number" });
	return () => ({
		run(bytes) {
			const hello = readHello(bytes, 0, bytes.length, ME);
			if (!hello) return false;
			const values = oracle.unpackMultiple(bytes);
			assert.equal(values.length, 1);
			const [type, versionMin, version, flags, term, credit, policy, keys, list] = values[0];
			assert.deepEqual(
				{ type, versionMin, version, isPrimary: (flags & 1) === 1, term, credit, policy },
				{
					type: 1,
					versionMin: hello.versionMin,
					version: hello.version,
					isPrimary: hello.state.isPrimary,
					term: hello.state.term,
					credit: hello.credit,
					policy: hello.state.policy,
				},
			);
			assert.equal(hello.state.keys.length, Math.floor(keys.length / 4));
			assert.ok(hello.state.keys.length <= KEYS_MAX);
			const mine = list.filter(([node]) => node === ME);
			assert.equal(hello.forMe.length, mine.length);
			for (const [i, { challenge, echo, isHeard, offered }] of hello.forMe.entries()) {
				assert.equal(challenge.length, CHALLENGE_SIZE);
				assert.ok(echo.length <= CHALLENGE_SIZE);
				// a copy: the receive buffer will hold the next datagram
				assert.notEqual(challenge.buffer, bytes.buffer);
				assert.deepEqual([isHeard ? 1 : 0, offered], [mine[i][2], mine[i][5]]);
			}
			const writer = new MsgpackWriter(new Uint8Array(8192));
			writeHello(writer, { credit: hello.credit, state: hello.state }, hello.forMe, 0, 8192);
			const again = readHello(writer.bytes, 0, writer.at, ME);
			assert.deepEqual({ ...again, versionMin, version }, hello);
			return true;
		},
		finish() {},
	});
}
