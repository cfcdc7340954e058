// The kernel's two tables, read whole and without returning to the event loop: for worker threads.
import { newExpectationRecord } from "../conntrack/expectation-record.ts";
import type { NameTable } from "../conntrack/names.ts";
import { newConntrackRecord } from "../conntrack/record.ts";
import { NLMSG_DONE } from "../netlink/constants.ts";
import { ConntrackDecoder } from "../netlink/decode-conntrack.ts";
import { ExpectationDecoder } from "../netlink/decode-expectation.ts";
import { ConntrackEncoder } from "../netlink/encode-conntrack.ts";
import { ExpectationEncoder } from "../netlink/encode-expectation.ts";
import { NetlinkError } from "../netlink/error.ts";
import { attributesOf, messageType } from "../netlink/message.ts";
import type { Native } from "../system/native.ts";
import { RequestSocket } from "./request-socket.ts";

/** Room for a request to dump. */
const DUMP_BYTES = 256;

export class TableReader {
	readonly #names: NameTable;
	readonly #requests: RequestSocket;

	constructor(native: Native, names: NameTable) {
		this.#names = names;
		this.#requests = new RequestSocket(native, DUMP_BYTES);
	}

	/** A record of its own for each conntrack. @throws NetlinkError */
	conntracks(visit: (record: Int32Array) => void): void {
		const decoder = new ConntrackDecoder(this.#names);
		new ConntrackEncoder(this.#requests.writer, this.#names).dump(this.#requests.sequence(0));
		this.#dump("dump conntracks", (start, end) => {
			const record = newConntrackRecord();
			if (decoder.decode(this.#requests.wire, attributesOf(start), end, record)) visit(record);
		});
	}

	/** The same for expectations. */
	expectations(visit: (record: Int32Array) => void): void {
		const decoder = new ExpectationDecoder(this.#names);
		new ExpectationEncoder(this.#requests.writer, this.#names).dump(this.#requests.sequence(0));
		this.#dump("dump expectations", (start, end) => {
			const record = newExpectationRecord();
			if (decoder.decode(this.#requests.wire, attributesOf(start), end, record)) visit(record);
		});
	}

	close(): void {
		this.#requests.close();
	}

	#dump(what: string, visit: (start: number, end: number) => void): void {
		let refused = 0;
		this.#requests.exchange(
			(_, errno) => {
				refused = errno;
			},
			(start, end) => {
				if (messageType(this.#requests.wire, start) !== NLMSG_DONE) visit(start, end);
			},
		);
		if (refused !== 0) throw new NetlinkError(what, refused);
	}
}
