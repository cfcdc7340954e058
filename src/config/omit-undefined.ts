// Optional fields that are absent rather than undefined.

/** T with every field that may be undefined made optional instead. */
export type OmitUndefined<T> = {
	[K in keyof T as undefined extends T[K] ? never : K]: T[K];
} & {
	[K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** A copy without the fields that are undefined. */
export function omitUndefined<T extends object>(object: T): OmitUndefined<T> {
	return Object.fromEntries(
		Object.entries(object).filter(([, value]) => value !== undefined),
	) as OmitUndefined<T>;
}
