"""Asks a daemon on its control socket, as its client does, but with less effort.

usage: ask.py CONTROL-SOCKET -e | -i | -s [network | cache]"""
import socket
import struct
import sys

REQUESTS = {"-i": 16, "-e": 17, "-s": 21, "-s network": 28, "-s cache": 29}


def ask(path, words):
    """The answer to a request in conntrackd's form: its number in the machine's byte order, then text to the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(20)
        sock.connect(path)
        sock.send(struct.pack("=i", REQUESTS[words]))
        parts = []
        while part := sock.recv(1 << 16):
            parts.append(part)
    return b"".join(parts).decode()


if __name__ == "__main__":
    if len(sys.argv) < 3 or " ".join(sys.argv[2:]) not in REQUESTS:
        sys.exit(__doc__)
    sys.stdout.write(ask(sys.argv[1], " ".join(sys.argv[2:])))
