import assert from "node:assert/strict";
import { importer } from "../importer.mjs";

/** Key files: parseKeyFile, and each change that `ctsync keys` makes to one. */
export async function createKeys(dist) {
	const load = importer(dist);
	const [{ KeyFileError, parseKeyFile, parseKeyLines }, { addKey, removeKey, usePrimary }] =
		await Promise.all([load("security/key-ring.js"), load("security/key-edit.js")]);

	/** What the function returns, undefined if it refuses: in one line, and without a word of the file's keys. */
	function attempt(work, keys) {
		try {
			return work();
		} catch (error) {
			if (!(error instanceof KeyFileError)) throw error;
			assert.match(error.message, /^fuzz(:\d+)?: [^\n\r\0]+$/);
			for (const key of keys) assert.ok(!error.message.includes(key), "a message tells a key");
			return undefined;
		}
	}

	return () => ({
		run(bytes, random) {
			const text = Buffer.from(bytes).toString();
			const words = (text.match(/[A-Za-z0-9+/]{16,}/g) ?? []).slice(0, 20);
			const ring = attempt(() => parseKeyFile(text, "fuzz"), words);
			const lines = attempt(() => parseKeyLines(text, "fuzz"), words);
			const id = random.chance(0.8) && lines?.length > 0 ? random.pick(lines).id : 1 + random.below(255);
			for (const edit of [addKey, usePrimary, removeKey]) {
				const changed = attempt(() => edit(text, "fuzz", id), words);
				if (!changed) continue;
				const { keys, primary } = parseKeyFile(changed.text, "fuzz");
				if (edit === usePrimary) assert.equal(primary.id, id);
				assert.equal(keys.has(id), edit !== removeKey);
				// the other keys are what they were
				for (const [other, { fingerprint }] of ring?.keys ?? []) {
					if (other !== id) assert.equal(keys.get(other)?.fingerprint, fingerprint);
				}
			}
			if (!ring) return false;
			assert.ok(ring.keys.size >= 1 && ring.keys.size <= 255);
			assert.equal(ring.keys.get(ring.primary.id), ring.primary);
			for (const [number, { id: own, fingerprint, key }] of ring.keys) {
				assert.ok(number === own && number >= 1 && number <= 255);
				assert.match(fingerprint, /^[0-9a-f]{8}$/);
				assert.equal(key.symmetricKeySize, 32);
			}
			return true;
		},
		finish() {},
	});
}
