/* Makes, changes and ends entries, all at once or at a rate. */
#define _GNU_SOURCE
#include "ctload.h"

#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

/* Bytes of the largest request: IPv6, NAT and a helper. */
enum { REQUEST_MAX = 512 };

struct pace { uint64_t start; double per_ns; uint64_t done; };

/* How many operations may be sent now; sleeps a millisecond at a time while none is due. */
static unsigned pace_take(struct pace *p, unsigned want)
{
	if (!p->per_ns)
		return want;
	for (;;) {
		uint64_t due = (now_ns() - p->start) * p->per_ns;
		if (due > p->done) {
			uint64_t k = due - p->done;
			return k < want ? k : want;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		if (stop) return 0;
	}
}

int run_ops(enum op op, const char *name)
{
	int s = nl_open_in(NULL, 0);
	unsigned batch = o.batch ? o.batch : 256;
	struct buf b = { .p = malloc((size_t)batch * REQUEST_MAX), .cap = (size_t)batch * REQUEST_MAX };
	struct pace pace = { .start = now_ns(), .per_ns = o.rate / 1e9 };
	uint64_t calls = 0;

	for (uint32_t i = 0; i < o.n && !stop;) {
		unsigned k = pace_take(&pace, batch < o.n - i ? batch : o.n - i);
		if (!k) break;
		b.len = 0;
		for (unsigned j = 0; j < k; j++)
			put_op(&b, op, o.base + i + j, i + j + 1);
		if (send(s, b.p, b.len, 0) < 0) die("send");
		i += k;
		pace.done += k;
		if ((++calls & 15) == 0)
			reap(s, false);
	}
	reap(s, false);
	double dt = (now_ns() - pace.start) / 1e9;
	printf("{\"op\":\"%s\",\"n\":%u,\"rate\":%u,\"batch\":%u,\"seconds\":%.6f,\"per_s\":%.0f,\"cpu_ns\":%llu,\"failed\":%u",
	       name, o.n, o.rate, batch, dt, o.n / dt, (unsigned long long)cpu_ns(), nerr);
	print_errs();
	printf("}\n");
	return nerr && !o.errors_ok;
}

int run_flush(void)
{
	int s = nl_open_in(NULL, 0);
	uint8_t raw[64];
	struct buf b = { .p = raw, .cap = sizeof raw };
	struct nlmsghdr *h = msg_begin(&b, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, 0, 1);

	msg_end(&b, h);
	uint64_t t = now_ns();
	if (send(s, b.p, b.len, 0) < 0) die("send");
	reap(s, true);
	printf("{\"op\":\"flush\",\"seconds\":%.6f,\"failed\":%u}\n", (now_ns() - t) / 1e9, nerr);
	return nerr != 0;
}
