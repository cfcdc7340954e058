// The types of src/system/native/native.c and its loader. The addon moves bytes; whoever needs a socket asks here.
import { createRequire } from "node:module";

/** A descriptor being watched; opaque to JavaScript. */
export interface Poller {
	readonly poller: unique symbol;
}

/** A cipher and its key; opaque to JavaScript. */
export interface NativeAead {
	readonly aead: unique symbol;
}

/** Thrown by the calls that set something up, in the shape of Node's own system errors. */
export interface SystemError extends Error {
	errno: number;
	code: string;
	syscall: string;
}

export interface Native {
	openSocket(domain: number, type: number, protocol: number): number;
	bindSocket(fd: number, address: Uint8Array): void;
	/** The port id that the kernel gave a netlink socket (netlink(7), nl_pid). */
	netlinkPort(fd: number): number;
	setOption(fd: number, level: number, name: number, value: number | Uint8Array): void;
	getOption(fd: number, level: number, name: number): number;
	/** `program` is an array of struct sock_filter, 8 bytes each, host byte order. */
	attachFilter(fd: number, program: Uint8Array): void;
	joinGroup(fd: number, group: Uint8Array, interfaceIndex: number): void;
	/** [index, MTU in bytes, IFF_* flags]; throws ENODEV for an unknown name. */
	interfaceInfo(name: string): [index: number, mtu: number, flags: number];
	/** 0, or -EWOULDBLOCK when another process holds the lock (flock(2)). */
	lock(fd: number): number;
	/** From now on this thread's sockets open in an empty network namespace of its own; throws EPERM without CAP_SYS_ADMIN. */
	unshareNetwork(): void;
	/**
	 * Of a thread of this process, by number, and those that it starts: SCHED_FIFO 1 or SCHED_RR 2, priority 1 to 99
	 * (sched_setscheduler(2)); throws EPERM without CAP_SYS_NICE, ESRCH when there is no such thread.
	 */
	setScheduler(thread: number, policy: number, priority: number): void;
	/** What is freed goes back to the system from so many bytes on; for the whole process (mallopt(3), glibc only). */
	returnMemory(threshold: number): void;
	closeSocket(fd: number): void;
	/**
	 * Reads up to `lengths.length` datagrams (256 at most) without blocking; datagram i is at `buffer[i * stride]`
	 * and was `lengths[i]` bytes long (more than stride: it was cut). Returns their number, or -errno.
	 */
	receive(
		fd: number,
		buffer: Uint8Array,
		stride: number,
		lengths: Int32Array,
		names: Uint8Array | null,
	): number;
	/** Bytes sent, or -errno. */
	send(fd: number, buffer: Uint8Array, offset: number, length: number): number;
	/**
	 * `receive` and `send` on a thread of libuv's pool, for calls in which the kernel works long. Until the promise is
	 * resolved the arrays belong to that thread, and the descriptor must not be closed.
	 *
	 * @param turns two words, zero at first, that calls share which must run one after another, in the order in which they were made
	 */
	receiveLater(
		fd: number,
		buffer: Uint8Array,
		stride: number,
		lengths: Int32Array,
		turns: Int32Array,
	): Promise<number>;
	sendLater(fd: number, buffer: Uint8Array, offset: number, length: number): Promise<number>;
	/** `spans` holds pairs (offset, length). Datagrams sent (fewer when the send buffer is full), or -errno. */
	sendMany(fd: number, buffer: Uint8Array, spans: Int32Array, count: number, destination: Uint8Array): number;
	/** Calls back whenever the descriptor is readable or has an error pending. */
	poll(fd: number, callback: () => void): Poller;
	pollPause(poller: Poller): void;
	pollResume(poller: Poller): void;
	/**
	 * Pauses the poller, and calls back once: after so many milliseconds, or earlier when at a look, of which there is one
	 * every `step` milliseconds, `enough` bytes of the socket's receive buffer are in use (as SO_RCVBUF counts them). A look
	 * is no turn of JavaScript. Ends with the next pollPause, pollResume or pollAfter.
	 */
	pollAfter(poller: Poller, milliseconds: number, step: number, enough: number): void;
	pollClose(poller: Poller): void;
}

/** The ciphers of the OpenSSL that Node carries. */
export interface NativeCiphers {
	/** Suite 1: AES-256-GCM, 2: ChaCha20-Poly1305. A key of 32 bytes. */
	aeadCipher(suite: number, key: Uint8Array): NativeAead;
	/**
	 * Seals or opens in place: bytes [start, body) are authenticated, [body, end) encrypted as well; the tag stands in the 16
	 * bytes behind `end`. A nonce has 12 bytes. False: what was to be opened is not what was sealed, and [body, end) means
	 * nothing now.
	 */
	aeadRun(
		cipher: NativeAead,
		isSeal: boolean,
		nonce: Uint8Array,
		bytes: Uint8Array,
		start: number,
		body: number,
		end: number,
	): boolean;
}

/**
 * A system error as an operator needs it: what was attempted, what the system answered, and what helps.
 */
export function explain(attempt: string, error: unknown): Error {
	const { code, message } = error as SystemError;
	const hint = code === "EPERM" || code === "EACCES" ? " (ctsync needs CAP_NET_ADMIN: run it as root)" : "";
	return new Error(`${attempt}: ${message}${hint}`, { cause: error });
}

/** Bytes of one source address in the `names` buffer of `receive`: sizeof(struct sockaddr_in6). */
export const NAME_SIZE = 28;

export function loadNative(): Native {
	return createRequire(import.meta.url)("../../build/ctsync.node") as Native;
}

/** Undefined where Node does not export the functions of its OpenSSL. */
export function ciphersOf(native: Native): NativeCiphers | undefined {
	const addon = native as Native & Partial<NativeCiphers>;
	return addon.aeadCipher && addon.aeadRun ? (addon as NativeCiphers) : undefined;
}

/** Constants of Linux' generic socket ABI (asm-generic/socket.h, linux/in.h, linux/in6.h). */
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_RCVBUF = 8;
export const SO_NO_CHECK = 11;
export const SO_PRIORITY = 12;
export const SO_BINDTODEVICE = 25;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const IPPROTO_IP = 0;
export const IPPROTO_IPV6 = 41;
export const IP_MULTICAST_IF = 32;
export const IP_MULTICAST_TTL = 33;
export const IP_MULTICAST_LOOP = 34;
export const IPV6_MULTICAST_IF = 17;
export const IPV6_MULTICAST_HOPS = 18;
export const IPV6_MULTICAST_LOOP = 19;
export const IPV6_V6ONLY = 26;
export const IPV6_ADDR_PREFERENCES = 72;
export const IPV6_PREFER_SRC_PUBLIC = 0x0002;
export const IFF_UP = 0x1;
export const IFF_RUNNING = 0x40;

export const EAGAIN = 11;
export const ENOBUFS = 105;
