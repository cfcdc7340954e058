// The main thread's half of a commit of conntracks: takes slot after slot into the internal cache, a little ahead of the
// worker (cursors.ts), in slices between which others have their turn.
import type { Clock } from "../system/clock.ts";
import type { CommitCursors } from "./cursors.ts";
import { Slice } from "./slice.ts";

/** Slots between two announcements to the worker. */
const STRIDE = 256;
/** How long it lets the worker come closer, milliseconds; it takes as many slots afterwards as the worker has done by then. */
const WAIT_MS = 5;

export interface Adoption {
	cursors: CommitCursors;
	/** First slot behind the last one, by part. */
	ends: readonly number[];
	/** The worker's job. It follows this, so that it has failed if it is over before: then the rest is not ours to take. */
	done: Promise<unknown>;
	adopt: (part: number, slot: number) => void;
	/** Something has become dirty. */
	pump: () => void;
	clock: Clock;
}

/** @throws Error that `adopt` or the clock has thrown; the worker goes on all the same */
export async function adoptAhead({ cursors, ends, done, adopt, pump, clock }: Adoption): Promise<void> {
	const slice = new Slice(clock);
	let isDone = false;
	const ended = (): void => {
		isDone = true;
	};
	done.then(ended, ended);
	try {
		for (const [part, end] of ends.entries()) {
			for (let slot = 0; slot < end; slot++) {
				adopt(part, slot);
				if ((slot + 1) % STRIDE === 0) {
					cursors.adopted(part, slot + 1);
					if (isDone) return;
					while (!isDone && cursors.isFarAhead(part, slot + 1)) {
						pump();
						await slice.next(WAIT_MS);
					}
				}
				if (!slice.isOver()) continue;
				pump();
				await slice.next();
			}
			cursors.adopted(part, end);
			pump();
		}
	} finally {
		// the worker must not wait for slots that nobody adopts any more
		for (const [part, end] of ends.entries()) cursors.adopted(part, end);
	}
}
