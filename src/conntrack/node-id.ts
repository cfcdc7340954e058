/** A node id as the IPv4 address that it usually comes from. */
export function formatNode(node: number): string {
	return `${node >>> 24}.${(node >>> 16) & 0xff}.${(node >>> 8) & 0xff}.${node & 0xff}`;
}
