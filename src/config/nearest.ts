// The candidate that a mistyped word is nearest to.

/** Words longer than any directive are not compared. */
const COMPARED_MAX = 40;

/**
 * The candidate that `text` is most probably a slip of: the same letters in another case, or few enough edits (one in
 * every three letters). Undefined when none is near.
 */
export function nearest(text: string, candidates: Iterable<string>): string | undefined {
	if (text.length > COMPARED_MAX) return undefined;
	const wanted = text.toLowerCase();
	let best: string | undefined;
	let bestDistance = Math.max(1, Math.floor(text.length / 3)) + 1;
	for (const candidate of candidates) {
		// each letter too many or too few is an edit
		if (Math.abs(candidate.length - text.length) >= bestDistance) continue;
		const distance = editDistance(wanted, candidate.toLowerCase());
		if (distance < bestDistance && distance < candidate.length) {
			best = candidate;
			bestDistance = distance;
		}
	}
	return best;
}

/**
 * Number of insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (optimal string
 * alignment distance).
 */
export function editDistance(a: string, b: string): number {
	let beforeLast: number[] = [];
	let last = Array.from({ length: b.length + 1 }, (_, j) => j);
	for (let i = 1; i <= a.length; i++) {
		const row = [i];
		for (let j = 1; j <= b.length; j++) {
			const isSame = a[i - 1] === b[j - 1];
			let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (isSame ? 0 : 1));
			if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
				cost = Math.min(cost, beforeLast[j - 2]! + 1);
			}
			row.push(cost);
		}
		beforeLast = last;
		last = row;
	}
	return last[b.length]!;
}
