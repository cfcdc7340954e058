/*
 * What the parts of ctload share: the options, how an entry follows from its index, messages, the netlink socket.
 */
#ifndef CTLOAD_H
#define CTLOAD_H

#include <linux/netlink.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TCP_SYN_SENT = 1, TCP_SYN_RECV, TCP_ESTABLISHED, TCP_FIN_WAIT };

struct options {
	unsigned n, rate, batch, base;
	unsigned tcp, v6, snat;          /* percentages */
	unsigned timeout, state;
	unsigned idle_ms, rcvbuf;
	unsigned portid, ignore;         /* netlink ports, 0: whatever the kernel gives, none */
	unsigned interval_us;
	bool errors_ok;
	const char *helper, *src, *dst;
};
extern struct options o;

/* Set by SIGINT and SIGTERM. */
extern volatile sig_atomic_t stop;

_Noreturn void die(const char *what);
uint64_t now_ns(void);
/* CPU time of this process in nanoseconds of the scheduler. */
uint64_t cpu_ns(void);
/* Prints ,"NAME_us":{"n":..,"p50":..,...} of times in nanoseconds, which it sorts. */
void print_dist(const char *name, uint64_t *v, unsigned n);

/* --- flow.c: what the entry with an index looks like --- */

struct flow {
	bool tcp, v6, snat;
	uint8_t src[16], dst[16], nat[16];
	uint16_t sport, dport;           /* host order */
};
void flow_of(uint32_t index, struct flow *f);

struct buf { uint8_t *p; size_t len, cap; };
enum op { OP_CREATE, OP_UPDATE, OP_DESTROY };

struct nlmsghdr *msg_begin(struct buf *b, int cmd, int flags, uint8_t family, uint32_t seq);
void msg_end(struct buf *b, struct nlmsghdr *h);
/* Appends the request that does this to the entry with that index. */
void put_op(struct buf *b, enum op op, uint32_t index, uint32_t seq);

/* --- netlink.c --- */

/* A ctnetlink socket in the namespace of that file (NULL: this one), subscribed to a bit set of groups. */
int nl_open_in(const char *ns, unsigned groups);
/* Reads the answers that are waiting, or waits for one; counts refusals in nerr and errs by errno. */
void reap(int s, bool block);
extern unsigned nerr;
void print_errs(void);

/* --- the sub-commands; the result is the exit status --- */

int run_ops(enum op op, const char *name);
int run_flush(void);
int run_drain(void);
int run_dump(void);
int run_latency(void);
int run_digest(bool from_kernel, bool original);
int run_cpu(char **pids);
int run_probe(const char *path);
int run_jitter(void);

#endif
