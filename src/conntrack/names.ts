// Helper and expectation-function names as small numbers, so that a record holds words only.

/**
 * Longest name that is sent to the kernel or taken from a peer: NF_CT_HELPER_NAME_LEN is 16 with its zero, and
 * `nat-follow-master` is the longest function name.
 */
export const NAME_MAX = 31;

/** What a closed table answers for a name that it does not have. */
export const NAME_UNKNOWN = 0xffff;

/**
 * A table of names. Number 0 is "no name". Names come from the kernel and from peers, so the table is bounded:
 * beyond `limit` names `intern` answers 0 and `overflow` counts.
 *
 * Two threads number alike when one leads and the other follows: the leader's `onNew` feeds the follower's `learn`,
 * and the follower's table is closed otherwise.
 */
export class NameTable {
	readonly names: string[] = [""];
	overflow = 0;
	/** Called with each name that was given a number. */
	onNew: (name: string) => void = () => {};
	/** Called for a number that has no name yet; a follower fetches what the leader has sent. */
	onMissing: () => void = () => {};
	readonly #numbers = new Map<string, number>([["", 0]]);
	readonly #limit: number;
	readonly #isClosed: boolean;

	constructor(options: { limit?: number; isClosed?: boolean } = {}) {
		this.#limit = options.limit ?? 1024;
		this.#isClosed = options.isClosed ?? false;
	}

	/** The number of a name, given out on first use. */
	intern(name: string): number {
		const known = this.#numbers.get(name);
		if (known !== undefined) return known;
		if (this.#isClosed) return NAME_UNKNOWN;
		if (this.names.length >= this.#limit) {
			this.overflow++;
			return 0;
		}
		this.learn(name);
		this.onNew(name);
		return this.names.length - 1;
	}

	/** Gives the next number to a name that is new. */
	learn(name: string): void {
		this.#numbers.set(name, this.names.length);
		this.names.push(name);
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
		if (number >= this.names.length) this.onMissing();
		return this.names[number] ?? "";
	}
}
