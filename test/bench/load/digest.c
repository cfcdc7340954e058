/*
 * A digest of a set of entries, whether they come from the kernel or from a daemon's cache as text (the lines of
 * "conntrackd -i" and "-e"): number and sum of a hash of protocol, both tuples, TCP state, answered and assured. Two tables
 * with the same digest are the same for every purpose here; the order does not matter. An external cache shows original
 * tuples only, so it is compared with a digest without the reply tuples.
 */
#define _GNU_SOURCE
#include "ctload.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Without holes, so that its bytes can be hashed; network order. */
struct tuple { uint8_t src[16], dst[16]; uint16_t sport, dport; };
struct entry { struct tuple side[2]; uint8_t proto, state, seen_reply, assured; };

static const char *const STATES[] = { "NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT",
				      "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2" };

static uint64_t hash(const struct entry *e)
{
	const uint8_t *p = (const void *)e;
	uint64_t h = 0xcbf29ce484222325;        /* FNV-1a, then a final mix of all bits */

	for (size_t i = 0; i < sizeof *e; i++)
		h = (h ^ p[i]) * 0x100000001b3;
	h ^= h >> 32; h *= 0xd6e8feb86659fd93;
	h ^= h >> 32; h *= 0xd6e8feb86659fd93;
	return h ^ h >> 32;
}

static struct { uint64_t n, sum; } digest;
static bool original_only;

static void add(struct entry *e)
{
	if (original_only)
		memset(&e->side[1], 0, sizeof e->side[1]);
	digest.n++;
	digest.sum += hash(e);
}

/* --- of the kernel --- */

typedef void attr_fn(struct entry *e, unsigned context, unsigned type, const uint8_t *data, unsigned len);

static void each(const uint8_t *p, unsigned len, struct entry *e, unsigned context, attr_fn *fn)
{
	while (len >= NLA_HDRLEN) {
		const struct nlattr *a = (const void *)p;
		if (a->nla_len < NLA_HDRLEN || a->nla_len > len) return;
		fn(e, context, a->nla_type & NLA_TYPE_MASK, p + NLA_HDRLEN, a->nla_len - NLA_HDRLEN);
		unsigned step = NLA_ALIGN(a->nla_len);
		if (step >= len) return;
		p += step;
		len -= step;
	}
}

static void address_attr(struct entry *e, unsigned side, unsigned type, const uint8_t *data, unsigned len)
{
	struct tuple *t = &e->side[side];

	if (type == CTA_IP_V4_SRC || type == CTA_IP_V6_SRC) memcpy(t->src, data, len);
	if (type == CTA_IP_V4_DST || type == CTA_IP_V6_DST) memcpy(t->dst, data, len);
}

static void proto_attr(struct entry *e, unsigned side, unsigned type, const uint8_t *data, unsigned len)
{
	(void)len;
	if (type == CTA_PROTO_NUM) e->proto = data[0];
	if (type == CTA_PROTO_SRC_PORT) memcpy(&e->side[side].sport, data, 2);
	if (type == CTA_PROTO_DST_PORT) memcpy(&e->side[side].dport, data, 2);
}

static void tuple_attr(struct entry *e, unsigned side, unsigned type, const uint8_t *data, unsigned len)
{
	if (type == CTA_TUPLE_IP) each(data, len, e, side, address_attr);
	if (type == CTA_TUPLE_PROTO) each(data, len, e, side, proto_attr);
}

static void tcp_attr(struct entry *e, unsigned context, unsigned type, const uint8_t *data, unsigned len)
{
	(void)context; (void)len;
	if (type == CTA_PROTOINFO_TCP_STATE) e->state = data[0];
}

static void info_attr(struct entry *e, unsigned context, unsigned type, const uint8_t *data, unsigned len)
{
	if (type == CTA_PROTOINFO_TCP) each(data, len, e, context, tcp_attr);
}

static void entry_attr(struct entry *e, unsigned context, unsigned type, const uint8_t *data, unsigned len)
{
	uint32_t status;

	switch (type) {
	case CTA_TUPLE_ORIG: each(data, len, e, 0, tuple_attr); break;
	case CTA_TUPLE_REPLY: each(data, len, e, 1, tuple_attr); break;
	case CTA_PROTOINFO: each(data, len, e, context, info_attr); break;
	case CTA_STATUS:
		memcpy(&status, data, sizeof status);
		status = ntohl(status);
		e->seen_reply = !!(status & IPS_SEEN_REPLY);
		e->assured = !!(status & IPS_ASSURED);
		break;
	}
}

static void digest_kernel(void)
{
	static uint8_t rb[1 << 17];
	int s = nl_open_in(NULL, 0);
	uint8_t raw[64];
	struct buf b = { .p = raw, .cap = sizeof raw };
	struct nlmsghdr *h = msg_begin(&b, IPCTNL_MSG_CT_GET, NLM_F_DUMP, 0, 1);
	const unsigned head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));

	msg_end(&b, h);
	if (send(s, b.p, b.len, 0) < 0) die("send");
	for (;;) {
		ssize_t r = recv(s, rb, sizeof rb, 0);
		if (r < 0) die("recv");
		int len = r;
		for (h = (void *)rb; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
			if (h->nlmsg_type == NLMSG_DONE) return;
			if (h->nlmsg_type == NLMSG_ERROR) { errno = EPROTO; die("dump"); }
			struct entry e = { 0 };
			each((uint8_t *)h + head, h->nlmsg_len - head, &e, 0, entry_attr);
			add(&e);
		}
	}
}

/* --- of text --- */

static void address_text(const char *text, uint8_t out[16])
{
	if (inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, out) != 1) { errno = EINVAL; die(text); }
}

static void digest_text(FILE *in)
{
	char *line = NULL;
	size_t cap = 0;

	while (getline(&line, &cap, in) > 0) {
		struct entry e = { .seen_reply = 1 };
		char *save, *word = strtok_r(line, " \n", &save);
		int side = -1;
		if (!word || !islower((unsigned char)word[0])) continue;
		if (!(word = strtok_r(NULL, " \n", &save))) continue;
		e.proto = atoi(word);
		while ((word = strtok_r(NULL, " \n", &save))) {
			if (!strncmp(word, "src=", 4)) {
				if (++side > 1) break;
				address_text(word + 4, e.side[side].src);
			} else if (!strncmp(word, "dst=", 4) && side >= 0) {
				address_text(word + 4, e.side[side].dst);
			} else if (!strncmp(word, "sport=", 6) && side >= 0) {
				e.side[side].sport = htons(atoi(word + 6));
			} else if (!strncmp(word, "dport=", 6) && side >= 0) {
				e.side[side].dport = htons(atoi(word + 6));
			} else if (!strcmp(word, "[UNREPLIED]")) {
				e.seen_reply = 0;
			} else if (!strcmp(word, "[ASSURED]")) {
				e.assured = 1;
			} else if (side < 0) {
				for (unsigned i = 0; i < sizeof STATES / sizeof *STATES; i++)
					if (!strcmp(word, STATES[i])) e.state = i;
			}
		}
		if (side >= 0) add(&e);
	}
	free(line);
}

int run_digest(bool from_kernel, bool original)
{
	original_only = original;
	if (from_kernel) digest_kernel();
	else digest_text(stdin);
	printf("{\"n\":%llu,\"sum\":\"%016llx\"}\n", (unsigned long long)digest.n, (unsigned long long)digest.sum);
	return 0;
}
