// What to say about a word that is no directive of its section: written in another case, at home in another section,
// or mistyped.
import type { DirectiveSpec, Place } from "./directives.ts";
import { DIRECTIVES, directivesIn } from "./directives.ts";
import { nearest } from "./nearest.ts";
import { listWords, show } from "./problem.ts";

export interface Explanation {
	message: string;
	suggestion?: string;
	/** The row of the word where it belongs, when it is only in the wrong section. */
	belongs?: DirectiveSpec;
	/** The word belongs in a section around this one, so a closing brace may be missing. */
	braceMissing?: boolean;
}

/** Explains why `word` cannot stand in the innermost of `places` (outermost first). */
export function explainUnknown(word: string, places: readonly Place[]): Explanation {
	const place = places.at(-1)!;
	const here = directivesIn(place).map((spec) => spec.word);

	const sameLetters = here.find((known) => known.toLowerCase() === word.toLowerCase());
	if (sameLetters !== undefined) {
		return { message: `unknown word ${show(word)}: upper and lower case count`, suggestion: sameLetters };
	}

	const homes = DIRECTIVES.filter((spec) => spec.word === word);
	if (homes.length > 0) return explainMisplaced(word, places, homes);

	const near = nearest(word, here);
	if (near !== undefined) return { message: `unknown word ${show(word)} in ${place}`, suggestion: near };

	const far = nearest(word, new Set(DIRECTIVES.map((spec) => spec.word)));
	if (far !== undefined) {
		const farHomes = DIRECTIVES.filter((spec) => spec.word === far);
		return {
			message: `unknown word ${show(word)} in ${place}; ${show(far)} would belong in ${placesOf(farHomes)}`,
			suggestion: far,
		};
	}
	return { message: `unknown word ${show(word)} in ${place}` };
}

function explainMisplaced(word: string, places: readonly Place[], homes: DirectiveSpec[]): Explanation {
	const belongs = homes.find((spec) => spec.in.some((home) => places.includes(home))) ?? homes[0]!;
	const braceMissing = belongs.in.some((home) => places.includes(home));
	const hint = braceMissing ? '; is a "}" missing before it?' : "";
	const message = `${show(word)} belongs in ${placesOf(homes)}, not in ${places.at(-1)}${hint}`;
	return { message, belongs, braceMissing };
}

/** The sections of some rows for a message: "UNIX", "Mode FTFW or Mode NOTRACK". Old places only if there is no other. */
function placesOf(specs: readonly DirectiveSpec[]): string {
	const current = specs.filter((spec) => spec.obsolete === undefined);
	const places = [...new Set((current.length > 0 ? current : specs).flatMap((spec) => spec.in))];
	const last = places.pop()!;
	// conntrackd still takes the Mode words directly in Sync; they are better put in a Mode section
	const isLegacy = last === "Sync" && places.some((place) => place.startsWith("Mode"));
	if (isLegacy) return listWords(places);
	return listWords([...places, last]);
}
