"""TFTP (RFC 1350) for the lab.

usage: tftp.py serve HOLDFILE
       tftp.py client HOST STEP...

  read:NAME write:NAME  sends the request; the server answers from a port of its own, for names that begin with "held"
                        not before HOLDFILE exists
  transfer              the rest of it: every byte is checked by whoever receives
  hold:FILE             wait until FILE exists

steps.py tells what is printed."""
import socket
import struct
import sys
import time

import steps
from pattern import Checker, WORD, words
from steps import PATIENCE, datagrams, family_of, say

RRQ, WRQ, DATA, ACK, ERROR = 1, 2, 3, 4, 5
BLOCK = 512
FILE = words(0, 5 * BLOCK // WORD + 8)      # six blocks, the last of them short
AGAIN = 0.5                                 # seconds until a datagram is sent again


class Transfer:
    """One file by one UDP port, after the request. Whoever sends, sends again."""

    def __init__(self, sock, peer, patience=PATIENCE):
        self.sock, self.peer, self.end = sock, peer, time.monotonic() + patience
        self.sock.settimeout(AGAIN)

    def await_packet(self, operation, block):
        """The packet with this number; None if nothing of the kind came for a moment."""
        try:
            data, peer = self.sock.recvfrom(65536)
        except socket.timeout:
            if time.monotonic() > self.end:
                raise
            return None
        if self.peer is None or self.peer[1] == 69:
            self.peer = peer        # the server's port is not the one that was asked
        if peer[:2] != self.peer[:2]:
            raise ValueError("a packet from %s:%d" % peer[:2])
        kind, number = struct.unpack("!HH", data[:4])
        if kind == ERROR:
            raise ValueError(data[4:-1].decode())
        return data[4:] if (kind, number) == (operation, block) else None

    def send_file(self, first_block_asked):
        """RFC 1350: whoever writes waits for the acknowledgement of block 0 first."""
        if first_block_asked:
            while self.await_packet(ACK, 0) is None:
                pass
        for block in range(1, len(FILE) // BLOCK + 2):
            piece = FILE[(block - 1) * BLOCK:block * BLOCK]
            answer = None
            while answer is None:
                self.sock.sendto(struct.pack("!HH", DATA, block) + piece, self.peer)
                answer = self.await_packet(ACK, block)

    def receive_file(self, acknowledge_request):
        """Acknowledges each block; block 0 stands for the request to write. Tells its last word again in silence."""
        checker, block, piece = Checker(), 1, None
        while piece is None or len(piece) == BLOCK:
            if acknowledge_request or block > 1:
                self.sock.sendto(struct.pack("!HH", ACK, block - 1), self.peer)
            piece = self.await_packet(DATA, block)
            if piece is not None:
                checker.feed(piece)
                block += 1
        self.sock.sendto(struct.pack("!HH", ACK, block - 1), self.peer)
        if checker.checked != len(FILE):
            raise ValueError("%d of %d bytes" % (checker.checked, len(FILE)))


def serve(hold):
    def answer(sock, data, peer):
        kind, name = struct.unpack("!H", data[:2])[0], data[2:].split(b"\0")[0]
        if name.startswith(b"held"):
            steps.wait_for(hold)
        transfer = Transfer(datagrams(sock.family), peer)
        try:
            if kind == RRQ:
                transfer.send_file(False)
            else:
                transfer.receive_file(True)
        except (OSError, ValueError) as error:
            say("transfer of", name.decode(), "failed:", error)

    steps.serve_datagrams(69, answer)


class Client(steps.Client):
    def __init__(self, host):
        self.host = host
        self.started = self.finish = None

    def ask(self, kind, name):
        sock = datagrams(family_of(self.host))
        sock.sendto(struct.pack("!H", kind) + name.encode() + b"\0octet\0", (self.host, 69))
        return Transfer(sock, None), "port=%d" % sock.getsockname()[1]

    def step_read(self, name):
        transfer, port = self.ask(RRQ, name)
        self.started, self.finish = transfer, lambda: transfer.receive_file(False)
        return port

    def step_write(self, name):
        transfer, port = self.ask(WRQ, name)
        self.started, self.finish = transfer, lambda: transfer.send_file(True)
        return port

    def step_transfer(self):
        self.started.end = time.monotonic() + PATIENCE
        self.finish()
        return "bytes=%d" % len(FILE)


if __name__ == "__main__":
    sys.exit(steps.main(__doc__, serve, Client))
