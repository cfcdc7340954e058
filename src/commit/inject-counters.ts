// What direct injection has done to this kernel so far.

export interface InjectCounters {
	created: number;
	createFailed: number;
	/** Changed, or found to be as the peer has told. */
	updated: number;
	updateFailed: number;
	destroyed: number;
	destroyFailed: number;
	/** Ended at the peer, and alive here. */
	kept: number;
}

export function newInjectCounters(): InjectCounters {
	return {
		created: 0,
		createFailed: 0,
		updated: 0,
		updateFailed: 0,
		destroyed: 0,
		destroyFailed: 0,
		kept: 0,
	};
}
