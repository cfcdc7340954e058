// The addresses of this node, from the kernel of a namespace of one's own.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { parseAddress, storeAddress } from "../conntrack/address.ts";
import { AF_INET, AF_INET6 } from "../conntrack/protocol.ts";
import { systemClock } from "../system/clock.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { AddressTable } from "./address-table.ts";
import { type Addresses, OwnAddresses, readOwnAddresses } from "./own-addresses.ts";

const PATIENCE_MS = 10_000;

const addressWords = (text: string): Int32Array => {
	const words = new Int32Array(4);
	storeAddress(words, 0, parseAddress(text)!);
	return words;
};

const has = (addresses: Addresses, text: string): boolean =>
	addresses.has(addressWords(text), 0, text.includes(":") ? AF_INET6 : AF_INET);

const ip = (...words: string[]): void => void execFileSync("ip", words, { stdio: "pipe" });

const soon = async (what: string, holds: () => boolean): Promise<void> => {
	const end = systemClock.now() + PATIENCE_MS;
	while (!holds()) {
		assert.ok(systemClock.now() < end, `not in time: ${what}`);
		await new Promise<void>((resolve) => void systemClock.after(5, resolve));
	}
};

if (isInPrivateNetwork(import.meta.url)) {
	const native = loadNative();
	const open = (receiveBuffer?: number): OwnAddresses =>
		new OwnAddresses({
			native,
			failed: (error) => assert.fail(error),
			...(receiveBuffer === undefined ? {} : { receiveBuffer }),
		});

	ip("link", "add", "one", "type", "veth", "peer", "name", "two");
	for (const name of ["one", "two"]) ip("link", "set", name, "up");

	test("those there at the start, and loopback whether an interface has it or not", () => {
		ip("addr", "add", "192.0.2.1/24", "dev", "one");
		ip("addr", "add", "2001:db8::1/64", "dev", "one", "nodad");
		const own = open();
		try {
			for (const text of ["192.0.2.1", "2001:db8::1", "127.0.0.1", "127.3.2.1", "::1"]) {
				assert.ok(has(own, text), text);
			}
			for (const text of ["192.0.2.2", "192.0.2.0", "2001:db8::2", "128.0.0.1", "::", "0.0.0.0", "::2"]) {
				assert.ok(!has(own, text), text);
			}
		} finally {
			own.close();
		}
	});

	test("those that come and go while it runs", async () => {
		const own = open();
		try {
			for (const text of ["192.0.2.254", "2001:db8::254"]) {
				ip("addr", "add", text, "dev", "one");
				await soon(`${text} comes`, () => has(own, text));
				ip("addr", "add", text, "dev", "two");
				ip("addr", "del", text, "dev", "one");
				// something that comes after both
				ip("addr", "add", "198.51.100.9", "dev", "two");
				await soon("the mark", () => has(own, "198.51.100.9"));
				assert.ok(has(own, text), "the other interface still has it");
				ip("addr", "del", "198.51.100.9", "dev", "two");
				ip("link", "set", "two", "down");
				ip("addr", "flush", "dev", "two");
				await soon(`${text} goes`, () => !has(own, text));
				ip("link", "set", "two", "up");
			}
		} finally {
			own.close();
		}
	});

	test("those that have gone are remembered, and every change is told, and nothing else", async () => {
		let changes = 0;
		const own = new OwnAddresses({
			native,
			failed: (error) => assert.fail(error),
			changed: () => void changes++,
		});
		const hadEver = (text: string) => own.hadEver(addressWords(text), 0, AF_INET);
		try {
			assert.ok(!hadEver("192.0.2.77"));
			ip("addr", "add", "192.0.2.77", "dev", "one");
			await soon("it comes", () => has(own, "192.0.2.77"));
			assert.ok(hadEver("192.0.2.77") && changes > 0);
			const before = changes;
			// a new life time is no change; a router's advertisement brings one every now and then
			for (const left of ["1000", "forever"]) {
				ip("addr", "change", "192.0.2.77", "dev", "one", "valid_lft", left, "preferred_lft", left);
				await new Promise<void>((resolve) => void systemClock.after(50, resolve));
			}
			ip("addr", "del", "192.0.2.77", "dev", "one");
			await soon("it goes", () => !has(own, "192.0.2.77"));
			assert.equal(changes, before + 1);
			assert.ok(hadEver("192.0.2.77"));
			assert.ok(!hadEver("192.0.2.78"));
		} finally {
			own.close();
		}
	});

	test("of a point-to-point link this end, not the other", async () => {
		const own = open();
		try {
			ip("addr", "add", "192.0.2.10", "peer", "192.0.2.11", "dev", "one");
			await soon("it comes", () => has(own, "192.0.2.10"));
			assert.ok(!has(own, "192.0.2.11"));
		} finally {
			own.close();
		}
	});

	test("after events were lost the addresses are read again", async () => {
		const own = open(1);
		try {
			const batch = Array.from({ length: 300 }, (_, i) => `addr add 10.9.${i >> 8}.${i & 255}/32 dev two`);
			execFileSync("ip", ["-batch", "-"], { input: batch.join("\n") });
			await soon("the last one", () => has(own, "10.9.1.43"));
			assert.ok(own.overruns > 0, "none was lost: this shows nothing");
			for (let i = 0; i < 300; i++) assert.ok(has(own, `10.9.${i >> 8}.${i & 255}`), String(i));
			const table = readOwnAddresses(native);
			assert.equal(own.size, table.size);
			const gone = new AddressTable();
			table.addTo(gone);
			assert.equal(gone.size, table.size);
			assert.ok(has(gone, "10.9.1.43"));
		} finally {
			own.close();
		}
	});
}

test("a full table leaves further addresses out, and counts them", () => {
	const table = new AddressTable(2);
	for (const text of ["192.0.2.1", "192.0.2.2", "192.0.2.3"]) table.add(addressWords(text), 0, AF_INET, 1);
	table.add(addressWords("192.0.2.1"), 0, AF_INET, 2);
	assert.equal(table.size, 2);
	assert.equal(table.ignored, 1);
	assert.ok(has(table, "192.0.2.1"));
	assert.ok(!has(table, "192.0.2.3"));
	table.remove(addressWords("192.0.2.1"), 0, AF_INET, 1);
	assert.ok(has(table, "192.0.2.1"));
	table.remove(addressWords("192.0.2.1"), 0, AF_INET, 2);
	assert.ok(!has(table, "192.0.2.1"));
	table.remove(addressWords("192.0.2.1"), 0, AF_INET, 2);
	assert.equal(table.size, 1);
});

test("an IPv4 address is none of the IPv6 addresses that begin with it", () => {
	const table = new AddressTable();
	table.add(addressWords("32.1.13.184"), 0, AF_INET, 1); // the first word of 2001:db8::
	assert.ok(!has(table, "2001:db8::"));
	assert.ok(has(table, "32.1.13.184"));
});
