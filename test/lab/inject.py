"""Writes many connections into the kernel's table at once, over ctnetlink (linux/netfilter/nfnetlink_conntrack.h).

usage: inject.py create FIRST COUNT [STEP]    COUNT connections: number FIRST, FIRST+STEP and so on (STEP is 1)
       inject.py finish FIRST COUNT [STEP]    TCP ones go from ESTABLISHED to CLOSE_WAIT, UDP ones see their reply
       inject.py delete FIRST COUNT [STEP]

The number alone decides what a connection looks like, so that a later call can find it again. They come in turns as
TCP, TCP with SNAT, UDP without a reply, and TCP over IPv6. Prints "create 2000 refused 0"; the exit status is 1 if
the kernel refused any. It writes into the table of the network namespace that it runs in."""
import errno
import socket
import struct
import sys

NETLINK_NETFILTER = 12
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE = 0x1, 0x4, 0x200, 0x400
NLMSG_ERROR = 2
CT_NEW, CT_DELETE = 0x100, 0x102
SOL_NETLINK, NETLINK_CAP_ACK = 270, 10
SO_SNDBUFFORCE = 32
CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_STATUS, CTA_PROTOINFO, CTA_NAT_SRC, CTA_TIMEOUT, CTA_MARK = 1, 2, 3, 4, 6, 7, 8
SEEN_REPLY, ASSURED, CONFIRMED = 0x2, 0x4, 0x8
ESTABLISHED, CLOSE_WAIT = 3, 5
TCP, UDP = 6, 17
SNAT_ADDRESS = "10.99.0.254"
BATCH = 1000                        # messages in one send


def attribute(number, payload, nested=False):
    header = struct.pack("=HH", 4 + len(payload), number | (0x8000 if nested else 0))
    return header + payload + bytes(-len(payload) % 4)


def nest(number, *parts):
    return attribute(number, b"".join(parts), nested=True)


def half(kind, protocol, source, source_port, target, target_port):
    """A CTA_TUPLE_*: addresses and ports of one direction."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    shift = 2 if family == socket.AF_INET6 else 0
    return nest(
        kind,
        nest(1, attribute(1 + shift, socket.inet_pton(family, source)), attribute(2 + shift, socket.inet_pton(family, target))),
        nest(2, attribute(1, struct.pack("!B", protocol)), attribute(2, struct.pack("!H", source_port)),
             attribute(3, struct.pack("!H", target_port))))


def describe(number):
    """What connection number N is: protocol, both ends, translated or not."""
    kind, host = number % 4, "%x:%x" if number % 4 == 3 else "%d.%d"
    host %= (number >> 8 & 255, number & 255)
    port = 1024 + number * 7 % 60000
    if kind == 3:
        return TCP, "fd99::1:%s" % host, port, "fd99::2:1", 443, False
    return (UDP if kind == 2 else TCP), "10.98.%s" % host, port, "10.99.0.1", (53 if kind == 2 else 443), kind == 1


def body(action, number):
    protocol, source, source_port, target, target_port, snat = describe(number)
    parts = [half(CTA_TUPLE_ORIG, protocol, source, source_port, target, target_port)]
    if action == "delete":
        return parts
    if action == "create":
        # With NAT the kernel wants the reply as if there were none and computes the translated one from CTA_NAT_SRC.
        parts.append(half(CTA_TUPLE_REPLY, protocol, target, target_port, source, source_port))
        if snat:
            parts.append(nest(CTA_NAT_SRC, attribute(1, socket.inet_aton(SNAT_ADDRESS))))
        if number % 3 == 0:
            parts.append(attribute(CTA_MARK, struct.pack("!I", number)))
    replied = protocol == TCP or action == "finish"
    status = CONFIRMED | (SEEN_REPLY if replied else 0) | (ASSURED if protocol == TCP else 0)
    parts.append(attribute(CTA_STATUS, struct.pack("!I", status)))
    parts.append(attribute(CTA_TIMEOUT, struct.pack("!I", 3600)))
    if protocol == TCP:
        state = ESTABLISHED if action == "create" else CLOSE_WAIT
        flags = struct.pack("!BB", 8, 8)        # be liberal about windows: none were seen
        parts.append(nest(CTA_PROTOINFO, nest(1, attribute(1, struct.pack("!B", state)), attribute(4, flags), attribute(5, flags))))
    return parts


def message(action, number, last):
    payload = b"".join(body(action, number))
    family = socket.AF_INET6 if ":" in describe(number)[1] else socket.AF_INET
    kind = CT_DELETE if action == "delete" else CT_NEW
    flags = NLM_F_REQUEST | (NLM_F_CREATE | NLM_F_EXCL if action == "create" else 0) | (NLM_F_ACK if last else 0)
    return struct.pack("=IHHIIBBH", 20 + len(payload), kind, flags, number, 0, family, 0, 0) + payload


def answers(sock, last):
    """Errors up to the acknowledgement of the last message; without NLM_F_ACK only refusals are answered."""
    while True:
        data = sock.recv(65536)
        _, kind, _, number, _, code = struct.unpack_from("=IHHIIi", data)
        if kind == NLMSG_ERROR:
            if code:
                yield number, errno.errorcode.get(-code, str(-code))
            if number == last:
                return


def run(action, first, count, step=1):
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 22)
    sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
    sock.bind((0, 0))
    refused = []
    wanted = range(first, first + count * step, step)
    for start in range(0, count, BATCH):
        numbers = wanted[start:start + BATCH]
        sock.send(b"".join(message(action, n, n == numbers[-1]) for n in numbers))
        refused += answers(sock, numbers[-1])
    print("%s %d refused %d" % (action, count - len(refused), len(refused)))
    for number, reason in refused[:5]:
        print("  %d: %s" % (number, reason), file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5) or sys.argv[1] not in ("create", "finish", "delete"):
        sys.exit(__doc__)
    sys.exit(run(sys.argv[1], *map(int, sys.argv[2:])))
