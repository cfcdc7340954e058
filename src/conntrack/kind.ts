// Caches, commits and messages have two halves each.

export const CONNTRACK = 0;
export const EXPECTATION = 1;
export type Kind = typeof CONNTRACK | typeof EXPECTATION;

/** In the order in which they are replicated and committed: masters before expectations. */
export const KINDS: readonly Kind[] = [CONNTRACK, EXPECTATION];
