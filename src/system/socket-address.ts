// struct sockaddr_in and sockaddr_in6 as bytes (ip(7), ipv6(7)).
import { endianness } from "node:os";
import { AF_INET, AF_INET6, NAME_SIZE } from "./native.ts";

const isLittleEndian = endianness() === "LE";

/**
 * @param address 4 or 16 bytes in network order
 * @param scope interface index of a link-local IPv6 address, else 0
 */
export function socketAddress(address: Uint8Array, port: number, scope = 0): Uint8Array {
	const isV6 = address.length === 16;
	const bytes = new Uint8Array(isV6 ? NAME_SIZE : 16);
	const view = new DataView(bytes.buffer);
	view.setUint16(0, isV6 ? AF_INET6 : AF_INET, isLittleEndian);
	view.setUint16(2, port);
	bytes.set(address, isV6 ? 8 : 4);
	if (isV6) view.setUint32(24, scope, isLittleEndian);
	return bytes;
}
