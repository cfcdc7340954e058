/*
 * The sockets that Node cannot open, and little else: netlink, UDP with forced buffers, an advisory lock, malloc.
 *
 * This file moves bytes and reports errno; every protocol is in TypeScript. It keeps no static state, so it loads
 * in the main thread and in the commit worker alike. Calls that set something up throw an Error carrying `errno`,
 * `code` and `syscall`; the four hot calls (receive, send, sendMany, lock) return -errno instead.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <malloc.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

#include "native.h"

/* Datagrams per recvmmsg or sendmmsg call: 256 headers are 20 KiB of stack. */
#define BATCH_MAX 256
/* Room for one source address in the `names` buffer of receive(): sizeof(struct sockaddr_in6). */
#define NAME_SIZE 28

static napi_value integer(napi_env env, int64_t value) {
	napi_value out;
	napi_create_int64(env, value, &out);
	return out;
}

/* Throws an Error with the call's name and errno, in the shape of Node's own system errors. */
static napi_value system_error(napi_env env, const char *call, int number) {
	char text[160];
	napi_value message, code, error, name;
	int n = snprintf(text, sizeof text, "%s: %s", call, strerror(number));
	napi_create_string_utf8(env, text, n, &message);
	napi_create_string_utf8(env, uv_err_name(-number), NAPI_AUTO_LENGTH, &code);
	napi_create_error(env, code, message, &error);
	napi_create_string_utf8(env, call, NAPI_AUTO_LENGTH, &name);
	napi_set_named_property(env, error, "syscall", name);
	napi_set_named_property(env, error, "errno", integer(env, number));
	napi_throw(env, error);
	return NULL;
}

/* --- opening and setting up ------------------------------------------------------------------------------------ */

/* openSocket(domain, type, protocol) -> fd; always non-blocking and close-on-exec. */
static napi_value open_socket(napi_env env, napi_callback_info info) {
	int32_t domain, type, protocol;
	ARGS(3);
	if (!get_int(env, argv[0], &domain) || !get_int(env, argv[1], &type) || !get_int(env, argv[2], &protocol))
		return bad_argument(env);
	int fd = socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	return fd < 0 ? system_error(env, "socket", errno) : integer(env, fd);
}

/* bindSocket(fd, sockaddr) */
static napi_value bind_socket(napi_env env, napi_callback_info info) {
	int32_t fd;
	void *address;
	size_t length;
	ARGS(2);
	if (!get_int(env, argv[0], &fd) || !get_bytes(env, argv[1], &address, &length))
		return bad_argument(env);
	if (bind(fd, address, length) < 0)
		return system_error(env, "bind", errno);
	return NULL;
}

/* netlinkPort(fd) -> the port id that the kernel gave the socket (netlink(7), nl_pid) */
static napi_value netlink_port(napi_env env, napi_callback_info info) {
	int32_t fd;
	struct sockaddr_nl name = {0};
	socklen_t length = sizeof name;
	ARGS(1);
	if (!get_int(env, argv[0], &fd))
		return bad_argument(env);
	if (getsockname(fd, (struct sockaddr *)&name, &length) < 0)
		return system_error(env, "getsockname", errno);
	return integer(env, name.nl_pid);
}

/* setOption(fd, level, name, value): value is an integer, or the option's bytes */
static napi_value set_option(napi_env env, napi_callback_info info) {
	int32_t fd, level, name, number;
	void *data = &number;
	size_t length = sizeof number;
	ARGS(4);
	if (!get_int(env, argv[0], &fd) || !get_int(env, argv[1], &level) || !get_int(env, argv[2], &name))
		return bad_argument(env);
	if (!get_bytes(env, argv[3], &data, &length)) {
		if (!get_int(env, argv[3], &number))
			return bad_argument(env);
		data = &number;
		length = sizeof number;
	}
	if (setsockopt(fd, level, name, data, length) < 0)
		return system_error(env, "setsockopt", errno);
	return NULL;
}

