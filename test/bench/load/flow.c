/*
 * An entry is a pure function of its index, so "update" and "destroy" find what "create" has made as long as mix and base
 * are the same.
 */
#include "ctload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

void flow_of(uint32_t i, struct flow *f)
{
	/* 60000 ports for each client address */
	uint32_t host = i / 60000 + 1;

	memset(f, 0, sizeof *f);
	/* different strides spread the percentages over the index */
	f->tcp = (i * 7u) % 100 < o.tcp;
	f->v6 = (i * 13u + 5) % 100 < o.v6;
	f->snat = (i * 29u + 11) % 100 < o.snat;
	f->sport = 1024 + i % 60000;
	f->dport = !f->tcp ? 53 : o.helper ? 21 : 443;
	if (f->v6) {
		f->src[0] = f->dst[0] = f->nat[0] = 0xfd;
		f->src[1] = 0x01; f->dst[1] = 0x02; f->nat[1] = 0x03;
		f->src[13] = f->nat[13] = host >> 16;
		f->src[14] = f->nat[14] = host >> 8;
		f->src[15] = f->nat[15] = host;
		f->dst[15] = 1 + i % 251;
	} else {
		f->src[0] = 10; f->src[1] = host >> 16; f->src[2] = host >> 8; f->src[3] = host;
		f->dst[0] = 198; f->dst[1] = 18; f->dst[3] = 1 + i % 251;
		f->nat[0] = 203; f->nat[2] = host >> 8; f->nat[3] = host;
	}
}

static void *put(struct buf *b, size_t n)
{
	void *q = b->p + b->len;
	size_t aligned = NLA_ALIGN(n);

	if (b->len + aligned > b->cap) { errno = ENOBUFS; die("message buffer"); }
	memset((uint8_t *)q + n, 0, aligned - n);
	b->len += aligned;
	return q;
}

static void attr(struct buf *b, uint16_t type, const void *data, uint16_t n)
{
	struct nlattr *a = put(b, NLA_HDRLEN + n);

	a->nla_len = NLA_HDRLEN + n;
	a->nla_type = type;
	memcpy((uint8_t *)a + NLA_HDRLEN, data, n);
}
static void attr8(struct buf *b, uint16_t t, uint8_t v) { attr(b, t, &v, 1); }
static void attr16(struct buf *b, uint16_t t, uint16_t v) { v = htons(v); attr(b, t, &v, 2); }
static void attr32(struct buf *b, uint16_t t, uint32_t v) { v = htonl(v); attr(b, t, &v, 4); }

static size_t nest(struct buf *b, uint16_t type)
{
	size_t at = b->len;
	struct nlattr *a = put(b, NLA_HDRLEN);

	a->nla_type = type | NLA_F_NESTED;
	return at;
}
static void nest_end(struct buf *b, size_t at)
{
	((struct nlattr *)(b->p + at))->nla_len = b->len - at;
}

static void put_tuple(struct buf *b, uint16_t type, const struct flow *f, bool reply)
{
	/* the reply of the flow before NAT: CTA_NAT_SRC says the rest, and the kernel derives the real one */
	size_t size = f->v6 ? 16 : 4;
	size_t t = nest(b, type), ip = nest(b, CTA_TUPLE_IP);

	attr(b, f->v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, reply ? f->dst : f->src, size);
	attr(b, f->v6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, reply ? f->src : f->dst, size);
	nest_end(b, ip);
	size_t proto = nest(b, CTA_TUPLE_PROTO);
	attr8(b, CTA_PROTO_NUM, f->tcp ? IPPROTO_TCP : IPPROTO_UDP);
	attr16(b, CTA_PROTO_SRC_PORT, reply ? f->dport : f->sport);
	attr16(b, CTA_PROTO_DST_PORT, reply ? f->sport : f->dport);
	nest_end(b, proto);
	nest_end(b, t);
}

static void put_snat(struct buf *b, const struct flow *f)
{
	size_t nat = nest(b, CTA_NAT_SRC);

	attr(b, f->v6 ? CTA_NAT_V6_MINIP : CTA_NAT_V4_MINIP, f->nat, f->v6 ? 16 : 4);
	attr(b, f->v6 ? CTA_NAT_V6_MAXIP : CTA_NAT_V4_MAXIP, f->nat, f->v6 ? 16 : 4);
	size_t proto = nest(b, CTA_NAT_PROTO);
	attr16(b, CTA_PROTONAT_PORT_MIN, f->sport);
	attr16(b, CTA_PROTONAT_PORT_MAX, f->sport);
	nest_end(b, proto);
	nest_end(b, nat);
}

static void put_tcp_state(struct buf *b, uint8_t state)
{
	/* SACK permitted and "be liberal", as a state sync daemon sets them */
	struct nf_ct_tcp_flags flags = { .flags = 0x0a, .mask = 0x0a };
	size_t info = nest(b, CTA_PROTOINFO), tcp = nest(b, CTA_PROTOINFO_TCP);

	attr8(b, CTA_PROTOINFO_TCP_STATE, state);
	attr(b, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, &flags, sizeof flags);
	attr(b, CTA_PROTOINFO_TCP_FLAGS_REPLY, &flags, sizeof flags);
	nest_end(b, tcp);
	nest_end(b, info);
}

struct nlmsghdr *msg_begin(struct buf *b, int cmd, int flags, uint8_t family, uint32_t seq)
{
	struct nlmsghdr *h = put(b, NLMSG_HDRLEN + sizeof(struct nfgenmsg));
	struct nfgenmsg *g = (void *)((uint8_t *)h + NLMSG_HDRLEN);

	memset(h, 0, NLMSG_HDRLEN + sizeof *g);
	h->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | cmd;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = seq;
	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	return h;
}

void msg_end(struct buf *b, struct nlmsghdr *h)
{
	h->nlmsg_len = b->p + b->len - (uint8_t *)h;
}

void put_op(struct buf *b, enum op op, uint32_t i, uint32_t seq)
{
	struct flow f;
	flow_of(i, &f);
	uint8_t family = f.v6 ? AF_INET6 : AF_INET;
	struct nlmsghdr *h;

	if (op == OP_DESTROY) {
		h = msg_begin(b, IPCTNL_MSG_CT_DELETE, 0, family, seq);
		put_tuple(b, CTA_TUPLE_ORIG, &f, false);
	} else if (op == OP_UPDATE) {
		h = msg_begin(b, IPCTNL_MSG_CT_NEW, 0, family, seq);
		put_tuple(b, CTA_TUPLE_ORIG, &f, false);
		if (f.tcp)
			put_tcp_state(b, TCP_FIN_WAIT);
		else
			attr32(b, CTA_MARK, 1 + (i & 0xffff));
	} else {
		h = msg_begin(b, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL, family, seq);
		put_tuple(b, CTA_TUPLE_ORIG, &f, false);
		put_tuple(b, CTA_TUPLE_REPLY, &f, true);
		if (f.snat)
			put_snat(b, &f);
		attr32(b, CTA_STATUS, IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED);
		attr32(b, CTA_TIMEOUT, o.timeout);
		if (f.tcp)
			put_tcp_state(b, o.state);
		if (f.tcp && o.helper) {
			size_t help = nest(b, CTA_HELP);
			attr(b, CTA_HELP_NAME, o.helper, strlen(o.helper) + 1);
			nest_end(b, help);
		}
	}
	msg_end(b, h);
}
