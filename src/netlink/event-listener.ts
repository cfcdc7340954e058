// The kernel's conntrack and expectation events, decoded in the order in which they happened.
//
// When events are few each is read at once. Under load the socket is read in bursts (reading-pace.ts): a reader that
// wakes up for every event fights the kernel for the queue's lock, and costs the packet path more than itself.
import type { ExpectationRecord } from "../conntrack/expectation-record.ts";
import { newExpectationRecord } from "../conntrack/expectation-record.ts";
import { type LabelMask, NO_LABELS } from "../conntrack/labels.ts";
import type { NameTable } from "../conntrack/names.ts";
import { type ConntrackRecord, newConntrackRecord } from "../conntrack/record.ts";
import type { Clock } from "../system/clock.ts";
import { EAGAIN, ENOBUFS, type Native } from "../system/native.ts";
import { WireBuffer } from "./attribute.ts";
import * as C from "./constants.ts";
import type { AccountDecoder } from "./decode-accounting.ts";
import { ConntrackDecoder } from "./decode-conntrack.ts";
import { ExpectationDecoder } from "./decode-expectation.ts";
import { attributesOf, eachMessage, messageFlags, messagePort, messageType } from "./message.ts";
import { BURST_MAX_MS, BURST_MIN_MS, ReadingPace } from "./reading-pace.ts";
import { NetlinkSocket } from "./socket.ts";

export type EventKind = "new" | "update" | "destroy";

/** The records are reused: copy what outlives the call. `port` is the netlink port whose request caused the event, 0 for a packet. */
export interface EventHandler {
	conntrack(kind: EventKind, record: ConntrackRecord, port: number): void;
	expectation(kind: EventKind, record: ExpectationRecord, port: number): void;
	/** Everything that was readable has been handed over. */
	batchEnd(): void;
	/** Events were lost; what is delivered from now on is complete again, until this is called once more. */
	overrun(): void;
}

export interface EventCounters {
	received: number;
	unknownType: number;
	malformed: number;
	overruns: number;
}

/** Datagrams per call, and room for one: no event comes near it. */
const BATCH = 128;
const STRIDE = 2048;
/** Datagrams in one go before others have a turn. */
const TURN_MAX = 16_384;
/** What the fastest kernel that was measured tells in a millisecond, and what the socket is charged for one event, bytes. */
const STORM_PER_MS = 400;
const EVENT_CHARGE = 1280;

export interface ListenerOptions {
	native: Native;
	clock: Clock;
	names: NameTable;
	handler: EventHandler;
	/** Listen to expectations, too. */
	expectations: boolean;
	receiveBuffer: number;
	reliable: boolean;
	/** In a storm, too, no event waits for others for longer than BURST_MIN_MS; else for BURST_MAX_MS at most. */
	isUrgent?: boolean;
	ignorePorts?: readonly number[];
	/** A program for the socket in their place. */
	filter?: Uint8Array;
	/** The connlabels that count; none unless given. */
	labels?: LabelMask;
	/** Has what a conntrack's end tells of its traffic, when the handler hears of the end. */
	account?: AccountDecoder;
}

export class EventListener {
	readonly counters: EventCounters = { received: 0, unknownType: 0, malformed: 0, overruns: 0 };
	readonly socket: NetlinkSocket;
	readonly #handler: EventHandler;
	readonly #clock: Clock;
	readonly #wire = new WireBuffer(BATCH * STRIDE);
	readonly #lengths = new Int32Array(BATCH);
	readonly #conntracks: ConntrackDecoder;
	readonly #expectations: ExpectationDecoder;
	readonly #conntrack = newConntrackRecord();
	readonly #expectation = newExpectationRecord();
	readonly #account: AccountDecoder | undefined;
	readonly #pace: ReadingPace;
	/** Reading by the clock. */
	#isBurst = false;
	/** Between two bursts: how often to look how full the buffer is, milliseconds, and from how many bytes on to read. */
	readonly #lookEvery: number;
	readonly #enough: number;
	/**
	 * The socket is congested: the kernel has told once that it drops events, and drops all that come, untold, until the
	 * queue is empty (NETLINK_S_CONGESTED in af_netlink.c). A table that is read before then may lack them for good.
	 */
	#isCongested = false;
	#isClosed = false;

