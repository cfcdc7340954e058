/*
 * ctload - makes conntrack entries at a rate, and measures what the kernel itself can do. Speaks ctnetlink without a
 * library, on the table of the network namespace it runs in. Each sub-command prints one JSON value.
 *
 *   ctload create|update|destroy [MIX] -n N [-r RATE] [-b BATCH] [--errors-ok]
 *   ctload flush                   empties the table
 *   ctload drain  [--idle MS] [--ignore PORT]
 *                                  counts events and does nothing else; of what the socket with that netlink port
 *                                  (--portid of create) causes the kernel tells nothing
 *   ctload dump                    reads the table, counts
 *   ctload digest [--text] [--original]
 *                                  digest of the table, or of what a daemon prints of its cache; without reply tuples
 *   ctload latency --src FILE --dst FILE -n N -r RATE
 *                                  from an entry made in the namespace src to the event of it in dst
 *   ctload cpu PID...              CPU time in nanoseconds
 *   ctload probe --interval US SOCKET
 *                                  how long a daemon's answers on its control socket take, until SIGTERM
 *   ctload jitter --interval US    how late a sleep ends on this machine, until SIGTERM
 *
 * MIX: --tcp PERCENT (the rest is UDP) --v6 PERCENT --snat PERCENT --helper NAME --base INDEX --state TCP-STATE
 *      --timeout SECONDS
 */
#define _GNU_SOURCE
#include "ctload.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct options o = {
	.n = 10000, .tcp = 100, .timeout = 3600, .state = TCP_ESTABLISHED, .idle_ms = 1000, .rcvbuf = 64u << 20,
	.interval_us = 1000,
};

volatile sig_atomic_t stop;
static void on_signal(int s) { (void)s; stop = 1; }

void die(const char *what)
{
	fprintf(stderr, "ctload: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}
uint64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
uint64_t cpu_ns(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void print_dist(const char *name, uint64_t *v, unsigned n)
{
	if (!n) { printf(",\"%s_us\":null", name); return; }
	qsort(v, n, sizeof *v, compare);
	printf(",\"%s_us\":{\"n\":%u,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}", name, n, v[n / 2] / 1e3,
	       v[(uint64_t)n * 90 / 100] / 1e3, v[(uint64_t)n * 99 / 100] / 1e3, v[n - 1] / 1e3);
}

static int usage(void)
{
	fprintf(stderr, "usage: ctload create|update|destroy|flush|drain|dump|digest|latency|cpu|probe|jitter [options]\n"
			"see the comment at the top of main.c\n");
	return 2;
}

int main(int argc, char **argv)
{
	enum { TCP = 1000, V6, SNAT, HELPER, BASE, STATE, TIMEOUT, IDLE, RCVBUF, PORTID, IGNORE, SRC, DST, INTERVAL,
	       ERRORS_OK, TEXT, ORIGINAL };
	static const struct option longs[] = {
		{ "tcp", 1, 0, TCP }, { "v6", 1, 0, V6 }, { "snat", 1, 0, SNAT }, { "helper", 1, 0, HELPER },
		{ "base", 1, 0, BASE }, { "state", 1, 0, STATE }, { "timeout", 1, 0, TIMEOUT }, { "idle", 1, 0, IDLE },
		{ "rcvbuf", 1, 0, RCVBUF }, { "portid", 1, 0, PORTID }, { "ignore", 1, 0, IGNORE }, { "src", 1, 0, SRC },
		{ "dst", 1, 0, DST }, { "interval", 1, 0, INTERVAL }, { "errors-ok", 0, 0, ERRORS_OK },
		{ "text", 0, 0, TEXT }, { "original", 0, 0, ORIGINAL }, { 0 } };
	bool text = false, original = false;
	int c;

	if (argc < 2) return usage();
	const char *command = argv[1];
	optind = 2;
	while ((c = getopt_long(argc, argv, "n:r:b:", longs, NULL)) != -1)
		switch (c) {
		case 'n': o.n = strtoul(optarg, 0, 0); break;
		case 'r': o.rate = strtoul(optarg, 0, 0); break;
		case 'b': o.batch = strtoul(optarg, 0, 0); break;
		case TCP: o.tcp = atoi(optarg); break;
		case V6: o.v6 = atoi(optarg); break;
		case SNAT: o.snat = atoi(optarg); break;
		case HELPER: o.helper = optarg; break;
		case BASE: o.base = strtoul(optarg, 0, 0); break;
		case STATE: o.state = atoi(optarg); break;
		case TIMEOUT: o.timeout = atoi(optarg); break;
		case IDLE: o.idle_ms = atoi(optarg); break;
		case RCVBUF: o.rcvbuf = strtoul(optarg, 0, 0); break;
		case PORTID: o.portid = strtoul(optarg, 0, 0); break;
		case IGNORE: o.ignore = strtoul(optarg, 0, 0); break;
		case SRC: o.src = optarg; break;
		case DST: o.dst = optarg; break;
		case INTERVAL: o.interval_us = strtoul(optarg, 0, 0); break;
		case ERRORS_OK: o.errors_ok = true; break;
		case TEXT: text = true; break;
		case ORIGINAL: original = true; break;
		default: return usage();
		}
	struct sigaction sa = { .sa_handler = on_signal };
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);

	if (!strcmp(command, "create")) return run_ops(OP_CREATE, command);
	if (!strcmp(command, "update")) return run_ops(OP_UPDATE, command);
	if (!strcmp(command, "destroy")) return run_ops(OP_DESTROY, command);
	if (!strcmp(command, "flush")) return run_flush();
	if (!strcmp(command, "drain")) return run_drain();
	if (!strcmp(command, "dump")) return run_dump();
	if (!strcmp(command, "digest")) return run_digest(!text, original);
	if (!strcmp(command, "latency")) return run_latency();
	if (!strcmp(command, "cpu")) return run_cpu(argv + optind);
	if (!strcmp(command, "probe")) return run_probe(argv[optind]);
	if (!strcmp(command, "jitter")) return run_jitter();
	return usage();
}
