// Named scenarios about what is held: decay, graves, flushes, reboots.
import { RecordStore } from "../../src/cache/record-store.ts";
import * as R from "../../src/conntrack/record.ts";
import { type Scenario, Scene, SceneError } from "./scene.ts";
import type { WorldNode } from "./world.ts";

/** The first conntrack that a node holds of another one. */
function heldOf(holder: WorldNode, origin: number): { store: RecordStore; slot: number } {
	const { store } = holder.daemon!.ftfw.peers.find(({ node }) => node === origin)!.external[0];
	for (let slot = 0; slot < store.end; slot++) if (store.isLive(slot)) return { store, slot };
	throw new SceneError("nothing is held");
}

const decayed: Scenario = {
	name: "an entry that changes or vanishes in memory is repaired within 10 s, without anybody asking",
	run: async () => {
		const scene = new Scene({ nodes: 2 });
		const { kernel } = scene.node(1);
		for (let key = 0; key < 300; key++) kernel.set(0, key, 1);
		await scene.startAll(5000);
		const { store, slot } = heldOf(scene.node(2), 1);
		const { watch, ftfw } = scene.node(2).daemon!;
		watch.isFlushing = true;
		// as if a program error had written there: the version is one that the origin never gave
		store.setVersion(slot, store.version(slot) + 100_000);
		const other = slot + 1;
		ftfw.peers[0]!.external[0].drop(other);
		watch.isFlushing = false;
		scene.expect(!scene.world.isEqual, "the oracle has not noticed");
		await scene.run(10_000);
		const found = await scene.untilEqual(100);
		scene.expect(scene.world.differences().length === 0, "there is a difference");
		// the next sweep sees that it is so
		await scene.run(5000);
		const { equality } = ftfw.peers[0]!;
		scene.expect(equality.differing === 0, `${equality.differing} buckets differ`);
		return `${equality.repairs} repairs, then equal in ${found} ms`;
	},
};

const rotten: Scenario = {
	name: "an entry whose state changes in memory is found when somebody verifies",
	run: async () => {
		const scene = new Scene({ nodes: 2 });
		const { kernel } = scene.node(1);
		for (let key = 0; key < 300; key++) kernel.set(0, key, 1);
		await scene.startAll(5000);
		const holder = scene.node(2);
		const { store, slot } = heldOf(holder, 1);
		const record = R.newConntrackRecord();
		store.read(slot, record);
		record[R.MARK]! ^= 0x55;
		// underneath the oracle, which would say so
		RecordStore.prototype.replace.call(store, slot, record, 0);
		const key = record[R.ORIG_PORTS]!;
		const { ftfw } = holder.daemon!;
		ftfw.verify(ftfw.peers[0]!, scene.world.scheduler.now);
		await scene.run(3000);
		store.read(store.find(record), record);
		scene.expect(record[R.MARK] === kernel.tables[0].get(key)!.value, "it is as it was written");
		return undefined;
	},
};

const gravesGo: Scenario = {
	name: "graves of a peer's entries go when no older datagram can come any more",
	run: async () => {
		const scene = new Scene({ nodes: 2, settings: { datagramMax: 300 } });
		const { kernel } = scene.node(1);
		await scene.startAll();
		for (let i = 0; i < 7000; i++) {
			kernel.set(0, i, 1);
			await scene.run(1.5);
			kernel.destroy(0, i);
			await scene.run(1.5);
		}
		const { store } = scene.node(2).daemon!.ftfw.peers[0]!.external[0];
		const graves = store.count - store.live;
		scene.expect(graves < 5000, `${graves} graves after 7000 ends`);
		return `${graves} graves after 7000 ends`;
	},
};

const flushed: Scenario = {
	name: "after a flush of its kernel a node's entries stay at the peer, and a commit there brings them back",
	run: async () => {
		const scene = new Scene({ nodes: 2 });
		const [a, b] = [scene.node(1), scene.node(2)];
		for (let key = 0; key < 200; key++) a.kernel.set(0, key, key);
		await scene.startAll();
		a.daemon!.flushKernel();
		await scene.run(2000);
		b.daemon!.commit();
		await scene.run(10);
		scene.expect(b.kernel.tables[0].size === 200, `${b.kernel.tables[0].size} of 200 entries are committed`);
		// once more changes nothing
		b.daemon!.commit();
		scene.expect(b.kernel.tables[0].size === 200, "a second commit is not the same");
		await scene.run(1000);
		await scene.untilEqual(2000);
		return undefined;
	},
};

const rebooted: Scenario = {
	name: "a node that comes back from a reboot with an empty table gets back what it had, for two minutes",
	run: async () => {
		const scene = new Scene({ nodes: 2 });
		const [a, b] = [scene.node(1), scene.node(2)];
		for (let key = 0; key < 200; key++) a.kernel.set(0, key, key);
		await scene.startAll();
		scene.world.crash(a);
		a.kernel.clear();
		await scene.run(1000);
		scene.world.start(a);
		await scene.run(5000);
		a.daemon!.commit();
		scene.expect(a.kernel.tables[0].size === 200, `${a.kernel.tables[0].size} of 200 entries came back`);
		await scene.run(130_000);
		await scene.untilEqual(1000);
		const { store } = b.daemon!.ftfw.peers[0]!.external[0];
		scene.expect(store.live === 200, `${store.live} of 200 entries are held`);
		return undefined;
	},
};

export const STATE: readonly Scenario[] = [decayed, rotten, gravesGo, flushed, rebooted];
