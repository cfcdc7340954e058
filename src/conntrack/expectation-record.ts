// One expectation as a flat array of 32-bit words, with the same byte orders as record.ts.

/** Which attributes are present, bits X_*. */
export const EXP_HAS = 0;
/** The expected tuple: family | protocol << 8. */
export const EXP_PROTOCOLS = 1;
export const EXP_ZONE = 2;
export const EXP_PORTS = 3;
export const EXP_SRC = 4;
export const EXP_DST = 8;
/** CTA_EXPECT_CLASS: which of the helper's policies counts. */
export const EXP_CLASS = 12;
/** The mask over the expected tuple; its family and protocol words as the kernel sends them. */
export const EXP_MASK_PROTOCOLS = 13;
export const EXP_MASK_PORTS = 14;
export const EXP_MASK_SRC = 15;
export const EXP_MASK_DST = 19;
/** The master's original tuple. */
export const EXP_MASTER_PROTOCOLS = 23;
export const EXP_MASTER_PORTS = 24;
export const EXP_MASTER_SRC = 25;
export const EXP_MASTER_DST = 29;
/** Seconds left when the kernel told. */
export const EXP_TIMEOUT = 33;
export const EXP_ID = 34;
/** Numbers in the name table; 0 is none. */
export const EXP_HELPER = 35;
export const EXP_FN = 36;
/** NF_CT_EXPECT_*: 1 permanent, 2 inactive, 4 userspace. */
export const EXP_FLAGS = 37;
/** CTA_EXPECT_NAT: direction (0 original, 1 reply) and the saved tuple. */
export const EXP_NAT_DIR = 38;
export const EXP_NAT_PROTOCOLS = 39;
export const EXP_NAT_PORTS = 40;
export const EXP_NAT_SRC = 41;
export const EXP_NAT_DST = 45;
export const EXPECTATION_WORDS = 49;

export const X_TIMEOUT = 1 << 0;
export const X_ID = 1 << 1;
export const X_HELPER = 1 << 2;
export const X_FN = 1 << 3;
export const X_FLAGS = 1 << 4;
export const X_CLASS = 1 << 5;
export const X_NAT = 1 << 6;
/** Every bit that the wire may carry. */
export const X_WIRE = 0x7f & ~X_ID;

/** The words PROTOCOLS .. MASK_DST+3 identify an expectation (nf_conntrack_expect.c, expect_matches). */
export const EXP_KEY_FIRST = EXP_PROTOCOLS;
export const EXP_KEY_WORDS = EXP_MASTER_PROTOCOLS - EXP_KEY_FIRST;

/** A record of EXPECTATION_WORDS words. */
export type ExpectationRecord = Int32Array;

export function newExpectationRecord(): ExpectationRecord {
	return new Int32Array(EXPECTATION_WORDS);
}

/** Zeroes the words of absent attributes, so that two records with the same meaning are equal word by word. */
export function canonicalizeExpectation(record: ExpectationRecord): void {
	const has = record[EXP_HAS]!;
	if ((has & X_TIMEOUT) === 0) record[EXP_TIMEOUT] = 0;
	if ((has & X_ID) === 0) record[EXP_ID] = 0;
	if ((has & X_HELPER) === 0) record[EXP_HELPER] = 0;
	if ((has & X_FN) === 0) record[EXP_FN] = 0;
	if ((has & X_FLAGS) === 0) record[EXP_FLAGS] = 0;
	if ((has & X_CLASS) === 0) record[EXP_CLASS] = 0;
	if ((has & X_NAT) === 0) record.fill(0, EXP_NAT_DIR, EXPECTATION_WORDS);
}
