// For tests: the kernel's two tables, one request at a time and as objects.
import {
	type Conntrack,
	conntrackFromRecord,
	conntrackToRecord,
	type Expectation,
	expectationFromRecord,
	expectationToRecord,
} from "../conntrack/conntrack.ts";
import { labelMask } from "../conntrack/labels.ts";
import type { NameTable } from "../conntrack/names.ts";
import { LABELS, newConntrackRecord } from "../conntrack/record.ts";
import { ConntrackDecoder } from "../netlink/decode-conntrack.ts";
import { ConntrackEncoder, type CreateOptions } from "../netlink/encode-conntrack.ts";
import { ExpectationEncoder } from "../netlink/encode-expectation.ts";
import { errnoName } from "../netlink/error.ts";
import { KernelDump } from "../netlink/kernel-dump.ts";
import { attributesOf } from "../netlink/message.ts";
import type { Clock } from "../system/clock.ts";
import type { Native } from "../system/native.ts";
import { RequestSocket } from "./request-socket.ts";

/** What the kernel answered: `ok`, or the name of an errno. */
export type Answer = string;

const BATCH_BYTES = 1 << 20;
const LIBERAL: CreateOptions = { windowTracking: false };

export class KernelTables {
	readonly requests: RequestSocket;
	readonly dump: KernelDump;
	readonly #names: NameTable;
	readonly #conntracks: ConntrackEncoder;
	readonly #expectations: ExpectationEncoder;

	constructor(native: Native, clock: Clock, names: NameTable) {
		this.#names = names;
		this.requests = new RequestSocket(native, BATCH_BYTES);
		this.dump = new KernelDump(native, clock, names);
		this.#conntracks = new ConntrackEncoder(this.requests.writer, names);
		this.#expectations = new ExpectationEncoder(this.requests.writer, names);
	}

	/** The netlink port that events name which these requests cause. */
	get port(): number {
		return this.requests.socket.port;
	}

	create(conntrack: Conntrack, options = LIBERAL): Answer {
		this.#conntracks.create(conntrackToRecord(conntrack, this.#names), this.requests.sequence(0), 0, options);
		return this.#answer();
	}

	/** Gives an entry these labels besides those that it has. */
	label(conntrack: Conntrack, bits: readonly number[]): Answer {
		const record = conntrackToRecord(conntrack, this.#names);
		record.set(labelMask(bits), LABELS);
		this.#conntracks.labels(record, this.requests.sequence(0), labelMask(bits));
		return this.#answer();
	}

	/** Many in one call; an answer for each. */
	createAll(conntracks: readonly Conntrack[]): Answer[] {
		const answers: Answer[] = conntracks.map(() => "ok");
		for (let at = 0; at < conntracks.length; at += 512) {
			conntracks.slice(at, at + 512).forEach((conntrack, i) => {
				this.#conntracks.create(
					conntrackToRecord(conntrack, this.#names),
					this.requests.sequence(i),
					0,
					LIBERAL,
				);
			});
			this.requests.exchange((index, errno) => {
				answers[at + index] = errnoName(errno);
			});
		}
		return answers;
	}

	update(conntrack: Conntrack, options = LIBERAL): Answer {
		this.#conntracks.update(conntrackToRecord(conntrack, this.#names), this.requests.sequence(0), 0, options);
		return this.#answer();
	}

	delete(conntrack: Conntrack): Answer {
		this.#conntracks.delete(conntrackToRecord(conntrack, this.#names), this.requests.sequence(0), 0);
		return this.#answer();
	}

	/** The entry with this original tuple. */
	get(conntrack: Conntrack): Conntrack | Answer {
		const record = newConntrackRecord();
		const { wire } = this.requests;
		let isFound = false;
		this.#conntracks.get(conntrackToRecord(conntrack, this.#names), this.requests.sequence(0));
		const answer = this.#answer((start, end) => {
			isFound = new ConntrackDecoder(this.#names).decode(wire, attributesOf(start), end, record);
		});
		return isFound ? conntrackFromRecord(record, this.#names) : answer;
	}

	flush(): Answer {
		this.#conntracks.flush(this.requests.sequence(0));
		return this.#answer();
	}

	expect(expectation: Expectation): Answer {
		this.#expectations.create(expectationToRecord(expectation, this.#names), this.requests.sequence(0));
		return this.#answer();
	}

	setTimeout(expectation: Expectation, seconds: number): Answer {
		this.#expectations.setTimeout(
			expectationToRecord(expectation, this.#names),
			this.requests.sequence(0),
			seconds,
		);
		return this.#answer();
	}

	deleteExpectation(expectation: Expectation): Answer {
		this.#expectations.delete(expectationToRecord(expectation, this.#names), this.requests.sequence(0), 0);
		return this.#answer();
	}

	flushExpectations(): Answer {
		this.#expectations.flush(this.requests.sequence(0));
		return this.#answer();
	}

	async conntracks(): Promise<Conntrack[]> {
		const out: Conntrack[] = [];
		await this.dump.conntracks((record) => out.push(conntrackFromRecord(record, this.#names)));
		return out;
	}

	async expectations(): Promise<Expectation[]> {
		const out: Expectation[] = [];
		await this.dump.expectations((record) => out.push(expectationFromRecord(record, this.#names)));
		return out;
	}

	close(): void {
		this.requests.close();
		this.dump.close();
	}

	#answer(answered?: (start: number, end: number) => void): Answer {
		let answer = "ok";
		this.requests.exchange((_, errno) => {
			answer = errnoName(errno);
		}, answered);
		return answer;
	}
}
