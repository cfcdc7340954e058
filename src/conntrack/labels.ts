// Connlabels: 128 bits that rules give to connections. What a bit means is between the rules of one machine (and on some
// it holds pointers), so that only those count which an operator has named.

/** NF_CT_LABELS_MAX_SIZE, in bits. */
export const LABEL_BITS = 128;
/** Four words in host order, as in a record. */
export type LabelMask = Int32Array;
export const NO_LABELS: LabelMask = new Int32Array(4);

/** The mask of these bits, 0 to 127. */
export function labelMask(bits: readonly number[]): LabelMask {
	const mask = new Int32Array(4);
	for (const bit of bits) mask[bit >> 5]! |= 1 << (bit & 31);
	return mask;
}

/** Whether the mask allows any label at all. */
export const allowsLabels = (mask: LabelMask): boolean => (mask[0]! | mask[1]! | mask[2]! | mask[3]!) !== 0;
