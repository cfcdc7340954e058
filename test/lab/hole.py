"""Expectations of FTP masters, written into the kernel's table over ctnetlink, with the time that a test wants them to have.

usage: hole.py master ZONE PORT              a control connection from this client port, translated by nobody
       hole.py make ZONE PORT CHANNEL        its expectation for this port, with the helper's full time
       hole.py time ZONE PORT CHANNEL LEFT   sets how many seconds are left of it; the kernel tells nobody
       hole.py end ZONE PORT CHANNEL         deletes it
       hole.py left CHANNEL                  prints the seconds that are left of it, or "none"

Prints "ok" or the name of an errno, with exit status 1. Works in the network namespace that it runs in."""
import errno
import socket
import struct
import sys

from inject import attribute, half, nest, NETLINK_NETFILTER, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, TCP

CT_NEW, EXP_NEW, EXP_GET, EXP_DELETE = 0x100, 0x200, 0x201, 0x202
NLM_F_DUMP, NLMSG_ERROR, NLMSG_DONE = 0x300, 2, 3
CTA_STATUS, CTA_PROTOINFO, CTA_HELP, CTA_TIMEOUT, CTA_ZONE = 3, 4, 5, 7, 18
MASTER, TUPLE, MASK, TIMEOUT, NAME, ZONE = 1, 2, 3, 4, 6, 7
CLIENT, SERVER = "10.98.7.1", "10.99.0.1"


def word(kind, value):
    return attribute(kind, struct.pack("!I", value))


def ask(kind, flags, payload):
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    sock.bind((0, 0))
    size = 20 + len(payload)
    sock.send(struct.pack("=IHHIIBBH", size, kind, NLM_F_REQUEST | flags, 1, 0, socket.AF_INET, 0, 0) + payload)
    while True:
        data = sock.recv(65536)
        while data:
            length, got = struct.unpack_from("=IH", data)
            if got in (NLMSG_ERROR, NLMSG_DONE):
                yield got, data[16:length]
                return
            yield got, data[20:length]
            data = data[(length + 3) & ~3:]


def act(kind, flags, payload):
    *_, (_, answer) = ask(kind, flags | NLM_F_ACK, payload)
    code = -struct.unpack_from("=i", answer)[0]
    print("ok" if code == 0 else errno.errorcode.get(code, code))
    return 1 if code else 0


def master(zone, port):
    return act(CT_NEW, NLM_F_CREATE | NLM_F_EXCL, b"".join((
        half(1, TCP, CLIENT, port, SERVER, 21), half(2, TCP, SERVER, 21, CLIENT, port),
        word(CTA_STATUS, 0xe), word(CTA_TIMEOUT, 3600), attribute(CTA_ZONE, struct.pack("!H", zone)),
        nest(CTA_PROTOINFO, nest(1, attribute(1, b"\x03"), attribute(4, b"\x08\x08"), attribute(5, b"\x08\x08"))),
        nest(CTA_HELP, attribute(1, b"ftp\0")))))


def expected(channel):
    return half(TUPLE, TCP, SERVER, 0, CLIENT, channel)


def change(flags, zone, port, channel, left):
    return act(EXP_NEW, flags, b"".join((
        expected(channel), half(MASK, TCP, "255.255.255.255", 0, "255.255.255.255", 65535),
        half(MASTER, TCP, CLIENT, port, SERVER, 21), word(TIMEOUT, left), attribute(NAME, b"ftp\0"),
        attribute(ZONE, struct.pack("!H", zone)))))


def attributes(data):
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found[kind & 0x3fff] = data[4:length]
        data = data[(length + 3) & ~3:]
    return found


def left(channel):
    for kind, payload in ask(EXP_GET, NLM_F_DUMP, b""):
        if kind != EXP_NEW:
            continue
        parts = attributes(payload)
        port = attributes(attributes(parts[TUPLE])[2])[3]
        if struct.unpack("!H", port)[0] == channel:
            print(struct.unpack("!I", parts[TIMEOUT])[0])
            return 0
    print("none")
    return 0


def main(action, *numbers):
    if action == "master":
        return master(*numbers)
    if action == "make":
        return change(NLM_F_CREATE | NLM_F_EXCL, *numbers, 300)
    if action == "time":
        return change(0, *numbers)
    if action == "end":
        zone, _, channel = numbers
        return act(EXP_DELETE, 0, expected(channel) + attribute(ZONE, struct.pack("!H", zone)))
    return left(*numbers)


if __name__ == "__main__":
    needed = {"master": 2, "make": 3, "time": 4, "end": 3, "left": 1}
    if len(sys.argv) < 2 or needed.get(sys.argv[1]) != len(sys.argv) - 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
