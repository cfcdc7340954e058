"""IRC for the lab: the server is also the peer that dials what has been offered by DCC.

usage: irc.py serve
       irc.py client HOST STEP...

  login                 NICK, USER
  send chat             offers a file or a chat (DCC SEND, DCC CHAT): a port is announced, nobody has dialled it yet
  send:PORT             the same with this port
  taken:PORT            offers it on another control connection before; nobody listens there any more
  dial                  has the peer dial it; what comes is checked
  ping                  an answer on the control connection
  hold:FILE             wait until FILE exists

The offer tells the client's address as it knows it, which a translating firewall has to rewrite.
steps.py tells what is printed."""
import re
import socket
import sys

import steps
from pattern import Checker, WORD, words
from steps import PATIENCE, listen, read_exactly, say

BYTES = 65536
GREETING = b"are you still there?\n"
COMPLAINT = b" NOTICE you :cannot dial "
DIAL_PATIENCE = PATIENCE - 2        # the peer's: its complaint still comes in time


def serve_chat(conn):
    offered = None
    try:
        for line in conn.makefile("rb"):
            line = line.rstrip(b"\r\n")
            offer = re.search(rb"\x01DCC (SEND|CHAT) (\S+) (\d+) (\d+)", line)
            if line.startswith(b"PING"):
                conn.sendall(b"PONG" + line[4:] + b"\r\n")
            elif line.startswith(b"USER"):
                conn.sendall(b":lab 001 you :welcome\r\n")
            elif offer:
                kind, _, address, port = offer.groups()
                offered = (kind, socket.inet_ntoa(int(address).to_bytes(4, "big")), int(port))
                conn.sendall(b":peer NOTICE you :seen\r\n")
            elif b":dial" in line:
                steps.in_background(dial, conn, *offered)
    except (OSError, ValueError) as error:
        say("session ended:", error)


def dial(conn, kind, address, port):
    try:
        with socket.create_connection((address, port), timeout=DIAL_PATIENCE) as data:
            if kind == b"CHAT":
                data.sendall(GREETING)
                if read_exactly(data, len(GREETING)) != GREETING[::-1]:
                    raise ValueError("another answer than the one that was sent")
            else:
                data.sendall(words(0, BYTES // WORD))
    except (OSError, ValueError) as error:
        conn.sendall(b":peer%s%s:%d: %s\r\n" % (COMPLAINT, address.encode(), port, str(error).encode()))


def serve():
    steps.serve_streams(6667, serve_chat)


class Client(steps.Client):
    def __init__(self, host):
        self.conn = socket.create_connection((host, 6667), timeout=PATIENCE)
        self.lines = self.conn.makefile("rb")
        self.address = self.conn.getsockname()[0]
        self.listener = self.kind = None

    def say(self, text, wanted):
        self.conn.sendall(text.encode() + b"\r\n")
        line = b""
        while wanted not in line:
            try:
                line = self.lines.readline()
            except OSError as error:
                raise ConnectionError("no answer to %s: %s" % (text.split()[0], error)) from error
            if not line:
                raise ConnectionError("closed")
            if COMPLAINT in line:
                say(line.decode().strip())

    def step_login(self):
        self.conn.sendall(b"NICK lab\r\n")
        self.say("USER lab 0 * :lab", b" 001 ")

    def step_ping(self):
        self.say("PING :lab", b"PONG")

    def offer(self, kind, what, length, port=0):
        self.listener, self.kind = listen(socket.AF_INET, self.address, port), kind
        port = self.listener.getsockname()[1]
        number = int.from_bytes(socket.inet_aton(self.address), "big")
        self.say("PRIVMSG peer :\x01DCC %s %s %d %d%s\x01" % (kind, what, number, port, length), b":seen")
        return "port=%d" % port

    def step_send(self, port="0"):
        return self.offer("SEND", "file.bin", " %d" % BYTES, int(port))

    def step_taken(self, port):
        self.other = Client(self.conn.getpeername()[0])
        self.other.step_login()
        self.other.step_send(port)
        self.other.listener.close()

    def step_chat(self):
        return self.offer("CHAT", "chat", "")

    def step_dial(self):
        self.conn.sendall(b"PRIVMSG peer :dial\r\n")
        self.listener.settimeout(PATIENCE)
        data = self.listener.accept()[0]
        data.settimeout(PATIENCE)
        if self.kind == "CHAT":
            data.sendall(read_exactly(data, len(GREETING))[::-1])
            return ""
        checker = Checker()
        checker.feed(read_exactly(data, BYTES))
        return "bytes=%d" % BYTES


if __name__ == "__main__":
    sys.exit(steps.main(__doc__, serve, Client))
