// An expectation as it is, word for word: expectations are few.
import {
	EXP_KEY_FIRST,
	EXP_KEY_WORDS,
	EXPECTATION_WORDS,
	type ExpectationRecord,
} from "../conntrack/expectation-record.ts";
import { hashExpectation } from "../conntrack/key.ts";
import type { RecordLayout } from "./record-layout.ts";

export class ExpectationLayout implements RecordLayout {
	readonly recordWords = EXPECTATION_WORDS;
	readonly packedWords = EXPECTATION_WORDS;
	readonly slabs = [];

	hash(record: ExpectationRecord, seed: number): number {
		return hashExpectation(record, seed);
	}

	same(words: Int32Array, at: number, record: ExpectationRecord): boolean {
		for (let i = EXP_KEY_FIRST; i < EXP_KEY_FIRST + EXP_KEY_WORDS; i++) {
			if (words[at + i] !== record[i]) return false;
		}
		return true;
	}

	pack(words: Int32Array, at: number, record: ExpectationRecord): void {
		words.set(record, at);
	}

	repack(words: Int32Array, at: number, record: ExpectationRecord): void {
		words.set(record, at);
	}

	/** There are few: whoever asks compares them himself. */
	confirm(): boolean {
		return false;
	}

	unpack(words: Int32Array, at: number, record: ExpectationRecord): void {
		for (let i = 0; i < EXPECTATION_WORDS; i++) record[i] = words[at + i]!;
	}

	release(): void {}
}
