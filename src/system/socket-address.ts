// struct sockaddr_in, sockaddr_in6 and sockaddr_un as bytes (ip(7), ipv6(7), unix(7)).
import { endianness } from "node:os";
import { AF_INET, AF_INET6, AF_UNIX, NAME_SIZE } from "./native.ts";

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

/** @param path of the socket; one that begins with "@" is a name in the abstract namespace */
export function unixAddress(path: string): Uint8Array {
	const isAbstract = path.startsWith("@");
	const name = Buffer.from(isAbstract ? `\0${path.slice(1)}` : `${path}\0`);
	return new Uint8Array([...new Uint8Array(new Uint16Array([AF_UNIX]).buffer), ...name]);
}