/* getOption(fd, level, name) -> integer */
static napi_value get_option(napi_env env, napi_callback_info info) {
	int32_t fd, level, name;
	int number = 0;
	socklen_t length = sizeof number;
	ARGS(3);
	if (!get_int(env, argv[0], &fd) || !get_int(env, argv[1], &level) || !get_int(env, argv[2], &name))
		return bad_argument(env);
	if (getsockopt(fd, level, name, &number, &length) < 0)
		return system_error(env, "getsockopt", errno);
	return integer(env, number);
}

/* attachFilter(fd, program): an array of struct sock_filter (socket(7), SO_ATTACH_FILTER) */
static napi_value attach_filter(napi_env env, napi_callback_info info) {
	int32_t fd;
	void *code;
	size_t length;
	ARGS(2);
	if (!get_int(env, argv[0], &fd) || !get_bytes(env, argv[1], &code, &length) || length % sizeof(struct sock_filter))
		return bad_argument(env);
	struct sock_fprog program = {.len = length / sizeof(struct sock_filter), .filter = code};
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0)
		return system_error(env, "SO_ATTACH_FILTER", errno);
	return NULL;
}

/* joinGroup(fd, sockaddr of the group, interface index): RFC 3678 MCAST_JOIN_GROUP, one call for both families */
static napi_value join_group(napi_env env, napi_callback_info info) {
	int32_t fd, index;
	void *address;
	size_t length;
	ARGS(3);
	if (!get_int(env, argv[0], &fd) || !get_bytes(env, argv[1], &address, &length) ||
	    !get_int(env, argv[2], &index) || length > sizeof(struct sockaddr_storage) || length < sizeof(sa_family_t))
		return bad_argument(env);
	struct group_req request = {.gr_interface = index};
	memcpy(&request.gr_group, address, length);
	int level = request.gr_group.ss_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
	if (setsockopt(fd, level, MCAST_JOIN_GROUP, &request, sizeof request) < 0)
		return system_error(env, "MCAST_JOIN_GROUP", errno);
	return NULL;
}

/* interfaceInfo(name) -> [index, mtu, flags]; flags are IFF_* of netdevice(7) */
static napi_value interface_info(napi_env env, napi_callback_info info) {
	struct ifreq request = {0};
	char name[IFNAMSIZ + 1];
	size_t length;
	ARGS(1);
	if (napi_get_value_string_utf8(env, argv[0], name, sizeof name, &length) != napi_ok)
		return bad_argument(env);
	if (length >= IFNAMSIZ) /* cut, it could be another interface's name */
		return system_error(env, "ioctl", ENODEV);
	memcpy(request.ifr_name, name, length);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return system_error(env, "socket", errno);
	static const unsigned long requests[] = {SIOCGIFINDEX, SIOCGIFMTU, SIOCGIFFLAGS};
	napi_value list;
	napi_create_array_with_length(env, 3, &list);
	for (int i = 0; i < 3; i++) {
		if (ioctl(fd, requests[i], &request) < 0) {
			int number = errno;
			close(fd);
			return system_error(env, "ioctl", number);
		}
		int64_t value = i == 0 ? request.ifr_ifindex : i == 1 ? request.ifr_mtu : (uint16_t)request.ifr_flags;
		napi_set_element(env, list, i, integer(env, value));
	}
	close(fd);
	return list;
}

/* lock(fd) -> 0, or -EWOULDBLOCK if somebody else holds it (flock(2), exclusive, released when the holder dies) */
static napi_value lock(napi_env env, napi_callback_info info) {
	int32_t fd;
	ARGS(1);
	if (!get_int(env, argv[0], &fd))
		return bad_argument(env);
	return integer(env, flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0);
}

/*
 * unshareNetwork(): from now on the calling thread opens its sockets in an empty network namespace of its own
 * (unshare(2), CLONE_NEWNET). The namespace ends with the thread and the last of these sockets. For worker threads.
 */
static napi_value unshare_network(napi_env env, napi_callback_info info) {
	(void)info;
	if (unshare(CLONE_NEWNET) < 0)
		return system_error(env, "unshare", errno);
	return NULL;
}

