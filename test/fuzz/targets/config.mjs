import assert from "node:assert/strict";
import { importer } from "../importer.mjs";

/** Configuration files. */
export async function createConfig(dist) {
	const load = importer(dist);
	const [{ ConfigError, formatProblem, parseConfig }, { printConfig }, { changes }] = await Promise.all([
		load("config/config.js"),
		load("config/print.js"),
		load("config/changes.js"),
	]);
	const parse = (text) => {
		try {
			return parseConfig(text, "fuzz");
		} catch (error) {
			if (!(error instanceof ConfigError)) throw error;
			assert.ok(error.problems.length > 0 && error.problems.length <= 20);
			for (const problem of error.problems) {
				assert.ok(problem.line >= 1 && problem.column >= 1);
				assert.ok(!formatProblem(problem).includes("undefined"), formatProblem(problem));
			}
			return undefined;
		}
	};
	return () => ({
		run(bytes) {
			const parsed = parse(Buffer.from(bytes).toString());
			if (!parsed) return false;
			assert.ok(Object.isFrozen(parsed.config));
			// what is printed means the same
			const text = printConfig(parsed.config);
			const again = parse(text);
			assert.ok(again, `what was printed is no configuration:\n${text}`);
			assert.equal(printConfig(again.config), text);
			assert.deepEqual(changes(parsed.config, again.config), []);
			return true;
		},
		finish() {},
	});
}

/** The table of directives, by section. */
export async function directivesByPlace(dist) {
	const { DIRECTIVES } = await import(new URL("config/directives.js", dist).href);
	const places = new Set(DIRECTIVES.flatMap((spec) => spec.in));
	return new Map([...places].map((place) => [place, DIRECTIVES.filter((spec) => spec.in.includes(place))]));
}
