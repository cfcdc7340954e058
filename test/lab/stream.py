"""One long TCP connection through the firewalls, and how long it falls silent.

usage: stream.py serve PORT
       stream.py echo HOST PORT STOPFILE [PATIENCE]    a small request every 5 ms, each answered
       stream.py down HOST PORT STOPFILE [PATIENCE]    a download of about 4 MB/s

The client goes on until STOPFILE exists, or until nothing has come for PATIENCE (6) seconds. It prints
  ready                                     data flows
  progress bytes=N stall_ms=N               four times a second
  survived bytes=N stall_ms=N at_ms=N       the end: bytes checked, longest silence, when that began
  broken bytes=N reason=...                 or this one"""
import os
import socket
import sys
import threading
import time

from pattern import Checker, WORD, words

BLOCK = 2560                # words in one block of the download: 20480 bytes
TICK = 0.005                # seconds between two blocks and between two echo requests


class Meter:
    """Counts what arrived and finds the longest time in which nothing did."""

    def __init__(self):
        self.start = self.last = self.told = 0.0
        self.bytes, self.stall, self.at = 0, 0.0, 0.0

    def mark(self, count):
        now = time.monotonic()
        if self.bytes == 0:
            self.start = self.told = now
            say("ready")
        elif now - self.last > self.stall:
            self.stall, self.at = now - self.last, self.last - self.start
        self.last = now
        self.bytes += count
        if now - self.told >= 0.25:
            self.told = now
            say("progress bytes=%d stall_ms=%d" % (self.bytes, self.stall * 1000))


def say(line):
    print(line, flush=True)


def receive(conn, count):
    data = b""
    while len(data) < count:
        piece = conn.recv(count - len(data))
        if not piece:
            raise OSError("closed by the peer")
        data += piece
    return data


def serve(port):
    for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((anywhere, port))
        listener.listen(64)
        threading.Thread(target=accept_loop, args=(listener,)).start()
    say("listening %d" % port)


def accept_loop(listener):
    while True:
        conn = listener.accept()[0]
        threading.Thread(target=serve_one, args=(conn,), daemon=True).start()


def serve_one(conn):
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    conn.settimeout(60)
    try:
        request = receive(conn, WORD)
        if request == b"download":
            serve_download(conn)
        while request != b"download":
            conn.sendall(request)
            request = receive(conn, WORD)
    except OSError as error:
        say("connection ended: %s" % error)
    finally:
        conn.close()


def serve_download(conn):
    wanted = threading.Event()      # set once the client has said that it has enough
    threading.Thread(target=lambda: (conn.recv(1), wanted.set()), daemon=True).start()
    start, block = time.monotonic(), 0
    while not wanted.is_set():
        conn.sendall(words(block * BLOCK, BLOCK))
        block += 1
        ahead = start + block * TICK - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        elif ahead < -0.1:          # after a stall go on at the usual rate instead of making up for it
            start -= ahead


def echo(conn, stop, meter):
    number = 0
    while not os.path.exists(stop):
        conn.sendall(words(number, 1))
        if receive(conn, WORD) != words(number, 1):
            raise ValueError("wrong answer to request %d" % number)
        number += 1
        meter.mark(WORD)
        time.sleep(TICK)


def download(conn, stop, meter):
    conn.sendall(b"download")
    checker, asked = Checker(), False
    while True:
        if not asked and os.path.exists(stop):
            conn.shutdown(socket.SHUT_WR)
            asked = True
        data = conn.recv(65536)
        if not data:
            break
        checker.feed(data)
        meter.mark(len(data))
    if not asked:
        raise OSError("closed by the peer")


def client(mode, host, port, stop, patience):
    meter = Meter()
    try:
        conn = socket.create_connection((host, port), timeout=patience)
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        {"echo": echo, "down": download}[mode](conn, stop, meter)
    except (OSError, ValueError) as error:
        say("broken bytes=%d reason=%s" % (meter.bytes, error))
        return 1
    say("survived bytes=%d stall_ms=%d at_ms=%d" % (meter.bytes, meter.stall * 1000, meter.at * 1000))
    return 0


def main(args):
    if len(args) == 2 and args[0] == "serve":
        return serve(int(args[1]))
    if len(args) in (4, 5) and args[0] in ("echo", "down"):
        return client(args[0], args[1], int(args[2]), args[3], float(args[4]) if len(args) == 5 else 6.0)
    print(__doc__, file=sys.stderr)
    return 2


sys.exit(main(sys.argv[1:]))