/* setScheduler(thread, policy, priority): of one thread of this process and those that it starts (sched_setscheduler(2)) */
static napi_value set_scheduler(napi_env env, napi_callback_info info) {
	int32_t thread, policy, priority;
	ARGS(3);
	if (!get_int(env, argv[0], &thread) || !get_int(env, argv[1], &policy) || !get_int(env, argv[2], &priority))
		return bad_argument(env);
	struct sched_param param = {.sched_priority = priority};
	if (sched_setscheduler(thread, policy, &param) < 0)
		return system_error(env, "sched_setscheduler", errno);
	return NULL;
}

static napi_value close_socket(napi_env env, napi_callback_info info) {
	int32_t fd;
	ARGS(1);
	if (!get_int(env, argv[0], &fd))
		return bad_argument(env);
	if (close(fd) < 0)
		return system_error(env, "close", errno);
	return NULL;
}

/* --- moving bytes ---------------------------------------------------------------------------------------------- */

/* recvmmsg() of up to count datagrams (256 at most) into slots of stride bytes; their number, or -errno. Never blocks. */
static int read_datagrams(int fd, uint8_t *buffer, int stride, int32_t *lengths, size_t count, uint8_t *names) {
	struct mmsghdr messages[BATCH_MAX];
	struct iovec vectors[BATCH_MAX];
	if (count > BATCH_MAX)
		count = BATCH_MAX;
	for (size_t i = 0; i < count; i++) {
		vectors[i] = (struct iovec){.iov_base = buffer + i * stride, .iov_len = stride};
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i], .msg_iovlen = 1}};
		if (names) {
			messages[i].msg_hdr.msg_name = names + i * NAME_SIZE;
			messages[i].msg_hdr.msg_namelen = NAME_SIZE;
		}
	}
	int n;
	do
		n = recvmmsg(fd, messages, count, MSG_DONTWAIT | MSG_TRUNC, NULL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++)
		lengths[i] = messages[i].msg_len;
	return n;
}

static ssize_t send_once(int fd, const uint8_t *bytes, size_t length) {
	ssize_t n;
	do
		n = send(fd, bytes, length, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/*
 * receive(fd, buffer, stride, lengths, names | null) -> number of datagrams, or -errno
 *
 * Datagram i lands at buffer[i * stride]; lengths[i] is its true length, more than stride if it was cut. With
 * names, its source sockaddr lands at names[i * 28]. Never blocks.
 */
static napi_value receive(napi_env env, napi_callback_info info) {
	int32_t fd, stride;
	uint8_t *buffer, *names = NULL;
	int32_t *lengths;
	size_t size, lengths_size, names_size = 0;
	ARGS(5);
	if (!get_int(env, argv[0], &fd) || !get_bytes(env, argv[1], (void **)&buffer, &size) ||
	    !get_int(env, argv[2], &stride) || !get_bytes(env, argv[3], (void **)&lengths, &lengths_size) || stride <= 0)
		return bad_argument(env);
	napi_valuetype names_type;
	if (napi_typeof(env, argv[4], &names_type) != napi_ok ||
	    (names_type != napi_null && !get_bytes(env, argv[4], (void **)&names, &names_size)))
		return bad_argument(env);
	size_t count = lengths_size / sizeof *lengths;
	if (count > size / (size_t)stride)
		count = size / (size_t)stride;
	if (names && count > names_size / NAME_SIZE)
		count = names_size / NAME_SIZE;
	return integer(env, read_datagrams(fd, buffer, stride, lengths, count, names));
}

/* send(fd, buffer, offset, length) -> bytes sent, or -errno. For netlink: many requests in one call. */
static napi_value send_bytes(napi_env env, napi_callback_info info) {
	int32_t fd, offset, length;
	uint8_t *buffer;
	size_t size;
	ARGS(4);
	if (!get_int(env, argv[0], &fd) || !get_bytes(env, argv[1], (void **)&buffer, &size) ||
	    !get_int(env, argv[2], &offset) || !get_int(env, argv[3], &length) || offset < 0 || length < 0 ||
	    (size_t)offset + (size_t)length > size)
		return bad_argument(env);
	return integer(env, send_once(fd, buffer + offset, length));
}

/*
 * sendMany(fd, buffer, spans, count, destination) -> datagrams sent, or -errno
 *
 * spans holds count pairs (offset, length) into buffer; destination is a sockaddr for all of them. A number smaller
 * than count says that the send buffer is full.
 */
static napi_value send_many(napi_env env, napi_callback_info info) {
	int32_t fd, count, *spans;
	uint8_t *buffer, *destination;
	size_t size, spans_size, destination_size;
	ARGS(5);
	if (!get_int(env, argv[0], &fd) || !get_bytes(env, argv[1], (void **)&buffer, &size) ||
	    !get_bytes(env, argv[2], (void **)&spans, &spans_size) || !get_int(env, argv[3], &count) ||
	    !get_bytes(env, argv[4], (void **)&destination, &destination_size) || count < 0 ||
	    (size_t)count * 8 > spans_size)
		return bad_argument(env);
	struct mmsghdr messages[BATCH_MAX];
	struct iovec vectors[BATCH_MAX];
	int sent = 0;
	while (sent < count) {
		int batch = count - sent < BATCH_MAX ? count - sent : BATCH_MAX;
		for (int i = 0; i < batch; i++) {
			int32_t offset = spans[2 * (sent + i)], length = spans[2 * (sent + i) + 1];
			if (offset < 0 || length < 0 || (size_t)offset + (size_t)length > size)
				return bad_argument(env);
			vectors[i] = (struct iovec){.iov_base = buffer + offset, .iov_len = length};
			messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i],
								   .msg_iovlen = 1,
								   .msg_name = destination,
								   .msg_namelen = destination_size}};
		}
		int n;
		do
			n = sendmmsg(fd, messages, batch, MSG_DONTWAIT | MSG_NOSIGNAL);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return integer(env, sent > 0 ? sent : -errno);
		sent += n;
		if (n < batch)
			break;
	}
	return integer(env, sent);
}

