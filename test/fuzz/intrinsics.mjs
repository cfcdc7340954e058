// Whether anything that all code of a process shares has been changed: a property put on Object.prototype, or a
// method replaced, by input that was taken for a name.

const PROTOTYPES = [
	...[Object, Function, Array, String, Number, Boolean, Symbol, BigInt, Map, Set, WeakMap, WeakSet, Promise],
	...[RegExp, Date, Error, TypeError, RangeError, SyntaxError, ArrayBuffer, SharedArrayBuffer, DataView],
	...[
		Uint8Array,
		Int8Array,
		Uint16Array,
		Int32Array,
		Uint32Array,
		Float64Array,
		Buffer,
		TextDecoder,
		TextEncoder,
	],
];
const NAMESPACES = [JSON, Math, Reflect, Atomics];
const HIDDEN = [
	Object.getPrototypeOf(Uint8Array),
	Object.getPrototypeOf([][Symbol.iterator]()),
	Object.getPrototypeOf(new Map()[Symbol.iterator]()),
	Object.getPrototypeOf(function* () {}),
	Object.getPrototypeOf(async () => {}),
];

function* watched() {
	for (const made of PROTOTYPES) {
		yield [made.name, made];
		yield [`${made.name}.prototype`, made.prototype];
	}
	for (const space of NAMESPACES) yield [space[Symbol.toStringTag] ?? "namespace", space];
	for (const [i, one] of HIDDEN.entries()) {
		yield [`hidden ${i}`, one];
		if (one.prototype) yield [`hidden ${i} prototype`, one.prototype];
	}
}

/** What is there now: each property of each with its value or its accessors. */
export function snapshot() {
	return [...watched()].map(([name, object]) => {
		const properties = new Map();
		for (const key of Reflect.ownKeys(object))
			properties.set(key, Object.getOwnPropertyDescriptor(object, key));
		return { name, object, parent: Object.getPrototypeOf(object), properties };
	});
}

/** @returns the first change since the snapshot as a text, undefined if there is none */
export function changeSince(before) {
	for (const { name, object, parent, properties } of before) {
		if (Object.getPrototypeOf(object) !== parent) return `the prototype of ${name}`;
		const keys = Reflect.ownKeys(object);
		for (const key of keys) {
			const then = properties.get(key);
			if (!then) return `${name} has got ${String(key)}`;
			const now = Object.getOwnPropertyDescriptor(object, key);
			if (now.get !== then.get || now.set !== then.set || !Object.is(now.value, then.value)) {
				return `${name}.${String(key)} is another`;
			}
		}
		if (keys.length < properties.size) return `${name} has lost a property`;
	}
	for (const key in {}) return `every object has got ${key}`;
	return undefined;
}
