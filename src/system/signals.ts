// What signals do, until it is taken back.

/** @returns what takes the handlers off again */
export function onSignals(handlers: Readonly<Partial<Record<NodeJS.Signals, () => void>>>): () => void {
	const entries = Object.entries(handlers) as [NodeJS.Signals, () => void][];
	for (const [signal, handler] of entries) process.on(signal, handler);
	return () => {
		for (const [signal, handler] of entries) process.off(signal, handler);
	};
}
