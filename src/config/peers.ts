// The Peers section: who may speak on the dedicated links.
import { distinctAddresses, isGroup } from "./address-list.ts";
import type { Report } from "./problem.ts";
import { show } from "./problem.ts";
import type { Entry } from "./section.ts";
import { Section } from "./section.ts";
import type { LinkConfig } from "./types.ts";

/** Sixteen nodes on four links. */
const PEERS_MAX = 64;

/**
 * Builds the list of the Peers sections, which are joined. The nodes' own addresses may stand in it, so that every node
 * can have the same list. On unicast links it has to agree with the destinations: whoever may speak and is not spoken
 * to, or the other way round, would never come into contact.
 *
 * @param complete the links that could be read; unless all could, the list is not compared with them
 * @returns undefined without a section
 */
export function buildPeers(
	sync: Section,
	complete: readonly LinkConfig[],
	report: Report,
): string[] | undefined {
	const blocks = sync.blocks("Peers");
	const first = blocks[0];
	if (!first) return undefined;
	const section = new Section("Peers", report);
	for (const { block } of blocks) section.add(block!);
	const entries = section.entries("IPv4_address", "IPv6_address");
	if (entries.length === 0) report.error(first, "Peers needs IPv4_address or IPv6_address");
	const surplus = entries[PEERS_MAX];
	if (surplus) report.error(surplus.directive, `Peers has no more than ${PEERS_MAX} addresses`);
	const peers = distinctAddresses(entries, report);
	const links = complete.length === sync.blocks("Multicast", "UDP", "TCP").length ? complete : [];
	for (const entry of entries) checkPeer(entry, links, report);

	const heard = new Set(peers);
	if (heard.size === 0) return peers;
	for (const { destinations = [], line } of links) {
		for (const address of destinations) {
			if (heard.has(address)) continue;
			report.error(
				first,
				`Peers does not name ${address}, a destination of line ${line}: it would not be heard`,
			);
		}
	}
	for (const link of links) {
		if (link.destinations || peers.some((peer) => familyOf(peer) === link.family && peer !== ownOf(link)))
			continue;
		report.error(
			first,
			`Peers names nobody with IPv${link.family}, so no node is heard on the link of line ${link.line}`,
		);
	}
	return peers;
}

function checkPeer({ value, word }: Entry, links: readonly LinkConfig[], report: Report): void {
	if (value === undefined) return;
	const address = value as string;
	if (isGroup(address)) {
		report.badValue(word, `${show(word.text)} is a multicast group: name the addresses of the nodes`);
		return;
	}
	if (links.length === 0 || links.some((link) => ownOf(link) === address)) return;
	const multicast = links.filter(({ destinations }) => !destinations);
	if (multicast.length === 0) {
		if (links.some(({ destinations }) => destinations!.includes(address))) return;
		report.error(word, `${show(word.text)} is no destination of a link: nothing would be sent to it`);
	} else if (!multicast.some(({ family }) => family === familyOf(address))) {
		report.error(word, `${show(word.text)} cannot speak on a link with IPv${multicast[0]!.family}`);
	}
}

/** This node's own address on a link, if the file says. */
const ownOf = ({ type, address, interfaceAddress }: LinkConfig): string | undefined =>
	type === "multicast" ? interfaceAddress : address;

const familyOf = (address: string): 4 | 6 => (address.includes(":") ? 6 : 4);