	constructor(options: ListenerOptions) {
		this.#handler = options.handler;
		this.#clock = options.clock;
		this.#account = options.account;
		this.#conntracks = new ConntrackDecoder(options.names, {
			mask: options.labels ?? NO_LABELS,
			isWhole: false,
		});
		this.#expectations = new ExpectationDecoder(options.names);
		const groups = [C.NFNLGRP_CONNTRACK_NEW, C.NFNLGRP_CONNTRACK_UPDATE, C.NFNLGRP_CONNTRACK_DESTROY];
		if (options.expectations) groups.push(C.NFNLGRP_CONNTRACK_EXP_NEW, C.NFNLGRP_CONNTRACK_EXP_DESTROY);
		this.socket = new NetlinkSocket(options.native, { ...options, groups });
		// a storm that begins between two looks fills half of the buffer, on top of what was not enough to read
		const { receiveBuffer } = this.socket;
		this.#lookEvery = Math.max(1, Math.floor(receiveBuffer / 2 / (STORM_PER_MS * EVENT_CHARGE)));
		this.#enough = Math.floor(receiveBuffer / 4);
		this.#pace = new ReadingPace(options.clock.now(), options.isUrgent ? BURST_MIN_MS : BURST_MAX_MS);
	}

	/** Begins to deliver; events since the constructor wait in the socket. */
	start(): void {
		this.socket.onReadable(() => this.#readable());
	}

	/** Delivers what is there now, up to a turn's worth. */
	drain(): void {
		this.#read();
	}

	close(): void {
		this.#isClosed = true;
		this.socket.close();
	}

	#readable(): void {
		if (this.#isClosed) return;
		const count = this.#read();
		if (this.#isClosed) return;
		this.#pace.read(count, this.#clock.now());
		const { interval } = this.#pace;
		const wasBurst = this.#isBurst;
		this.#isBurst = interval > 0;
		// what is left of a storm is read as soon as the others had their turn
		if (this.#isBurst && count < TURN_MAX) this.socket.readAfter(interval, this.#lookEvery, this.#enough);
		else if (wasBurst || this.#isBurst) this.socket.resume();
	}

	/** @returns the number of datagrams read */
	#read(): number {
		let total = 0;
		let isEmpty = false;
		while (total < TURN_MAX && !isEmpty) {
			const count = this.socket.receive(this.#wire, STRIDE, this.#lengths);
			if (count === -ENOBUFS) {
				this.counters.overruns++;
				this.#isCongested = true;
				continue;
			}
			if (count < 0 && count !== -EAGAIN) this.counters.malformed++;
			for (let i = 0; i < count; i++) this.#datagram(i * STRIDE, this.#lengths[i]!);
			total += Math.max(0, count);
			isEmpty = count < BATCH;
		}
		if (this.#isCongested && isEmpty) {
			this.#isCongested = false;
			this.#handler.overrun();
		}
		if (total > 0) this.#handler.batchEnd();
		return total;
	}

	#datagram(start: number, length: number): void {
		const isWhole = length <= STRIDE && eachMessage(this.#wire, start, start + length, this.#message);
		if (!isWhole) this.counters.malformed++;
	}

	readonly #message = (start: number, end: number): void => {
		const wire = this.#wire;
		this.counters.received++;
		const type = messageType(wire, start);
		const isCreation = (messageFlags(wire, start) & C.NLM_F_CREATE) !== 0;
		const port = messagePort(wire, start);
		switch (type) {
			case (C.NFNL_SUBSYS_CTNETLINK << 8) | C.IPCTNL_MSG_CT_NEW:
			case (C.NFNL_SUBSYS_CTNETLINK << 8) | C.IPCTNL_MSG_CT_DELETE:
				if (this.#conntracks.decode(wire, attributesOf(start), end, this.#conntrack)) {
					const isEnd = (type & 0xff) === C.IPCTNL_MSG_CT_DELETE;
					if (isEnd) this.#account?.decode(wire, attributesOf(start), end);
					this.#handler.conntrack(isEnd ? "destroy" : isCreation ? "new" : "update", this.#conntrack, port);
				} else this.counters.malformed++;
				break;
			case (C.NFNL_SUBSYS_CTNETLINK_EXP << 8) | C.IPCTNL_MSG_EXP_NEW:
			case (C.NFNL_SUBSYS_CTNETLINK_EXP << 8) | C.IPCTNL_MSG_EXP_DELETE:
				if (this.#expectations.decode(wire, attributesOf(start), end, this.#expectation)) {
					const isEnd = (type & 0xff) === C.IPCTNL_MSG_EXP_DELETE;
					this.#handler.expectation(
						isEnd ? "destroy" : isCreation ? "new" : "update",
						this.#expectation,
						port,
					);
				} else this.counters.malformed++;
				break;
			default:
				this.counters.unknownType++;
		}
	};
}
