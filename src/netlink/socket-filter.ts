// Classic BPF for an event socket: what the program refuses is dropped in the kernel, before it takes room in the
// socket's buffer. (socket(7), SO_ATTACH_FILTER; linux/filter.h; net/core/filter.c for the attribute extensions.)
//
// BPF loads words and halves big-endian wherever they come from, so what netlink has in host order is compared with
// constants that are turned round.
import { NLMSG_HEADER } from "./constants.ts";

/** BPF_MAXINSNS: the kernel takes no longer program. */
export const INSTRUCTIONS_MAX = 4096;
/** SKF_AD_OFF + SKF_AD_NLATTR and SKF_AD_NLATTR_NEST: finds attribute X from offset A on, or in the one at A; 0 if it is not there. */
const FIND_ATTRIBUTE = 0xfffff00c;
const FIND_NESTED = 0xfffff010;
const LD_WORD = 0x20;
const LD_BYTE = 0x30;
const LD_WORD_INDIRECT = 0x40;
const LD_HALF_INDIRECT = 0x48;
const LD_BYTE_INDIRECT = 0x50;
const LD_IMMEDIATE = 0x00;
const LD_MEMORY = 0x60;
const LDX_IMMEDIATE = 0x01;
const STORE = 0x02;
const AND = 0x54;
const JUMP = 0x05;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;
const A_TO_X = 0x07;
const PASS = 0xffffffff;
const NLMSG_PID_OFFSET = 12;

/** A place in the program to jump to; forward only. */
export type Label = symbol;

interface Instruction {
	code: number;
	/** Instructions skipped, true and false; a jump to a label is the instruction that is not skipped. */
	skip: readonly [ifTrue: number, ifFalse: number];
	k: number;
	target?: Label;
}

/** The program under construction. A is the accumulator, memory has 16 words. */
export class SocketFilter {
	/** Where to go to drop the message, and to let it through. */
	readonly drop: Label = Symbol("drop");
	readonly pass: Label = Symbol("pass");
	readonly #code: Instruction[] = [];
	readonly #labels = new Map<Label, number>();

	get length(): number {
		return this.#code.length;
	}

	/** A = the word (four bytes), or the byte, at this offset of the message. */
	word(offset: number): void {
		this.#add(LD_WORD, offset);
	}

	byte(offset: number): void {
		this.#add(LD_BYTE, offset);
	}

	/** A = the attribute of this type behind the header of `length` bytes; else to the label. */
	attribute(type: number, length: number, missing: Label): void {
		this.#add(LDX_IMMEDIATE, type);
		this.#add(LD_IMMEDIATE, length);
		this.#add(LD_WORD, FIND_ATTRIBUTE);
		this.jumpIf(0, missing);
	}

	/** A = the attribute of this type inside the one that A stands at; else to the label. */
	nested(type: number, missing: Label): void {
		this.#add(LDX_IMMEDIATE, type);
		this.#add(LD_WORD, FIND_NESTED);
		this.jumpIf(0, missing);
	}

	/** X = A, for the two that follow. */
	stand(): void {
		this.#add(A_TO_X, 0);
	}

	/** A = the word, the half, or the byte, so many bytes behind X. */
	wordBehind(offset: number): void {
		this.#add(LD_WORD_INDIRECT, offset);
	}

	/** A half is two bytes, big-endian. */
	halfBehind(offset: number): void {
		this.#add(LD_HALF_INDIRECT, offset);
	}

	byteBehind(offset: number): void {
		this.#add(LD_BYTE_INDIRECT, offset);
	}

	/** memory[at] = A, and A = memory[at]. */
	store(at: number): void {
		this.#add(STORE, at);
	}

	load(at: number): void {
		this.#add(LD_MEMORY, at);
	}

	/** A = the value. */
	value(value: number): void {
		this.#add(LD_IMMEDIATE, value);
	}

	and(mask: number): void {
		this.#add(AND, mask);
	}

	jump(target: Label): void {
		this.#add(JUMP, 0, [0, 0], target);
	}

	/** Conditional jumps reach 255 instructions at most, so each stands before one that reaches everywhere. */
	jumpIf(value: number, target: Label): void {
		this.#add(JUMP_IF_EQUAL, value, [0, 1]);
		this.jump(target);
	}

	jumpUnless(value: number, target: Label): void {
		this.#add(JUMP_IF_EQUAL, value, [1, 0]);
		this.jump(target);
	}

	/** Here is the label. */
	here(label: Label): void {
		this.#labels.set(label, this.#code.length);
	}

	/**
	 * An array of struct sock_filter: u16 code, u8 true, u8 false, u32 k, in host order. What comes to the end passes.
	 *
	 * @throws Error when it is too long for the kernel
	 */
	assemble(): Uint8Array {
		const end = this.#code.length;
		const code = [...this.#code, instruction(RETURN, PASS), instruction(RETURN, 0)];
		if (code.length > INSTRUCTIONS_MAX) {
			throw new Error(`${code.length} instructions, ${INSTRUCTIONS_MAX} is the most`);
		}
		const labels = new Map(this.#labels).set(this.pass, end).set(this.drop, end + 1);
		const bytes = new Uint8Array(code.length * 8);
		const halves = new Uint16Array(bytes.buffer);
		const words = new Uint32Array(bytes.buffer);
		for (const [i, { code: op, skip, k, target }] of code.entries()) {
			halves[i * 4] = op;
			bytes[i * 8 + 2] = skip[0];
			bytes[i * 8 + 3] = skip[1];
			words[i * 2 + 1] = target === undefined ? k : labels.get(target)! - i - 1;
		}
		return bytes;
	}

	#add(code: number, k: number, skip: readonly [number, number] = [0, 0], target?: Label): void {
		this.#code.push({ ...instruction(code, k, skip), ...(target && { target }) });
	}
}

const instruction = (code: number, k: number, skip: readonly [number, number] = [0, 0]): Instruction => ({
	code,
	skip,
	k,
});

/** The value in host order as BPF will have it when it has loaded its word. */
export function asLoaded(value: number): number {
	const word = new Uint32Array([value]);
	return new DataView(word.buffer).getUint32(0);
}

/** Offset of the byte of nlmsg_type that names the subsystem, and of the one that names the message. */
const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
export const SUBSYSTEM_OFFSET = isLittleEndian ? 5 : 4;
export const MESSAGE_OFFSET = isLittleEndian ? 4 : 5;
/** Offset of nfgen_family. */
export const FAMILY_OFFSET = NLMSG_HEADER;

/** Drops what requests from these netlink ports have caused. */
export function ignorePorts(filter: SocketFilter, ports: readonly number[]): void {
	if (ports.length === 0) return;
	filter.word(NLMSG_PID_OFFSET);
	for (const port of ports) filter.jumpIf(asLoaded(port), filter.drop);
}
