"""A TCP connection that is quiet most of the time: an echo request each time that a file appears.

usage: rare.py serve PORT                   echoes whatever comes
       rare.py HOST PORT FILE [BYTES]       prints "ready", then "ok N" or "failed N REASON"

BYTES (default 8) are sent at once, and every one of them has to come back within half a minute."""
import os
import socket
import sys
import threading
import time

from pattern import Checker, WORD, words


def say(line):
    print(line, flush=True)


def request(conn, number, size):
    """Sends and receives at the same time: what comes back would fill the buffers."""
    left, checker, end = memoryview(words(number, size // WORD)), Checker(number), time.monotonic() + 30
    while checker.checked < size:
        if time.monotonic() > end:
            raise OSError("%d of %d bytes came back" % (checker.checked, size))
        try:
            left = left[conn.send(left[:65536]):] if left else left
        except BlockingIOError:
            pass
        try:
            data = conn.recv(65536)
        except BlockingIOError:
            time.sleep(0.005)
            continue
        if not data:
            raise OSError("closed by the server")
        checker.feed(data)


def main(host, port, path, size=WORD):
    conn = socket.create_connection((host, port), timeout=10)
    conn.setblocking(False)
    request(conn, 0, WORD)
    say("ready")
    number = 1
    while True:
        while not os.path.exists(path):
            time.sleep(0.02)
        try:
            request(conn, number, size)
            say("ok %d" % number)
        except (OSError, ValueError) as error:
            say("failed %d %s" % (number, error))
            return 1
        number += size // WORD
        while os.path.exists(path):
            time.sleep(0.02)


def echo(conn):
    try:
        while True:
            data = conn.recv(65536)
            if not data:
                return
            conn.sendall(data)
    except OSError:
        pass
    finally:
        conn.close()


def serve(port):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    say("listening")
    while True:
        threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "serve":
        sys.exit(serve(int(sys.argv[2])))
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:4], *map(int, sys.argv[4:])))
