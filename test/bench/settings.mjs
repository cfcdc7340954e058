// What may be chosen by the environment, and how sizes are written.
import { VARIANTS } from "./daemon.mjs";

const words = (text) => (text ?? "").split(/[\s,]+/).filter(Boolean);

function positive(name, fallback) {
	const value = Number(process.env[name] || fallback);
	if (!(value > 0)) throw new Error(`${name}: not a positive number`);
	return value;
}

/** @throws Error that says what cannot be understood */
export function readSettings() {
	const variants = words(process.env.VARIANTS || "conntrackd ctsync sealed floor");
	if (process.env.OTHER && !process.env.VARIANTS) variants.splice(2, 0, "other");
	const unknown = variants.find((name) => name !== "floor" && !VARIANTS[name]?.command);
	if (unknown) throw new Error(`VARIANTS: no such variant: ${unknown}`);
	return {
		rows: words(process.env.ROWS),
		repeat: Math.ceil(positive("REPEAT", 5)),
		/** Every number of entries is multiplied by this: 0.1 for a quick look. */
		scale: positive("SCALE", 1),
		variants,
	};
}

/** A list of numbers from the environment; 500k and 2M are numbers, "storm" is 0: as fast as it goes. */
export function readNumbers(name, fallback) {
	return words(process.env[name] || fallback).map((word) => {
		if (word === "storm") return 0;
		const [, digits, unit] = /^(\d+)([kM]?)$/.exec(word) ?? [];
		if (digits === undefined) throw new Error(`${name}: not a number: ${word}`);
		return Number(digits) * { "": 1, k: 1000, M: 1e6 }[unit];
	});
}

/** 500000 is 500k. */
export function short(n) {
	if (n >= 1e6 && n % 1e5 === 0) return `${n / 1e6}M`;
	return n >= 1000 && n % 100 === 0 ? `${n / 1000}k` : `${n}`;
}

export const TCP4 = "--tcp 100";
export const SNAT4 = "--tcp 100 --snat 100";
export const FULL6 = "--tcp 100 --v6 100 --snat 100 --helper ftp";
