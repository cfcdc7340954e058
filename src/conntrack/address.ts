// IPv4 and IPv6 addresses: text, bytes, and the words of a record. Words hold the bytes in network order.

/** Formats the address in `words[at..]`; IPv6 in the canonical text of RFC 5952. */
export function formatAddress(words: Int32Array, at: number, ipv6: boolean): string {
	const bytes = new Uint8Array(words.buffer, words.byteOffset + at * 4, ipv6 ? 16 : 4);
	return formatBytes(bytes);
}

/** Formats 4 or 16 bytes in network order. */
export function formatBytes(bytes: Uint8Array): string {
	if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
	const groups: number[] = [];
	for (let i = 0; i < 16; i += 2) groups.push((bytes[i]! << 8) | bytes[i + 1]!);
	// the longest run of zero groups, two at least, the first of equals
	let start = -1;
	let length = 1;
	for (let i = 0; i < 8; i++) {
		let j = i;
		while (j < 8 && groups[j] === 0) j++;
		if (j - i > length) {
			start = i;
			length = j - i;
		}
		if (j > i) i = j;
	}
	const text = (part: number[]): string => part.map((group) => group.toString(16)).join(":");
	const isMapped = start === 0 && length === 5 && groups[5] === 0xffff;
	const isCompatible = start === 0 && length === 6;
	if (isMapped || isCompatible) {
		return `::${isMapped ? "ffff:" : ""}${bytes[12]}.${bytes[13]}.${bytes[14]}.${bytes[15]}`;
	}
	if (start < 0) return text(groups);
	return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

/** Parses an address into 4 or 16 bytes in network order; undefined if it is none. */
export function parseAddress(text: string): Uint8Array | undefined {
	return text.includes(":") ? parse6(text) : parse4(text);
}

function parse4(text: string): Uint8Array | undefined {
	const parts = text.split(".");
	if (parts.length !== 4) return undefined;
	const out = new Uint8Array(4);
	for (let i = 0; i < 4; i++) {
		const part = parts[i]!;
		if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
		out[i] = Number(part);
	}
	return out;
}

function parse6(text: string): Uint8Array | undefined {
	const halves = text.split("::");
	if (halves.length > 2) return undefined;
	const head = groupsOf(halves[0]!, halves.length === 1);
	const tail = halves.length === 2 ? groupsOf(halves[1]!, true) : [];
	if (!head || !tail) return undefined;
	const missing = 8 - head.length - tail.length;
	if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
	const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
	const out = new Uint8Array(16);
	groups.forEach((group, i) => {
		out[2 * i] = group >> 8;
		out[2 * i + 1] = group & 0xff;
	});
	return out;
}

/** The 16-bit groups of a part; its last piece may be a dotted IPv4 address if the part ends the address. */
function groupsOf(part: string, isLast: boolean): number[] | undefined {
	if (part === "") return [];
	const out: number[] = [];
	const pieces = part.split(":");
	for (let i = 0; i < pieces.length; i++) {
		const piece = pieces[i]!;
		if (isLast && i === pieces.length - 1 && piece.includes(".")) {
			const v4 = parse4(piece);
			if (!v4) return undefined;
			out.push((v4[0]! << 8) | v4[1]!, (v4[2]! << 8) | v4[3]!);
		} else {
			if (!/^[0-9a-fA-F]{1,4}$/.test(piece)) return undefined;
			out.push(Number.parseInt(piece, 16));
		}
	}
	return out;
}

/** Puts 4 or 16 bytes into `words[at..at+4]`, the rest zero. */
export function storeAddress(words: Int32Array, at: number, bytes: Uint8Array): void {
	words.fill(0, at, at + 4);
	new Uint8Array(words.buffer, words.byteOffset + at * 4, 16).set(bytes);
}

/** The 4 or 16 bytes of `words[at..]` as an own copy. */
export function loadAddress(words: Int32Array, at: number, ipv6: boolean): Uint8Array {
	return new Uint8Array(words.buffer, words.byteOffset + at * 4, ipv6 ? 16 : 4).slice();
}
