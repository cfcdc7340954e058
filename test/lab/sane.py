"""SANE's network protocol for the lab (SANE standard, section 5): a scanner server and somebody who scans.

usage: sane.py serve
       sane.py client HOST STEP...

  open                  SANE_NET_INIT, SANE_NET_OPEN
  start                 SANE_NET_START: the reply names the port of the image
  image                 fetches it there and checks it
  begin rest            the same in two steps: the first half; what is left of it
  parameters            another request on the control connection
  hold:FILE             wait until FILE exists

Numbers are words of four bytes, big endian; strings have their length, with the zero at the end, before them. steps.py
tells what is printed."""
import socket
import struct
import sys

import steps
from pattern import Checker, WORD, words
from steps import PATIENCE, listen, read_exactly, say

INIT, OPEN, GET_PARAMETERS, START = 0, 2, 6, 7
PORT = 6566
BYTES, RECORD = 65536, 32768
MORE = b"+"                 # not in the protocol: says that a record has been read, so that a failover finds it half way
NO_MORE = 0xFFFFFFFF        # in the place of a record's length
LITTLE_ENDIAN = 0x1234


def number(value):
    return struct.pack("!I", value)


def string(text):
    return number(len(text) + 1) + text.encode() + b"\0"


def read_number(sock):
    return struct.unpack("!I", read_exactly(sock, 4))[0]


def read_string(sock):
    return read_exactly(sock, read_number(sock))


def serve():
    def image(listener):
        conn = listener.accept()[0]
        for first in range(0, BYTES // WORD, RECORD // WORD):
            conn.sendall(number(RECORD) + words(first, RECORD // WORD))
            read_exactly(conn, len(MORE))
        conn.sendall(number(NO_MORE))
        conn.close()

    def session(conn):
        try:
            while True:
                code = read_number(conn)
                if code == INIT:
                    read_number(conn), read_string(conn)
                    conn.sendall(number(0) + number(0x01000003))
                elif code == OPEN:
                    read_string(conn)
                    conn.sendall(number(0) + number(1) + string(""))
                elif code == GET_PARAMETERS:
                    read_number(conn)
                    conn.sendall(b"".join(map(number, (0, 0, 1, 100, 100, 100, 8))))
                elif code == START:
                    read_number(conn)
                    listener = listen(conn.family, conn.getsockname()[0])
                    steps.in_background(image, listener)
                    conn.sendall(number(0) + number(listener.getsockname()[1]) + number(LITTLE_ENDIAN) + string(""))
                else:
                    raise ValueError("unknown request %d" % code)
        except (OSError, ValueError) as error:
            say("session ended:", error)

    steps.serve_streams(PORT, session)


class Client(steps.Client):
    def __init__(self, host):
        self.host, self.port = host, None
        self.conn = socket.create_connection((host, PORT), timeout=PATIENCE)

    def ask(self, code, body, words_of_answer):
        # The kernel's helper knows a START only if it fills a segment of its own.
        self.conn.sendall(number(code) + body)
        try:
            answer = [read_number(self.conn) for _ in range(words_of_answer)]
        except OSError as error:
            raise ConnectionError("no answer to request %d: %s" % (code, error)) from error
        if answer[0] != 0:
            raise ValueError("status %d" % answer[0])
        return answer

    def step_open(self):
        self.ask(INIT, number(0x01000003) + string("lab"), 2)
        self.ask(OPEN, string("test:0"), 2)
        read_string(self.conn)

    def step_parameters(self):
        self.ask(GET_PARAMETERS, number(1), 7)

    def step_start(self):
        self.port = self.ask(START, number(1), 3)[1]
        read_string(self.conn)
        return "port=%d" % self.port

    def step_begin(self):
        self.image, self.checker = socket.create_connection((self.host, self.port), timeout=PATIENCE), Checker()
        self.checker.feed(read_exactly(self.image, read_number(self.image)))
        self.image.sendall(MORE)

    def step_rest(self):
        while self.checker.checked < BYTES:
            self.checker.feed(read_exactly(self.image, read_number(self.image)))
            self.image.sendall(MORE)
        if read_number(self.image) != NO_MORE:
            raise ValueError("more than an image")
        self.image.close()
        return "bytes=%d" % BYTES

    def step_image(self):
        self.step_begin()
        return self.step_rest()


if __name__ == "__main__":
    sys.exit(steps.main(__doc__, serve, Client))
