/* Watchers: of the kernel's events and table (which do nothing with them: the floor), of other processes, of time. */
#define _GNU_SOURCE
#include "ctload.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Counts events until none has come for idle_ms, or until a signal. */
int run_drain(void)
{
	enum { VLEN = 256, SIZE = 2048 };
	static uint8_t mem[VLEN][SIZE];
	static struct mmsghdr mm[VLEN];
	static struct iovec io[VLEN];
	int s = nl_open_in(NULL, 7);            /* NEW, UPDATE, DESTROY */
	uint64_t events = 0, overruns = 0, first = 0, last = 0, cpu0 = 0;

	for (unsigned i = 0; i < VLEN; i++) {
		io[i] = (struct iovec){ mem[i], SIZE };
		mm[i].msg_hdr.msg_iov = &io[i];
		mm[i].msg_hdr.msg_iovlen = 1;
	}
	fprintf(stderr, "listening\n");
	while (!stop) {
		struct pollfd p = { .fd = s, .events = POLLIN };
		int r = poll(&p, 1, first ? (int)o.idle_ms : 100);
		if (r == 0 && first) break;
		if (r <= 0) continue;
		for (;;) {
			r = recvmmsg(s, mm, VLEN, MSG_DONTWAIT, NULL);
			if (r < 0) {
				if (errno == ENOBUFS) { overruns++; continue; }
				break;          /* EAGAIN, EINTR */
			}
			last = now_ns();
			if (!first) { first = last; cpu0 = cpu_ns(); }
			events += r;
			if (r < VLEN) break;
		}
	}
	printf("{\"op\":\"drain\",\"events\":%llu,\"enobufs\":%llu,\"seconds\":%.6f,\"cpu_ns\":%llu}\n",
	       (unsigned long long)events, (unsigned long long)overruns, (last - first) / 1e9,
	       (unsigned long long)(first ? cpu_ns() - cpu0 : 0));
	return 0;
}

/* Reads the whole table and counts what it shows. */
int run_dump(void)
{
	static uint8_t rb[1 << 17];
	int s = nl_open_in(NULL, 0);
	uint8_t raw[64];
	struct buf b = { .p = raw, .cap = sizeof raw };
	struct nlmsghdr *h = msg_begin(&b, IPCTNL_MSG_CT_GET, NLM_F_DUMP, 0, 1);
	uint64_t n = 0, t = now_ns();
	bool done = false;

	msg_end(&b, h);
	if (send(s, b.p, b.len, 0) < 0) die("send");
	while (!done) {
		ssize_t r = recv(s, rb, sizeof rb, 0);
		if (r < 0) die("recv");
		int len = r;
		for (h = (void *)rb; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
			if (h->nlmsg_type == NLMSG_DONE) { done = true; break; }
			n++;
		}
	}
	printf("{\"op\":\"dump\",\"entries\":%llu,\"seconds\":%.6f,\"cpu_ns\":%llu}\n", (unsigned long long)n,
	       (now_ns() - t) / 1e9, (unsigned long long)cpu_ns());
	return 0;
}

/*
 * CPU time of other processes, in nanoseconds of the scheduler, one number each. The process's clock has the threads
 * that have ended in it, which the sum over /proc/PID/task has not.
 */
int run_cpu(char **pids)
{
	printf("[");
	for (char **p = pids; *p; p++) {
		clockid_t clock;
		struct timespec t;
		int e = clock_getcpuclockid(atoi(*p), &clock);
		if (e) { errno = e; die(*p); }
		if (clock_gettime(clock, &t)) die(*p);
		printf("%s%llu", p == pids ? "" : ",", (unsigned long long)t.tv_sec * 1000000000ull + t.tv_nsec);
	}
	printf("]\n");
	return 0;
}

enum { SAMPLES_MAX = 1 << 20 };

static void rest(void)
{
	nanosleep(&(struct timespec){ o.interval_us / 1000000, o.interval_us % 1000000 * 1000l }, NULL);
}

/* Asks a daemon for its cache statistics again and again: how long does each answer take? */
int run_probe(const char *path)
{
	enum { STATS_CACHE = 29 };              /* of conntrackd's control protocol */
	uint64_t *took = calloc(SAMPLES_MAX, sizeof *took);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	unsigned n = 0;
	static char text[1 << 14];

	if (!path) { errno = EINVAL; die("probe"); }
	strncpy(a.sun_path, path, sizeof a.sun_path - 1);
	while (!stop && n < SAMPLES_MAX) {
		int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), request = STATS_CACHE;
		uint64_t t = now_ns();
		if (s < 0 || connect(s, (void *)&a, sizeof a)) {
			if (stop) break;        /* interrupted */
			die(path);
		}
		if (write(s, &request, sizeof request) != sizeof request) die("write");
		ssize_t r;
		while ((r = read(s, text, sizeof text)) > 0 || (r < 0 && errno == EINTR))
			;
		close(s);
		took[n++] = now_ns() - t;
		rest();
	}
	printf("{\"op\":\"probe\"");
	print_dist("answer", took, n);
	printf("}\n");
	return 0;
}

/* Sleeps again and again: how much longer than asked for does it take? What nobody on this machine can be below. */
int run_jitter(void)
{
	uint64_t *late = calloc(SAMPLES_MAX, sizeof *late);
	unsigned n = 0;

	while (!stop && n < SAMPLES_MAX) {
		uint64_t t = now_ns();
		rest();
		uint64_t took = now_ns() - t, asked = o.interval_us * 1000ull;
		if (!stop)
			late[n++] = took > asked ? took - asked : 0;
	}
	printf("{\"op\":\"jitter\"");
	print_dist("late", late, n);
	printf("}\n");
	return 0;
}
