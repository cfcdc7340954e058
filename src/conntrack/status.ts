// Status bits of a conntrack (linux/netfilter/nf_conntrack_common.h, enum ip_conntrack_status).

export const IPS_EXPECTED = 0x1;
export const IPS_SEEN_REPLY = 0x2;
export const IPS_ASSURED = 0x4;
export const IPS_CONFIRMED = 0x8;
export const IPS_SRC_NAT = 0x10;
export const IPS_DST_NAT = 0x20;
export const IPS_SEQ_ADJUST = 0x40;
export const IPS_SRC_NAT_DONE = 0x80;
export const IPS_DST_NAT_DONE = 0x100;
export const IPS_DYING = 0x200;
export const IPS_FIXED_TIMEOUT = 0x400;
export const IPS_TEMPLATE = 0x800;
export const IPS_NAT_CLASH = 0x1000;
export const IPS_HELPER = 0x2000;
export const IPS_OFFLOAD = 0x4000;
export const IPS_HW_OFFLOAD = 0x8000;

/**
 * What may be asked for at a creation over netlink: EXPECTED and DYING give EBUSY, the kernel sets the NAT bits and
 * SEQ_ADJUST itself, OFFLOAD means hardware of the other machine.
 */
export const IPS_COMMITTABLE = IPS_SEEN_REPLY | IPS_ASSURED | IPS_FIXED_TIMEOUT;

/**
 * What is compared between the two sides: the bits that say something of the connection, not of one kernel's
 * business with it.
 */
export const IPS_REPLICATED =
	IPS_EXPECTED |
	IPS_SEEN_REPLY |
	IPS_ASSURED |
	IPS_SRC_NAT |
	IPS_DST_NAT |
	IPS_SEQ_ADJUST |
	IPS_FIXED_TIMEOUT;
