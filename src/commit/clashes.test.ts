// Ten thousand entries, each of which meets something in the kernel that is not what the peer had.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import type { Conntrack } from "../conntrack/conntrack.ts";
import { CONNTRACK } from "../conntrack/kind.ts";
import { IPS_ASSURED, IPS_SEEN_REPLY } from "../conntrack/status.ts";
import { CONTROL, TCP } from "../netlink/kernel-cases.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { FailoverKit } from "./failover-kit.ts";
import { newCommitResult } from "./messages.ts";

const CLASHES = 10_000;
/** Events that the listener has to have read before more are caused. */
const CHUNK = 1000;

const MASTER: Conntrack = {
	...CONTROL,
	orig: { ...CONTROL.orig, sport: 1 },
	reply: { ...CONTROL.reply!, dport: 1 },
};
const master = { family: "ipv4", protocol: 6, ...MASTER.orig, zone: 0 } as const;
const STATES = [
	"SYN_SENT",
	"SYN_RECV",
	"ESTABLISHED",
	"FIN_WAIT",
	"CLOSE_WAIT",
	"LAST_ACK",
	"TIME_WAIT",
	"CLOSE",
];
const SEQ = { correctionPosition: 1000, offsetBefore: 2, offsetAfter: 4 };

interface Clash {
	local: Conntrack;
	committed: Conntrack;
	/** The local one sees packets, after all that the peer has told. */
	isAlive: boolean;
}

/** Client number `n` behind source NAT; `port` is the translated one. */
function snat(n: number, port: number): Conntrack {
	const src = `10.${n >> 14}.${(n >> 7) & 127}.${n & 127}`;
	return {
		...TCP,
		orig: { src, dst: "198.51.100.2", sport: 5000, dport: 443 },
		reply: { src: "198.51.100.2", dst: `203.0.${n >> 12}.9`, sport: 443, dport: port },
		status: 0x19e,
	};
}

function clash(n: number): Clash {
	const port = 1024 + (n & 4095) * 2;
	const base = snat(n, port);
	const local: Conntrack = { ...base, tcp: { ...TCP.tcp, state: STATES[n % STATES.length]! }, mark: n % 3 };
	const committed: Conntrack = {
		...base,
		timeout: 100 + (n % 1000),
		tcp: { ...TCP.tcp, state: STATES[(n >> 3) % STATES.length]! },
		...(n % 5 === 0 ? { mark: 7 } : {}),
	};
	const isAlive = n % 2 === 0;
	switch (Math.floor(n / 2) % 6) {
		case 0: // the same tuple in another state
			return { local, committed, isAlive };
		case 1: // another translated port
			return { local: { ...local, reply: { ...base.reply!, dport: port + 1 } }, committed, isAlive };
		case 2: // the reply tuple alone
			return { local: { ...local, orig: { ...base.orig, sport: 6000 } }, committed, isAlive };
		case 3: // another helper
			return {
				local,
				committed: {
					...committed,
					orig: { ...base.orig, dport: 21 },
					reply: { ...base.reply!, sport: 21 },
					helper: "ftp",
				},
				isAlive,
			};
		case 4: // another master
			return {
				local: n % 4 === 0 ? { ...local, master } : local,
				committed: { ...committed, master },
				isAlive,
			};
		default: // other sequence adjustments
			return { local: { ...local, seqOrig: SEQ, seqReply: SEQ }, committed, isAlive };
	}
}

/** In the order of a connection's life. */
const rank = ({ tcp }: Conntrack): number => STATES.indexOf(tcp!.state);
const keyOf = ({ orig }: Conntrack): string => `${orig.src}:${orig.sport} ${orig.dst}:${orig.dport}`;

if (isInPrivateNetwork(import.meta.url)) {
	let kit: FailoverKit;
	afterEach(() => kit.stop());

	test("of 10,000 clashes no live assured entry is lowered or destroyed, and a second commit changes nothing", async () => {
		kit = await FailoverKit.start({ native: loadNative() });
		const clashes = Array.from({ length: CLASHES }, (_, n) => clash(n));
		// the helper is another one where the local entry has none
		for (const one of clashes)
			if (one.committed.helper)
				one.local = { ...one.local, orig: one.committed.orig, reply: one.committed.reply! };
		assert.equal(kit.kernel.create(MASTER), "ok");
		for (let at = 0; at < CLASHES; at += CHUNK) {
			const answers = kit.kernel.createAll(clashes.slice(at, at + CHUNK).map(({ local }) => local));
			assert.deepEqual(new Set(answers), new Set(["ok"]));
			await kit.settle();
		}
		kit.tell(clashes.map(({ committed }) => committed));
		for (const { local, isAlive } of clashes) if (isAlive) kit.packet(local);
		const table = async () => new Map((await kit.kernel.conntracks()).map((entry) => [keyOf(entry), entry]));
		const before = await table();
		assert.equal(before.size, CLASHES + 1);

		const { seconds: _, ...first } = await kit.commit.run(CONNTRACK);
		const after = await table();
		let harmed = 0;
		for (const { local, isAlive } of clashes) {
			const [then, now] = [before.get(keyOf(local))!, after.get(keyOf(local))];
			if (!isAlive || (then.status! & IPS_ASSURED) === 0) continue;
			const isSame =
				now !== undefined &&
				now.id === then.id &&
				rank(now) >= rank(then) &&
				(rank(now) > rank(then) || now.timeout! >= then.timeout! - 120) &&
				(then.status! & ~now.status!) === 0 &&
				(now.mark === then.mark || !then.mark) &&
				JSON.stringify([now.reply, now.seqOrig]) === JSON.stringify([then.reply, then.seqOrig]);
			if (!isSame) harmed++;
		}
		assert.equal(harmed, 0);
		// left-overs have become what the peer had
		for (const { committed, isAlive } of clashes) {
			if (isAlive) continue;
			const now = after.get(keyOf(committed));
			assert.ok(now, keyOf(committed));
			assert.equal(now.tcp!.state, committed.tcp!.state);
			assert.deepEqual(now.reply, committed.reply);
			assert.equal(now.helper, committed.helper);
			assert.equal(now.mark ?? 0, committed.mark ?? 0);
			assert.ok(now.status! & IPS_SEEN_REPLY && now.timeout! <= committed.timeout!);
			assert.equal(now.seqOrig?.offsetAfter ?? 0, 0);
		}
		const refused = clashes.filter(
			({ local, committed, isAlive }) =>
				isAlive &&
				JSON.stringify(local.reply) + keyOf(local) !== JSON.stringify(committed.reply) + keyOf(committed),
		).length;
		assert.equal(first.failed, refused);
		assert.equal(first.created, 0);
		assert.equal(first.kept + first.updated + first.replaced + first.failed, CLASHES);

		const { seconds: __, ...second } = await kit.commit.run(CONNTRACK);
		assert.deepEqual(second, { ...newCommitResult(), kept: CLASHES - refused, failed: refused });
		const ids = (entries: Map<string, Conntrack>) =>
			[...entries].map(([key, { id, tcp, mark }]) => `${key} ${id} ${tcp!.state} ${mark}`).sort();
		assert.deepEqual(ids(await table()), ids(after));
	});
}
