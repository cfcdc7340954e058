// Helper and expectation-function names as small numbers, so that a record holds words only.

/** Longest name: NF_CT_HELPER_NAME_LEN is 16 with its zero; `nat-follow-master` is the longest function name. */
export const NAME_MAX = 31;

/**
 * A table of names. Number 0 is "no name". Names come from the kernel and from peers, so the table is bounded:
 * beyond `limit` names `intern` answers 0 and `overflow` counts.
 */
export class NameTable {
	readonly names: string[] = [""];
	overflow = 0;
	readonly #numbers = new Map<string, number>([["", 0]]);
	readonly #limit: number;

	constructor(limit = 1024) {
		this.#limit = limit;
	}

	/** The number of a name, given out on first use. */
	intern(name: string): number {
		const known = this.#numbers.get(name);
		if (known !== undefined) return known;
		if (this.names.length >= this.#limit) {
			this.overflow++;
			return 0;
		}
		const number = this.names.length;
		this.names.push(name);
		this.#numbers.set(name, number);
		return number;
	}

	/**
	 * The number of the zero-terminated (or full-length) name in bytes[start..end), without making a string for a
	 * name that is known: this runs once an event.
	 */
	internBytes(bytes: Uint8Array, start: number, end: number): number {
		let stop = start;
		while (stop < end && bytes[stop] !== 0) stop++;
		const length = stop - start;
		search: for (let i = 0; i < this.names.length; i++) {
			const name = this.names[i]!;
			if (name.length !== length) continue;
			for (let j = 0; j < length; j++) if (name.charCodeAt(j) !== bytes[start + j]) continue search;
			return i;
		}
		return this.intern(String.fromCharCode(...bytes.subarray(start, stop)));
	}

	name(number: number): string {
		return this.names[number] ?? "";
	}
}
