// Virtual time: what is due next happens next, and nothing passes in between. Ties are settled by order of arrival, so
// a schedule has one course only.

export interface Task {
	/** Milliseconds. */
	at: number;
	order: number;
	isCancelled: boolean;
	run(): void;
}

export class Scheduler {
	/** Milliseconds, with fractions, as the daemon's clock has them. */
	now = 1000;
	/** Tasks done: a schedule that goes on for ever shows here. */
	steps = 0;
	/** A promise was resolved: whoever awaits it has to have its turn before time goes on. */
	hasPromises = false;
	/** Set to stop: nothing more is done. */
	isStopped = false;
	readonly #heap: Task[] = [];
	#order = 0;

	after(milliseconds: number, run: () => void): Task {
		const task = { at: this.now + Math.max(0, milliseconds), order: 0, isCancelled: false, run };
		this.push(task);
		return task;
	}

	push(task: Task): void {
		task.order = this.#order++;
		const heap = this.#heap;
		let i = heap.length;
		heap.push(task);
		while (i > 0) {
			const parent = (i - 1) >> 1;
			if (!isBefore(task, heap[parent]!)) break;
			heap[i] = heap[parent]!;
			i = parent;
		}
		heap[i] = task;
	}

	/** Does everything that is due until then. */
	async run(until: number): Promise<void> {
		while (!this.isStopped) {
			if (this.hasPromises) {
				this.hasPromises = false;
				// every reaction to a promise has run when the event loop turns
				await new Promise((resolve) => setImmediate(resolve));
			}
			const task = this.#heap[0];
			if (task === undefined || task.at > until) break;
			this.#pop();
			if (task.isCancelled) continue;
			this.now = task.at;
			this.steps++;
			task.run();
		}
		if (!this.isStopped) this.now = Math.max(this.now, until);
	}

	#pop(): void {
		const heap = this.#heap;
		const last = heap.pop()!;
		const size = heap.length;
		if (size === 0) return;
		let i = 0;
		for (;;) {
			let child = 2 * i + 1;
			if (child >= size) break;
			if (child + 1 < size && isBefore(heap[child + 1]!, heap[child]!)) child++;
			if (!isBefore(heap[child]!, last)) break;
			heap[i] = heap[child]!;
			i = child;
		}
		heap[i] = last;
	}
}

function isBefore(a: Task, b: Task): boolean {
	return a.at < b.at || (a.at === b.at && a.order < b.order);
}
