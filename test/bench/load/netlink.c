/* The ctnetlink socket of ctload. */
#define _GNU_SOURCE
#include "ctload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

/* Classic BPF: drop the events that the owner of this netlink port has caused. */
static void ignore_port(int s, uint32_t port)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(port), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	};
	struct sock_fprog prog = { .len = 4, .filter = code };

	if (setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog)) die("SO_ATTACH_FILTER");
}

int nl_open_in(const char *ns, unsigned groups)
{
	int self = -1;

	if (ns) {
		self = open("/proc/self/ns/net", O_RDONLY);
		int f = open(ns, O_RDONLY);
		if (self < 0 || f < 0 || setns(f, CLONE_NEWNET)) die(ns);
		close(f);
	}
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (s < 0) die("socket");
	/* the kernel doubles what it is asked for */
	int size = o.rcvbuf > INT_MAX / 2 ? INT_MAX / 2 : (int)o.rcvbuf / 2;
	setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	size = 8 << 20;
	setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
	int one = 1;
	/* errors carry the header only, not the whole request */
	setsockopt(s, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
	if (groups && o.ignore)
		ignore_port(s, o.ignore);
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_pid = groups ? 0 : o.portid };
	if (bind(s, (void *)&a, sizeof a)) die("bind");
	for (unsigned g = 1; g < 32; g++)
		if (groups & 1u << (g - 1)) {
			int v = g;
			if (setsockopt(s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &v, sizeof v))
				die("NETLINK_ADD_MEMBERSHIP");
		}
	if (self >= 0) {
		if (setns(self, CLONE_NEWNET)) die("setns back");
		close(self);
	}
	return s;
}

unsigned nerr;
static unsigned errs[256];

void reap(int s, bool block)
{
	static uint8_t rb[1 << 16];

	for (;;) {
		ssize_t r = recv(s, rb, sizeof rb, block ? 0 : MSG_DONTWAIT);
		if (r < 0) {
			if (errno == EAGAIN) return;
			if (errno == EINTR) continue;
			if (errno == ENOBUFS) { nerr++; return; }
			die("recv");
		}
		int len = r;
		for (struct nlmsghdr *h = (void *)rb; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len))
			if (h->nlmsg_type == NLMSG_ERROR) {
				int e = -((struct nlmsgerr *)NLMSG_DATA(h))->error;
				if (e) { errs[e & 255]++; nerr++; }
			}
		if (block) return;
	}
}

void print_errs(void)
{
	bool first = true;

	printf(",\"errors\":{");
	for (int e = 0; e < 256; e++)
		if (errs[e]) {
			printf("%s\"%s\":%u", first ? "" : ",", strerrorname_np(e), errs[e]);
			first = false;
		}
	printf("}");
}
