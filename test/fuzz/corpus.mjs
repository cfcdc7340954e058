// The kept inputs: corpus/TARGET/NAME.hex (hex digits; blanks and "# comments" do not count) or NAME.txt (as it is).
import { readdirSync, readFileSync } from "node:fs";
import { extname } from "node:path";

/** @returns [name, bytes] of each */
export function loadCorpus(target) {
	const folder = new URL(`corpus/${target}/`, import.meta.url);
	return readdirSync(folder)
		.sort()
		.map((name) => {
			const content = readFileSync(new URL(name, folder));
			return [name, extname(name) === ".hex" ? parseHex(content.toString(), name) : Uint8Array.from(content)];
		});
}

function parseHex(text, name) {
	const digits = text.replace(/#.*/g, "").replace(/\s/g, "");
	if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) throw new Error(`${name}: not hex`);
	return Uint8Array.from(Buffer.from(digits, "hex"));
}
