"""A question by broadcast that a firewall itself asks on its network, and the answers, as of NetBIOS names or SNMP agents.

usage: broadcast.py ask ADDRESS BROADCAST PORT     asks several times a second from this address, until it is killed
       broadcast.py answer PORT HOLDFILE           once HOLDFILE exists, answers whoever asked last, again and again
       broadcast.py hear ADDRESS PORT              prints "answer from ADDRESS" for each: what the same service does on the
                                                   other firewall, which need not have the address yet

Both ends use the same port, as name services do. The answers come from another address than the one that was asked."""
import os
import socket
import sys
import time

from steps import say

IP_FREEBIND = 15
AGAIN = 0.2


def bound(address, port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    sock.bind((address, int(port)))
    return sock


def ask(address, broadcast, port):
    sock = bound(address, port)
    say("asking")
    while True:
        sock.sendto(b"who is there?", (broadcast, int(port)))
        time.sleep(AGAIN)


def answer(port, hold):
    sock, asker = bound("0.0.0.0", port), None
    sock.settimeout(AGAIN)
    while True:
        try:
            asker = sock.recvfrom(2048)[1]
            say("asked by", *asker)
        except socket.timeout:
            pass
        if asker and os.path.exists(hold):
            sock.sendto(b"me", asker)
            time.sleep(AGAIN)


def hear(address, port):
    sock = bound(address, port)
    say("hearing")
    while True:
        say("answer from", sock.recvfrom(2048)[1][0])


COMMANDS = {"ask": (ask, 3), "answer": (answer, 2), "hear": (hear, 2)}

if __name__ == "__main__":
    function, count = COMMANDS.get(sys.argv[1] if len(sys.argv) > 1 else "", (None, 0))
    if function is None or len(sys.argv) != count + 2:
        sys.exit(__doc__)
    function(*sys.argv[2:])
