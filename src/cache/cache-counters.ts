// What a cache counts: plain numbers, rendered elsewhere.

export interface CacheCounters {
	created: number;
	createFailed: number;
	/** Refused because the cache holds as many entries as HashLimit allows. */
	createNoSpace: number;
	updated: number;
	updateFailed: number;
	updateNotFound: number;
	destroyed: number;
	destroyFailed: number;
	destroyNotFound: number;
}

export function newCacheCounters(): CacheCounters {
	return {
		created: 0,
		createFailed: 0,
		createNoSpace: 0,
		updated: 0,
		updateFailed: 0,
		updateNotFound: 0,
		destroyed: 0,
		destroyFailed: 0,
		destroyNotFound: 0,
	};
}
