// How many expectations there are already, for rule X13.

/** What an expectation that is new would come on top of. It does not count itself. */
export interface Standing {
	/** Of the same master and class, of the same master, and of the same node. */
	inClass: number;
	ofMaster: number;
	ofOrigin: number;
	/** The master has had so many new ones within a second that it has to wait. */
	isTooFast: boolean;
}

/** Expectations of one master, unless its helper may have more; and of one node. */
export const PER_MASTER = 16;
export const PER_ORIGIN = 1024;
/** New ones of one master within a second. */
export const PER_SECOND = 20;
