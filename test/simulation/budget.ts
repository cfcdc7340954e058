// I6, of the link: how many datagrams a schedule may cost. A protocol that repeats itself for nothing still converges;
// it shows here only. Factors are half as much again as the most that 10,000 schedules took.
import type { Traffic } from "./network.ts";

export interface Work {
	nodes: number;
	/** Virtual milliseconds. */
	duration: number;
	/** States that got a version. */
	changes: number;
	bulks: number;
	/** How often a node got in contact with another one, each direction for itself. */
	contacts: number;
	/** Most entries that a node has. */
	entries: number;
}

/** What is too much, as a text; undefined if nothing is. */
export function excess(traffic: Traffic, work: Work): string | undefined {
	const { nodes, changes, bulks, contacts, entries } = work;
	const seconds = work.duration / 1000;
	const peers = nodes - 1;
	// Each state is in one datagram, or shares one. A bulk takes its control records, and a datagram for two entries at
	// worst. What does not arrive is sent again; so is, now and then, what is in flight to somebody who does not answer.
	const data = 1.5 * (changes + bulks * (4 + entries / 2) + traffic.harmed + 20 + 20 * nodes * seconds);
	// One datagram in four asks at most (the window may be small), and one each ten milliseconds; so do those that begin and
	// end a bulk, and its last one before the end; and what is sent again, or its absence, makes nodes ask.
	const asking = 1.2 * (traffic.data / 4 + 3 * bulks + 60 * nodes * seconds + traffic.harmed / 4 + 20);
	// Every receiver answers a question at most once, whatever becomes of its copies, and says that it is alive. Digests
	// go round every 20 ms while nodes meet; what they find is claimed, judged and asked for.
	const other = traffic.asking * peers + 70 * nodes * seconds + 20 * Math.max(contacts, nodes * peers);
	// Handshakes with every peer, lost ones again, one each three seconds afterwards; strangers are answered.
	const hello = nodes * (4 * nodes + 6 * seconds) + 6 * bulks + traffic.harmed + traffic.injected;
	const found: string[] = [];
	if (traffic.data > data) found.push(`${traffic.data} datagrams with state, ${Math.round(data)} at most`);
	if (traffic.asking > asking) found.push(`${traffic.asking} questions, ${Math.round(asking)} at most`);
	if (traffic.other > other) found.push(`${traffic.other} acknowledgements, ${Math.round(other)} at most`);
	if (traffic.hello > hello) found.push(`${traffic.hello} HELLOs, ${Math.round(hello)} at most`);
	return found.length === 0 ? undefined : found.join("; ");
}
