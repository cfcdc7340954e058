/*
 * Makes entries in one namespace, one at a time, and takes the time until the kernel of the other tells of the same entry;
 * and until the own kernel's event is seen, which is the part that no daemon can be below.
 */
#define _GNU_SOURCE
#include "ctload.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* An entry that has not arrived after this is lost. */
static const uint64_t LIMIT_NS = 1000000000;

static bool has_port(int s, uint16_t port)
{
	static uint8_t rb[1 << 16];
	ssize_t r = recv(s, rb, sizeof rb, MSG_DONTWAIT);

	return r > 0 && memmem(rb, r, &port, sizeof port);
}

int run_latency(void)
{
	int tx = nl_open_in(o.src, 0), own = nl_open_in(o.src, 1), peer = nl_open_in(o.dst, 1);
	uint64_t *to_peer = calloc(o.n, sizeof *to_peer), *to_own = calloc(o.n, sizeof *to_own);
	unsigned npeer = 0, nown = 0, lost = 0;
	uint8_t raw[1024];

	for (unsigned i = 0; i < o.n && !stop; i++) {
		struct flow f;
		struct buf b = { .p = raw, .cap = sizeof raw };
		bool seen_own = false, seen_peer = false;

		flow_of(o.base + i, &f);
		uint16_t port = htons(f.sport);
		put_op(&b, OP_CREATE, o.base + i, i + 1);
		uint64_t t0 = now_ns();
		if (send(tx, b.p, b.len, 0) < 0) die("send");
		while (!(seen_own && seen_peer) && now_ns() - t0 < LIMIT_NS && !stop) {
			struct pollfd p[2] = { { own, POLLIN, 0 }, { peer, POLLIN, 0 } };
			if (poll(p, 2, 100) <= 0) continue;
			uint64_t t = now_ns() - t0;
			if (p[0].revents && has_port(own, port) && !seen_own) { seen_own = true; to_own[nown++] = t; }
			if (p[1].revents && has_port(peer, port) && !seen_peer) { seen_peer = true; to_peer[npeer++] = t; }
		}
		if (!seen_peer) lost++;
		if (o.rate) {
			/* jitter, so that no timer of the daemon is hit in phase */
			long mean = 1000000000l / o.rate;
			long wait = mean / 2 + random() % mean;
			nanosleep(&(struct timespec){ wait / 1000000000l, wait % 1000000000l }, NULL);
		}
	}
	printf("{\"op\":\"latency\",\"n\":%u,\"rate\":%u,\"lost\":%u", o.n, o.rate, lost);
	print_dist("own_event", to_own, nown);
	print_dist("peer_kernel", to_peer, npeer);
	printf("}\n");
	return 0;
}
