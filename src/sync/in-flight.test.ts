import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { IN_FLIGHT_MAX, InFlight, RECORDS_MAX } from "./in-flight.ts";

const A = 0b001;
const B = 0b010;
const C = 0b100;

type Visited = [key: number, version: number, peer: number][];

function settle(inFlight: InFlight, sequence: number, peer: number): Visited {
	const visited: Visited = [];
	inFlight.settle(sequence, peer, (...one) => visited.push(one));
	return visited;
}

test("each peer settles a datagram for itself, and sees all of its records", () => {
	const inFlight = new InFlight();
	inFlight.add(1, 10, 100);
	inFlight.add(1, 11, 2 ** 52 + 1);
	assert.equal(inFlight.building, 2);
	inFlight.commit(1, A | B, 0, 5);
	assert.deepEqual([inFlight.building, inFlight.count, inFlight.pending(1)], [0, 1, A | B]);
	assert.equal(inFlight.sentAt(1), 5);
	assert.deepEqual(settle(inFlight, 1, A), [
		[10, 100, A],
		[11, 2 ** 52 + 1, A],
	]);
	assert.deepEqual([inFlight.count, inFlight.pending(1)], [1, B]);
	settle(inFlight, 1, B);
	assert.deepEqual([inFlight.count, inFlight.pending(1)], [0, 0]);
});

test("the lowest pending number moves over what is settled, and no further", () => {
	const inFlight = new InFlight();
	for (let n = 1; n <= 4; n++) inFlight.commit(n, A, 0, 0);
	settle(inFlight, 2, A);
	inFlight.advance(5);
	assert.equal(inFlight.lowest, 1);
	settle(inFlight, 1, A);
	inFlight.advance(5);
	assert.equal(inFlight.lowest, 3);
	settle(inFlight, 3, A);
	settle(inFlight, 4, A);
	inFlight.advance(5);
	assert.equal(inFlight.lowest, 5);
});

test("what waits for an acknowledgement is told with what it carries, the oldest first", () => {
	const inFlight = new InFlight();
	inFlight.add(1, 7, 1);
	inFlight.add(1, 8, 1);
	inFlight.commit(1, A, 0, 0);
	inFlight.commit(2, A | B, 0, 0);
	inFlight.commit(3, B, 0, 0);
	settle(inFlight, 2, A);
	settle(inFlight, 3, B);
	assert.deepEqual(inFlight.waiting(), [
		{ sequence: 1, records: 2 },
		{ sequence: 2, records: 0 },
	]);
});

test("a bulk waits for its own datagrams and its own peers only", () => {
	const inFlight = new InFlight();
	inFlight.commit(1, A | B, B | C, 0);
	inFlight.commit(2, B, B, 0);
	assert.deepEqual(
		[A, B, C].map((peer) => inFlight.bulkPending(peer)),
		[0, 2, 0],
	);
	assert.deepEqual([inFlight.isBulk(1, A), inFlight.isBulk(1, B)], [false, true]);
	settle(inFlight, 1, A);
	assert.equal(inFlight.bulkPending(B), 2);
	settle(inFlight, 1, B);
	assert.equal(inFlight.bulkPending(B), 1);
});

test("there is room for so many numbers above the lowest pending one", () => {
	const inFlight = new InFlight();
	inFlight.commit(1, A, 0, 0);
	assert.equal(inFlight.hasRoom(IN_FLIGHT_MAX), true);
	assert.equal(inFlight.hasRoom(IN_FLIGHT_MAX + 1), false);
	settle(inFlight, 1, A);
	inFlight.advance(2);
	assert.equal(inFlight.hasRoom(IN_FLIGHT_MAX + 1), true);
});

test("datagrams that nobody acknowledges never displace one that is in flight", () => {
	const inFlight = new InFlight();
	inFlight.add(1, 10, 100);
	inFlight.commit(1, A, A, 0);
	// acknowledgements and HELLOs go out while the window is full
	for (let n = 2; n <= 3 * IN_FLIGHT_MAX; n++) inFlight.commit(n, 0, A, 0);
	assert.deepEqual([inFlight.count, inFlight.pending(1), inFlight.bulkPending(A)], [1, A, 1]);
	assert.deepEqual(settle(inFlight, 1, A), [[10, 100, A]]);
	assert.deepEqual([inFlight.count, inFlight.bulkPending(A)], [0, 0]);
});

test("a full datagram keeps to its place", () => {
	const inFlight = new InFlight();
	for (let n = 1; n <= 3; n++) {
		for (let i = 0; i < RECORDS_MAX; i++) inFlight.add(n, n * 1000 + i, n);
		inFlight.commit(n, A, 0, 0);
	}
	for (let n = 1; n <= 3; n++) {
		const keys = settle(inFlight, n, A).map(([key]) => key);
		assert.deepEqual(
			keys,
			Array.from({ length: RECORDS_MAX }, (_, i) => n * 1000 + i),
		);
	}
});

test("the books balance like those of a naive map, for any schedule", () => {
	interface Flight {
		pending: number;
		bulk: number;
		records: Visited;
	}
	const operation = fc.tuple(fc.nat(5), fc.nat(7), fc.nat(7), fc.nat(60));
	fc.assert(
		fc.property(fc.array(operation, { maxLength: 400 }), fc.nat(3000), (operations, first) => {
			const inFlight = new InFlight();
			const model = new Map<number, Flight>();
			let next = 1;
			for (; next <= first; next++) inFlight.commit(next, 0, 0, 0);
			inFlight.advance(next);
			for (const [what, peers, bulk, which] of operations) {
				const pendingOnes = [...model].filter(([, flight]) => flight.pending !== 0);
				if (what < 3) {
					if (peers !== 0 && !inFlight.hasRoom(next)) continue;
					const records: Visited = [];
					for (let i = 0; peers !== 0 && i < which % 5; i++) {
						inFlight.add(next, next * 8 + i, i);
						records.push([next * 8 + i, i, 0]);
					}
					inFlight.commit(next, peers, bulk, next);
					model.set(next++, { pending: peers, bulk: peers & bulk, records });
				} else if (pendingOnes.length > 0) {
					const [sequence, flight] = pendingOnes[which % pendingOnes.length]!;
					const peer = flight.pending & -flight.pending;
					assert.equal(inFlight.isBulk(sequence, peer), (flight.bulk & peer) !== 0);
					const expected = flight.records.map(([key, version]) => [key, version, peer]);
					assert.deepEqual(settle(inFlight, sequence, peer), expected);
					flight.pending &= ~peer;
					flight.bulk &= ~peer;
					inFlight.advance(next);
				}
				const pending = [...model].filter(([, flight]) => flight.pending !== 0);
				assert.equal(inFlight.count, pending.length);
				assert.ok(pending.every(([sequence]) => sequence >= inFlight.lowest));
				for (const [sequence, flight] of pending) {
					assert.equal(inFlight.pending(sequence), flight.pending);
				}
				for (const peer of [A, B, C]) {
					const waits = pending.filter(([, flight]) => (flight.bulk & peer) !== 0).length;
					assert.equal(inFlight.bulkPending(peer), waits);
				}
			}
		}),
	);
});
