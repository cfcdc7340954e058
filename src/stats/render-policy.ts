// The block of our own in `-s expect`: what became of expectations, by helper and rule.
import { formatCode, formatRefusals, WAITING } from "../policy/codes.ts";

/** One verdict of one checkpoint. */
interface Count {
	readonly checkpoint: string;
	readonly helper: string;
	/** 0: allowed. */
	readonly code: number;
	readonly count: number;
}

export interface PolicyStats {
	readonly counts: readonly Count[];
	/** Of the peers' expectations now, by rule, those that are kept back; WAITING: they wait for their master. */
	readonly keptBack: ArrayLike<number>;
	readonly onViolation: string;
}

const CHECKPOINTS = ["export", "receipt", "commit"] as const;

/** One line for each helper and checkpoint that has seen any, then what is kept back now. */
export function renderPolicy({ counts, keptBack, onViolation }: PolicyStats): string {
	const lines = [`expectation policy (violations: ${onViolation}):`];
	const helpers = [...new Set(counts.map(({ helper }) => helper))].sort();
	for (const helper of helpers) {
		for (const checkpoint of CHECKPOINTS) {
			const own = counts.filter((one) => one.helper === helper && one.checkpoint === checkpoint);
			if (own.length === 0) continue;
			const accepted = own.find(({ code }) => code === 0)?.count ?? 0;
			const rejected = own.filter(({ code }) => code !== 0).sort((a, b) => a.code - b.code);
			const total = rejected.reduce((sum, { count }) => sum + count, 0);
			const codes = rejected.map(({ code, count }) => `${formatCode(code)} ${count}`).join(", ");
			lines.push(
				`helper=${helper} at=${checkpoint} accepted=${accepted} rejected=${total}${codes === "" ? "" : ` (${codes})`}`,
			);
		}
	}
	const kept = formatRefusals([0, ...Array.from({ length: 16 }, (_, i) => keptBack[i + 1] ?? 0)]);
	const waiting = keptBack[WAITING] ?? 0;
	lines.push(
		`kept back now: ${kept === "" ? "none" : kept}${waiting > 0 ? `; ${waiting} wait for their master` : ""}`,
	);
	return `${lines.join("\n")}\n\n`;
}
