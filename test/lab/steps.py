"""Steps: what the talking ends of the lab have in common. Nothing to be started by itself.

usage of each of them: NAME.py serve [ARGUMENT]...
                       NAME.py client HOST STEP...

A step is the method step_NAME of the client, with what stands behind a colon as its argument. Each prints one line,
"NAME ok DETAIL" or "NAME failed REASON". A failed step does not end the session, unless the control connection itself is
lost. The last line is "end". The exit status tells whether every step was ok."""
import os
import socket
import sys
import threading
import time

PATIENCE = 6            # seconds a client waits for anything


def say(*words):
    print(*words, flush=True)


def listen(family, address, port=0):
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address, port))
    sock.listen(16)
    return sock


def datagrams(family, address="", port=0):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address, port))
    return sock


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.02)


def read_exactly(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise ConnectionError("closed after %d of %d bytes" % (len(data), count))
        data += piece
    return data


def in_background(function, *args):
    threading.Thread(target=function, args=args, daemon=True).start()


def accept_loop(listener, session):
    while True:
        in_background(session, listener.accept()[0])


def serve_streams(port, session):
    """Both families; every connection is given to a thread of its own. Does not return."""
    for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        in_background(accept_loop, listen(family, anywhere, port), session)
    say("listening", port)
    threading.Event().wait()


def datagram_loop(sock, answer):
    while True:
        data, peer = sock.recvfrom(65536)
        in_background(answer, sock, data, peer)


def serve_datagrams(port, answer):
    """Both families; every datagram is given to a thread of its own. Does not return."""
    for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        in_background(datagram_loop, datagrams(family, anywhere, port), answer)
    say("listening", port)
    threading.Event().wait()


class Client:
    """What every client can do."""

    def step_hold(self, path):
        wait_for(path)


def run(client, steps):
    failed = 0
    for step in steps:
        name, _, argument = step.partition(":")
        try:
            detail = getattr(client, "step_" + name)(*([argument] if argument else []))
            say(name, "ok", detail or "")
        except (OSError, ValueError) as error:
            failed += 1
            say(name, "failed", error)
            if isinstance(error, ConnectionError) and "refused" not in str(error):
                break
    say("end")
    return 1 if failed else 0


def main(doc, serve, client):
    args = sys.argv[1:]
    if args[:1] == ["serve"]:
        return serve(*args[1:])
    if args[:1] == ["client"] and len(args) >= 3:
        return run(client(args[1]), args[2:])
    print(doc, file=sys.stderr)
    return 2
