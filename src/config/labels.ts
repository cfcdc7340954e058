// Labels: the connlabels that are replicated, by number.
import type { Report } from "./problem.ts";
import { show } from "./problem.ts";
import type { Directive } from "./syntax.ts";

/** NF_CT_LABELS_MAX_SIZE is 16 bytes (linux/netfilter/xt_connlabel.h, XT_CONNLABEL_MAXBIT). */
const BIT_MAX = 127;

/** The numbers of the Labels sections, which are joined; in order, each once. */
export function buildLabels(blocks: readonly Directive[], report: Report): number[] {
	const bits = new Set<number>();
	for (const directive of blocks) {
		if (directive.block!.length === 0) report.warn(directive, "Labels names no label: none is replicated");
		for (const bit of readLabels(directive, report)) bits.add(bit);
	}
	return [...bits].sort((a, b) => a - b);
}

/** The numbers of labels in the braces. */
export function readLabels({ block }: Directive, report: Report): number[] {
	const bits: number[] = [];
	for (const { name, ...word } of block!) {
		const bit = /^\d{1,3}$/.test(name) ? Number(name) : BIT_MAX + 1;
		if (bit <= BIT_MAX) bits.push(bit);
		else
			report.badValue(word, `${show(name)}: a label is a number from 0 to ${BIT_MAX} (see connlabel.conf)`);
	}
	return bits;
}
