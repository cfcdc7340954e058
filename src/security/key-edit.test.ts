import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { addKey, removeKey, usePrimary } from "./key-edit.ts";
import { generateKeyLine, KeyFileError, parseKeyFile } from "./key-ring.ts";

const key = (fill: number): string => Buffer.alloc(32, fill).toString("base64");
const [A, B, C] = [key(1), key(2), key(3)];

const RING = `# the ring of fw1 and fw2
1 ${A} primary   # since spring
\t2  ${B}# next
# 3 ${C}
9 ${C}
`;

const refused = (message: string) => (error: unknown) => {
	assert.ok(error instanceof KeyFileError, String(error));
	assert.equal(error.message, message);
	return true;
};

test("another key becomes primary, and all else stays as it is", () => {
	const { text, key: used, isPrimary, isChange } = usePrimary(RING, "f", 2);
	const expected = RING.replace(`${A} primary `, `${A} `).replace(`${B}#`, `${B} primary#`);
	assert.equal(text, expected);
	assert.deepEqual([used.id, isPrimary, isChange], [2, true, true]);
});

test("the primary key becomes primary without a change", () => {
	const { text, isChange } = usePrimary(RING, "f", 1);
	assert.deepEqual([text, isChange], [RING, false]);
});

test("a file without a mark is mended by choosing a key", () => {
	const { text } = usePrimary(`1 ${A}\r\n2 ${B}\r\n`, "f", 1);
	assert.equal(text, `1 ${A} primary\r\n2 ${B}\r\n`);
});

test("a key that is not there cannot be used or removed", () => {
	for (const edit of [usePrimary, removeKey]) {
		assert.throws(() => edit(RING, "f", 3), refused("f: there is no key 3"));
	}
});

test("a key goes with its line", () => {
	const { text, key: removed, isPrimary } = removeKey(RING, "f", 2);
	assert.equal(text, RING.replace(/^\t2.*\n/m, ""));
	assert.deepEqual([removed.id, isPrimary], [2, false]);
	assert.equal(removeKey(`1 ${A} primary\n2 ${B}`, "f", 2).text, `1 ${A} primary`);
});

test("the primary key cannot be removed, nor the last one", () => {
	const reason = (id: number): string => `f: key ${id} is the primary one: make another one primary before`;
	assert.throws(() => removeKey(RING, "f", 1), refused(reason(1)));
	assert.throws(() => removeKey(`7 ${A}\n`, "f", 7), refused(reason(7)));
});

test("from keys of which none is marked none is removed", () => {
	assert.throws(() => removeKey(`1 ${A}\n2 ${B}\n`, "f", 2), refused('f: mark one of the 2 keys "primary"'));
});

test("a new key gets the number after the highest one and is not primary", () => {
	const { text, key: added, isPrimary, isChange } = addKey(RING, "f");
	assert.ok(text.startsWith(RING));
	assert.match(text.slice(RING.length), /^10 \S{44}\n$/);
	assert.deepEqual([added.id, isPrimary, isChange], [10, false, true]);
	assert.equal(parseKeyFile(text, "f").primary.id, 1);
});

test("a new key may be given a number, if that is free", () => {
	assert.equal(addKey(RING, "f", 3).key.id, 3);
	assert.throws(() => addKey(RING, "f", 9), refused("f: key 9 is there already"));
});

test("behind number 255 the lowest free one is next, until all are taken", () => {
	assert.equal(addKey(`1 ${A} primary\n255 ${B}\n`, "f").key.id, 2);
	const lines = Array.from({ length: 255 }, (_, i) => generateKeyLine(i + 1, i === 0));
	const full = lines.join("");
	assert.throws(() => addKey(full, "f"), refused("f: all numbers from 1 to 255 are taken: remove a key"));
});

test("the one key of a ring is marked when a second one comes", () => {
	const { text } = addKey(`5 ${A} # old`, "f");
	assert.match(text, /^5 \S{44} primary # old\n6 \S{44}\n$/);
});

test("the first key of a file is primary", () => {
	for (const before of ["", "# no key yet\n", "# no key yet"]) {
		const { text, key: added, isPrimary } = addKey(before, "f");
		assert.deepEqual([added.id, isPrimary], [1, true]);
		assert.equal(parseKeyFile(text, "f").primary.id, 1);
	}
});

test("nothing is added to a file that is no ring", () => {
	assert.throws(() => addKey(`1 ${A}\n2 ${B}\n`, "f"), refused('f: mark one of the 2 keys "primary"'));
	assert.throws(() => addKey("1 x\n", "f"), /^Error: f:1: key 1 is not 32 bytes/);
});

test("after any changes the file is a ring of the keys that are left, with its comments", () => {
	const change = fc.record({
		what: fc.constantFrom("add", "use", "remove"),
		id: fc.integer({ min: 1, max: 6 }),
	});
	fc.assert(
		fc.property(fc.array(change, { maxLength: 20 }), (changes) => {
			let text = `# head\n1 ${A} # old\n# tail\n`;
			const ids = new Set([1]);
			let primary = 1;
			for (const { what, id } of changes) {
				try {
					if (what === "add") {
						text = addKey(text, "f", id).text;
						ids.add(id);
					} else if (what === "use") {
						text = usePrimary(text, "f", id).text;
						primary = id;
					} else {
						text = removeKey(text, "f", id).text;
						ids.delete(id);
					}
				} catch (error) {
					assert.ok(error instanceof KeyFileError, String(error));
				}
				const ring = parseKeyFile(text, "f");
				assert.deepEqual(new Set(ring.keys.keys()), ids);
				assert.equal(ring.primary.id, primary);
				assert.match(text, /^# head\n/);
				assert.match(text, /^# tail$/m);
			}
		}),
		{ numRuns: 200 },
	);
});
