"""Packets without an end, in one direction or both, that no handshake belongs to.

usage: lasting.py sink udp|gre PORT              counts what comes; prints "got N" with every tenth packet
       lasting.py echo udp|gre PORT              the same, and sends each one back
       lasting.py tap udp PORT                   sends packets to whoever has sent one, without an end
       lasting.py push udp|gre HOST PORT         sends, and does not wait for anything
       lasting.py ask udp|gre HOST PORT          sends, and counts what comes back
       lasting.py pull udp HOST PORT             sends one packet, and counts what comes back

GRE is that of RFC 2784, whose header has no key; PORT is not used then. Fifty packets a second."""
import select
import socket
import sys
import time

TICK = 0.02
GRE = 47
GRE_HEADER = b"\x00\x00\x08\x00"            # no options, version 0, carries IPv4
IPV4_HEADER = 20


def say(line):
    print(line, flush=True)


def open_socket(kind):
    if kind == "gre":
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, GRE)
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


class Counter:
    def __init__(self):
        self.count = 0

    def one(self):
        self.count += 1
        if self.count % 10 == 0:
            say("got %d" % self.count)


def receive(sock, kind):
    """Payload and sender; a raw socket shows the IPv4 header, too."""
    data, sender = sock.recvfrom(2048)
    return (data[IPV4_HEADER + len(GRE_HEADER):], sender) if kind == "gre" else (data, sender)


def send(sock, kind, data, target):
    try:
        sock.sendto((GRE_HEADER if kind == "gre" else b"") + data, target)
    except OSError:                         # no route or neighbour for the moment
        pass


def serve(mode, kind, port):
    sock, counter = open_socket(kind), Counter()
    sock.bind(("0.0.0.0", 0 if kind == "gre" else port))
    say("listening")
    while True:
        data, sender = receive(sock, kind)
        counter.one()
        if mode == "echo":
            send(sock, kind, data, sender)
        while mode == "tap":
            send(sock, kind, data, sender)
            time.sleep(TICK)


def client(mode, kind, host, port):
    sock, counter, number = open_socket(kind), Counter(), 0
    target = (host, 0 if kind == "gre" else port)
    if kind == "gre":
        sock.bind(("0.0.0.0", 0))
    sock.setblocking(False)
    say("ready")
    due = time.monotonic()
    while True:
        if time.monotonic() >= due:
            due = time.monotonic() + TICK
            if mode != "pull" or counter.count == 0:
                send(sock, kind, b"packet %d" % number, target)
                number += 1
        while select.select([sock], [], [], max(0.0, due - time.monotonic()))[0]:
            try:
                receive(sock, kind)
            except OSError:
                break
            counter.one()


def main(args):
    if len(args) == 3 and args[0] in ("sink", "echo", "tap"):
        return serve(args[0], args[1], int(args[2]))
    if len(args) == 4 and args[0] in ("push", "ask", "pull"):
        return client(args[0], args[1], args[2], int(args[3]))
    print(__doc__, file=sys.stderr)
    return 2


sys.exit(main(sys.argv[1:]))
