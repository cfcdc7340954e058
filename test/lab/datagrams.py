"""Questions and answers without connections: one flow each of UDP and ICMP through the firewalls.

usage: datagrams.py serve PORT
       datagrams.py udp HOST PORT STOPFILE    a numbered question every 20 ms from one port, each answered
       datagrams.py ping HOST STOPFILE        echo requests with one identifier every 20 ms

It prints
  ready asked=N                              the first answer has come, to question N
  progress answered=N                        four times a second
  end asked=N answered=N silence_ms=N        STOPFILE exists; the longest time without an answer since the first one"""
import os
import select
import socket
import struct
import sys
import time

PACE = 0.02                 # seconds between two questions


def say(*words):
    print(*words, flush=True)


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def serve(port):
    sockets = []
    for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((anywhere, port))
        sockets.append(sock)
    say("listening %d" % port)
    while True:
        for sock in select.select(sockets, [], [])[0]:
            data, sender = sock.recvfrom(2048)
            sock.sendto(data, sender)


class Udp:
    def __init__(self, host, port):
        self.sock = socket.socket(family_of(host), socket.SOCK_DGRAM)
        self.sock.connect((host, port))

    def ask(self, number):
        self.sock.send(struct.pack("!I", number))

    def answer(self):
        return struct.unpack("!I", self.sock.recv(2048))[0]


class Ping:
    """A raw socket (RFC 792, RFC 4443): the kernel's own would choose the identifier."""

    def __init__(self, host):
        self.is_v6 = family_of(host) == socket.AF_INET6
        protocol = socket.IPPROTO_ICMPV6 if self.is_v6 else socket.IPPROTO_ICMP
        self.sock = socket.socket(family_of(host), socket.SOCK_RAW, protocol)
        self.sock.connect((host, 0))
        self.id = os.getpid() & 0xffff

    def ask(self, number):
        # of ICMPv6 the kernel computes the checksum
        header = struct.pack("!BBHHH", 128 if self.is_v6 else 8, 0, 0, self.id, number & 0xffff)
        if not self.is_v6:
            header = header[:2] + struct.pack("!H", checksum(header)) + header[4:]
        self.sock.send(header)

    def answer(self):
        packet = self.sock.recv(2048)
        message = packet if self.is_v6 else packet[(packet[0] & 15) * 4:]
        kind, _, _, identifier, number = struct.unpack("!BBHHH", message[:8])
        return number if kind in (0, 129) and identifier == self.id else None


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    return ~(total + (total >> 16)) & 0xffff


def converse(asker, stop):
    asked = answered = 0
    silence = 0.0
    last = told = None
    due = time.monotonic()
    while not os.path.exists(stop):
        now = time.monotonic()
        if now >= due:
            due = max(due + PACE, now)
            asked += 1
            try:
                asker.ask(asked)
            except OSError:         # nobody answers the gateway's address at the moment
                pass
        if not select.select([asker.sock], [], [], max(0, due - now))[0]:
            continue
        try:
            number = asker.answer()
        except OSError:             # an ICMP error has come
            continue
        if number is None:
            continue
        now = time.monotonic()
        answered += 1
        if last is None:
            say("ready asked=%d" % number)
            told = now
        else:
            silence = max(silence, now - last)
        last = now
        if now - told >= 0.25:
            say("progress answered=%d" % answered)
            told = now
    say("end asked=%d answered=%d silence_ms=%d" % (asked, answered, silence * 1000))


def main(command, *args):
    if command == "serve":
        serve(int(args[0]))
    elif command == "udp":
        converse(Udp(args[0], int(args[1])), args[2])
    elif command == "ping":
        converse(Ping(args[0]), args[1])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