/*
 * The same on a thread of libuv's pool, for calls in which the kernel works long (it writes a dump within them). The
 * arrays stay where they are until then, because they are referred to; they are nobody else's meanwhile, and the
 * descriptor stays open.
 */
typedef struct {
	napi_async_work work;
	napi_deferred deferred;
	napi_ref buffer_reference, lengths_reference, turns_reference;
	int fd, stride;
	uint8_t *bytes;
	int32_t *lengths; /* NULL: send */
	size_t count;	  /* datagrams to receive, or bytes to send */
	int32_t *turns;	  /* NULL: it need not wait for others */
	int32_t turn;
	int64_t result;
} later;

/*
 * Calls that share `turns` run one after another in the order in which they were queued, so that one can be queued while another
 * is under way: turns[0] is whose turn it is, turns[1] the next number. The pool takes up what was queued first, so whoever
 * waits here, in a thread of the pool, waits for a call that has a thread already.
 */
static void turn_begin(int32_t *turns, int32_t turn) {
	for (int32_t now; (now = __atomic_load_n(turns, __ATOMIC_ACQUIRE)) != turn;)
		syscall(SYS_futex, turns, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
}

static void turn_end(int32_t *turns) {
	__atomic_add_fetch(turns, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, turns, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void later_run(napi_env env, void *data) {
	later *l = data;
	(void)env;
	if (l->turns)
		turn_begin(l->turns, l->turn);
	l->result = l->lengths ? read_datagrams(l->fd, l->bytes, l->stride, l->lengths, l->count, NULL)
			       : send_once(l->fd, l->bytes, l->count);
	if (l->turns)
		turn_end(l->turns);
}

static void later_done(napi_env env, napi_status status, void *data) {
	later *l = data;
	if (status == napi_ok)
		napi_resolve_deferred(env, l->deferred, integer(env, l->result));
	napi_delete_reference(env, l->buffer_reference);
	if (l->lengths_reference)
		napi_delete_reference(env, l->lengths_reference);
	if (l->turns_reference)
		napi_delete_reference(env, l->turns_reference);
	napi_delete_async_work(env, l->work);
	free(l);
}

/* Queues what `call` describes; a promise of what the call would have returned. */
static napi_value later_start(napi_env env, later call, napi_value buffer, napi_value lengths, napi_value turns) {
	napi_value name, promise;
	later *l = malloc(sizeof *l);
	if (!l)
		return system_error(env, "malloc", ENOMEM);
	*l = call;
	napi_create_reference(env, buffer, 1, &l->buffer_reference);
	if (lengths)
		napi_create_reference(env, lengths, 1, &l->lengths_reference);
	if (turns) {
		napi_create_reference(env, turns, 1, &l->turns_reference);
		l->turn = l->turns[1]++;
	}
	napi_create_promise(env, &l->deferred, &promise);
	napi_create_string_utf8(env, "ctsync:later", NAPI_AUTO_LENGTH, &name);
	napi_create_async_work(env, NULL, name, later_run, later_done, l, &l->work);
	napi_queue_async_work(env, l->work);
	return promise;
}

/* receiveLater(fd, buffer, stride, lengths, turns) -> promise of the number of datagrams, or -errno */
static napi_value receive_later(napi_env env, napi_callback_info info) {
	int32_t fd, stride, *lengths, *turns;
	uint8_t *buffer;
	size_t size, lengths_size, turns_size;
	ARGS(5);
	if (!get_int(env, argv[0], &fd) || !get_bytes(env, argv[1], (void **)&buffer, &size) ||
	    !get_int(env, argv[2], &stride) || !get_bytes(env, argv[3], (void **)&lengths, &lengths_size) || stride <= 0 ||
	    !get_bytes(env, argv[4], (void **)&turns, &turns_size) || turns_size < 2 * sizeof *turns ||
	    (uintptr_t)turns % sizeof *turns != 0)
		return bad_argument(env);
	size_t count = lengths_size / sizeof *lengths;
	if (count > size / (size_t)stride)
		count = size / (size_t)stride;
	later call = {
		.fd = fd, .bytes = buffer, .stride = stride, .lengths = lengths, .count = count, .turns = turns};
	return later_start(env, call, argv[1], argv[3], argv[4]);
}

/* sendLater(fd, buffer, offset, length) -> promise of the bytes sent, or -errno */
static napi_value send_later(napi_env env, napi_callback_info info) {
	int32_t fd, offset, length;
	uint8_t *buffer;
	size_t size;
	ARGS(4);
	if (!get_int(env, argv[0], &fd) || !get_bytes(env, argv[1], (void **)&buffer, &size) ||
	    !get_int(env, argv[2], &offset) || !get_int(env, argv[3], &length) || offset < 0 || length < 0 ||
	    (size_t)offset + (size_t)length > size)
		return bad_argument(env);
	return later_start(env, (later){.fd = fd, .bytes = buffer + offset, .count = length}, argv[1], NULL, NULL);
}

/* --- waiting --------------------------------------------------------------------------------------------------- */

typedef struct {
	uv_poll_t handle;
	uv_timer_t timer;
	napi_env env;
	napi_ref callback;
	napi_async_context context;
	napi_async_cleanup_hook_handle cleanup;
	int open;	/* handles that are not closed yet */
	int references; /* one of the handles', one of JavaScript's */
	bool armed, closing;
	int fd;
	/* of a wait: until when (uv_now), how often it looks, milliseconds; and how many bytes end it */
	uint64_t until, step;
	uint32_t enough;
} poller;

static void poller_ready(uv_poll_t *handle, int status, int events);

static void poller_arm(poller *p) {
	uv_poll_start(&p->handle, UV_READABLE, poller_ready);
	p->armed = true;
}

static void poller_call(poller *p) {
	napi_handle_scope scope;
	napi_value callback, receiver, result;
	napi_open_handle_scope(p->env, &scope);
	napi_get_reference_value(p->env, p->callback, &callback);
	napi_get_global(p->env, &receiver);
	if (napi_make_callback(p->env, p->context, receiver, callback, 0, NULL, &result) == napi_pending_exception) {
		napi_value error;
		napi_get_and_clear_last_exception(p->env, &error);
		napi_fatal_exception(p->env, error);
	}
	napi_close_handle_scope(p->env, scope);
}

static void poller_ready(uv_poll_t *handle, int status, int events) {
	poller *p = handle->data;
	(void)events;
	poller_call(p);
	/*
	 * A netlink overrun sets the socket's error, epoll reports EPOLLERR, and libuv then stops the handle by
	 * itself (uv__poll_io, UV_EBADF). The callback has read the error away by now: listen on.
	 */
	if (status < 0 && p->armed && !p->closing)
		poller_arm(p);
}

/* Bytes of receive buffer that are in use; all of them where the kernel does not say. */
static uint32_t bytes_waiting(int fd) {
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t length = sizeof info;
	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &length) < 0 || length < sizeof info[0])
		return UINT32_MAX;
	return info[SK_MEMINFO_RMEM_ALLOC];
}

static void poller_look(uv_timer_t *timer);

static void poller_sleep(poller *p) {
	uint64_t now = uv_now(p->handle.loop);
	uint64_t left = p->until > now ? p->until - now : 0;
	uv_timer_start(&p->timer, poller_look, left < p->step ? left : p->step, 0);
}

/* A look costs a few microseconds; a turn of JavaScript whose code is in no cache any more fifty and more. */
static void poller_look(uv_timer_t *timer) {
	poller *p = timer->data;
	if (uv_now(p->handle.loop) < p->until && bytes_waiting(p->fd) < p->enough)
		poller_sleep(p);
	else
		poller_call(p);
}

static void poller_release(poller *p) {
	if (--p->references == 0)
		free(p);
}

/* JavaScript has dropped its reference: until then a closed poller must still be known as one. */
static void poller_finalize(napi_env env, void *data, void *hint) {
	(void)env;
	(void)hint;
	poller_release(data);
}

static void poller_closed(uv_handle_t *handle) {
	poller *p = handle->data;
	if (--p->open > 0)
		return;
	napi_remove_async_cleanup_hook(p->cleanup);
	poller_release(p);
}

static void poller_close(poller *p) {
	if (p->closing)
		return;
	p->closing = true;
	napi_delete_reference(p->env, p->callback);
	napi_async_destroy(p->env, p->context);
	uv_close((uv_handle_t *)&p->handle, poller_closed);
	uv_close((uv_handle_t *)&p->timer, poller_closed);
}

static void poller_cleanup(napi_async_cleanup_hook_handle hook, void *data) {
	(void)hook;
	poller_close(data);
}

/* poll(fd, callback) -> poller, armed: callback() runs whenever fd is readable or has an error. */
static napi_value poll_open(napi_env env, napi_callback_info info) {
	int32_t fd;
	napi_valuetype type;
	uv_loop_t *loop;
	napi_value name, result;
	ARGS(2);
	if (!get_int(env, argv[0], &fd) || napi_typeof(env, argv[1], &type) != napi_ok || type != napi_function)
		return bad_argument(env);
	poller *p = calloc(1, sizeof *p);
	if (!p)
		return system_error(env, "calloc", ENOMEM);
	p->env = env;
	napi_get_uv_event_loop(env, &loop);
	int status = uv_poll_init(loop, &p->handle, fd);
	if (status < 0) {
		free(p);
		return system_error(env, "uv_poll_init", -status);
	}
	uv_timer_init(loop, &p->timer);
	p->handle.data = p->timer.data = p;
	p->open = 2;
	p->fd = fd;
	napi_create_reference(env, argv[1], 1, &p->callback);
	napi_create_string_utf8(env, "ctsync:poll", NAPI_AUTO_LENGTH, &name);
	napi_async_init(env, NULL, name, &p->context);
	napi_add_async_cleanup_hook(env, poller_cleanup, p, &p->cleanup);
	poller_arm(p);
	p->references = 2;
	napi_create_external(env, p, poller_finalize, NULL, &result);
	return result;
}

static poller *get_poller(napi_env env, napi_value value) {
	void *p;
	return napi_get_value_external(env, value, &p) == napi_ok ? p : NULL;
}

static void poller_pause(poller *p) {
	if (p->armed)
		uv_poll_stop(&p->handle);
	p->armed = false;
	uv_timer_stop(&p->timer);
}

/* pollPause(poller), pollResume(poller): stop and start calling back */
static napi_value poll_pause(napi_env env, napi_callback_info info) {
	ARGS(1);
	poller *p = get_poller(env, argv[0]);
	if (!p || p->closing)
		return bad_argument(env);
	poller_pause(p);
	return NULL;
}

/*
 * pollAfter(poller, milliseconds, step, enough): pauses it and calls back once, when the time is over, or when at a look,
 * of which there is one every `step` milliseconds, `enough` bytes of the socket's receive buffer are in use.
 */
static napi_value poll_after(napi_env env, napi_callback_info info) {
	int32_t milliseconds, step, enough;
	ARGS(4);
	poller *p = get_poller(env, argv[0]);
	if (!p || p->closing || !get_int(env, argv[1], &milliseconds) || !get_int(env, argv[2], &step) ||
	    !get_int(env, argv[3], &enough) || milliseconds < 1 || step < 1 || enough < 0)
		return bad_argument(env);
	poller_pause(p);
	/* the loop's time is that of the turn's beginning, and reading a storm takes longer than the wait: it counts from now */
	uv_update_time(p->handle.loop);
	p->until = uv_now(p->handle.loop) + milliseconds;
	p->step = step;
	p->enough = enough;
	poller_sleep(p);
	return NULL;
}

static napi_value poll_resume(napi_env env, napi_callback_info info) {
	ARGS(1);
	poller *p = get_poller(env, argv[0]);
	if (!p || p->closing)
		return bad_argument(env);
	uv_timer_stop(&p->timer);
	poller_arm(p);
	return NULL;
}

/* pollClose(poller): the last call on it; close the descriptor afterwards */
static napi_value poll_close(napi_env env, napi_callback_info info) {
	ARGS(1);
	poller *p = get_poller(env, argv[0]);
	if (!p || p->closing)
		return bad_argument(env);
	poller_close(p);
	return NULL;
}

/*
 * returnMemory(threshold): blocks of this many bytes are mapped each by itself, and what is freed goes back to the system
 * once so much of it lies at the end of a heap. glibc raises both by itself whenever a larger block is freed, up to 32 and
 * 64 MiB, and sets them for the whole process. Where malloc has no such setting, nothing is done.
 */
static napi_value return_memory(napi_env env, napi_callback_info info) {
	ARGS(1);
	int threshold;
	if (!get_int(env, argv[0], &threshold))
		return bad_argument(env);
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, threshold);
	mallopt(M_TRIM_THRESHOLD, threshold);
	malloc_trim(0);
#endif
	return NULL;
}

NAPI_MODULE_INIT() {
	static const struct {
		const char *name;
		napi_callback call;
	} table[] = {
		{"openSocket", open_socket},   {"bindSocket", bind_socket},	  {"netlinkPort", netlink_port},
		{"setOption", set_option},     {"getOption", get_option},	  {"attachFilter", attach_filter},
		{"joinGroup", join_group},     {"interfaceInfo", interface_info}, {"lock", lock},
		{"closeSocket", close_socket}, {"receive", receive},		  {"send", send_bytes},
		{"sendMany", send_many},       {"poll", poll_open},		  {"pollPause", poll_pause},
		{"pollResume", poll_resume},   {"pollClose", poll_close},	  {"unshareNetwork", unshare_network},
		{"pollAfter", poll_after},
		{"receiveLater", receive_later}, {"sendLater", send_later},
		{"setScheduler", set_scheduler},
		{"returnMemory", return_memory},
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		napi_value function;
		napi_create_function(env, table[i].name, NAPI_AUTO_LENGTH, table[i].call, NULL, &function);
		napi_set_named_property(env, exports, table[i].name, function);
	}
	aead_exports(env, exports);
	return exports;
}
