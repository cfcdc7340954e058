// The network interface under a link.
import * as N from "../system/native.ts";
import { IFF_RUNNING, IFF_UP } from "../system/native.ts";

/** Room for the longest record, the frame and the headers; IPv6 links have 1280 at least. */
const MTU_MIN = 700;
/** No datagram of the protocol is longer, whatever the MTU. */
export const DATAGRAM_MAX = 8192;
/**
 * Bytes of buffer that a datagram costs the kernel beyond its own (struct sk_buff and the slack of its pages),
 * rounded up: what the receiver promises must be true for every driver.
 */
const BUFFER_OVERHEAD = 3072;

/**
 * @param headers bytes of IP and transport header in front of each datagram
 * @throws Error with a line for the operator: no such interface, or its MTU is too small
 */
export function openDevice(
	native: N.Native,
	device: string,
	headers: number,
): { index: number; datagramMax: number } {
	let info: [index: number, mtu: number, flags: number];
	try {
		info = native.interfaceInfo(device);
	} catch (error) {
		throw N.explain(`cannot open the dedicated link: interface ${device}`, error);
	}
	const [index, mtu] = info;
	if (mtu < MTU_MIN) {
		throw new Error(`cannot use ${device} as the dedicated link: its MTU is ${mtu}, ${MTU_MIN} is the least`);
	}
	return { index, datagramMax: Math.min(mtu - headers, DATAGRAM_MAX) };
}

/** Datagrams that a receive buffer of so many bytes takes in: half of it stays free for what is on its way meanwhile. */
export function creditOf(buffer: number, datagramMax: number): number {
	return Math.max(8, Math.min(1000, Math.floor(buffer / 2 / (datagramMax + BUFFER_OVERHEAD))));
}

/** RUNNING, NO-CARRIER or DOWN; DOWN also when it is not there any more. */
export function deviceStatus(native: N.Native, device: string): string {
	try {
		const [, , flags] = native.interfaceInfo(device);
		if ((flags & IFF_UP) === 0) return "DOWN";
		return (flags & IFF_RUNNING) === 0 ? "NO-CARRIER" : "RUNNING";
	} catch {
		return "DOWN";
	}
}

/** The name as SO_BINDTODEVICE wants it. */
export const deviceName = (device: string): Uint8Array => new TextEncoder().encode(`${device}\0`);
