// A node that replicates whatever it is told to, whether a kernel would have it or not: for tests of what the other node
// makes of it. It speaks the protocol with the production code, over UDP and without a key.
//
// usage: peer.mjs OWN-ADDRESS PEER-ADDRESS DEVICE PORT FILE
//
// FILE is JSON, {"conntracks": [...], "expectations": [...]}, entries as in src/conntrack/conntrack.ts. Ends by a signal.
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { newInternalCaches } from "../../dist/cache/internal-cache.js";
import { DatagramChannel } from "../../dist/channel/datagram-channel.js";
import { SourceGuard } from "../../dist/channel/source-guard.js";
import { formatBytes, parseAddress } from "../../dist/conntrack/address.js";
import { conntrackToRecord, expectationToRecord } from "../../dist/conntrack/conntrack.js";
import { NameTable } from "../../dist/conntrack/names.js";
import { Ftfw } from "../../dist/sync/ftfw.js";
import { Ticker } from "../../dist/sync/ticker.js";
import { EPOCH_SIZE } from "../../dist/sync/wire/frame.js";
import { PlainSeal } from "../../dist/sync/wire/seal.js";
import { systemClock as clock } from "../../dist/system/clock.js";
import { loadNative } from "../../dist/system/native.js";

const [own, other, device, port, file] = process.argv.slice(2);
const { conntracks, expectations } = JSON.parse(readFileSync(file, "utf8"));
const BUFFER = 1 << 20;
const LIMIT = 1_000_000;

const names = new NameTable();
const seed = randomBytes(4).readInt32LE();
const caches = newInternalCaches(seed, LIMIT);
const ignore = () => {};
const guard = new SourceGuard({
	family: 4,
	speakers: { who: "listed", addresses: [parseAddress(other)], named: "the destinations" },
	format: formatBytes,
	clock,
	notice: ignore,
	warning: (text) => console.log(text),
});
const channel = new DatagramChannel(
	loadNative(),
	{
		type: "udp",
		address: parseAddress(own),
		destinations: [parseAddress(other)],
		port: Number(port),
		device,
		sendBuffer: BUFFER,
		receiveBuffer: BUFFER,
		checksum: true,
	},
	guard,
);
const ftfw = new Ftfw({
	node: Buffer.from(parseAddress(own)).readUInt32BE(),
	epoch: randomBytes(EPOCH_SIZE),
	internal: caches,
	names,
	hashSeed: seed,
	externalLimit: LIMIT,
	datagramMax: channel.datagramMax,
	credit: channel.credit,
	seal: new PlainSeal(),
	sink: (bytes, end) => channel.send(bytes, end),
	entropy: (size) => randomBytes(size),
	notice: (text) => console.log(text),
});
const ticker = new Ticker(ftfw, clock);
const now = () => Math.floor(clock.now() / 1000);
for (const one of conntracks) caches.conntracks.apply(conntrackToRecord(one, names), true, now());
for (const one of expectations) caches.expectations.apply(expectationToRecord(one, names), true, now());
channel.start(
	(bytes, start, end) => ftfw.receive(bytes, start, end, clock.now()),
	() => ticker.pump(),
);
ticker.start();
