"""FTP control connections that announce one data port after the other, of which every byte is checked at both ends.

usage: dialogue.py serve TRANSLATED...
       dialogue.py client SOCKET SEED COUNT HOST4 HOST6 SOURCE...

Each session is a strict dialogue, like FTP: the client says a line, the server answers it. NOOP and LIST carry the number
of the line, and the answer repeats the line; so a byte that is missing, doubled or changed in either direction is seen in
the same line. PORT and EPRT are rewritten by the firewalls: their address has to be one of TRANSLATED at the server. LIST
has the server open the data connection and send numbers counted upwards. Between two lines passes a random time.

A session has a few hundred lines, then another one begins. The client obeys on the unix datagram socket SOCKET (ask.py):
  moment [MS]       a firewall is dead, since this time (of the clock, milliseconds)
  verify            the other one has taken over: each session has to say some more, and get data over a new connection
  verdict [final]   what became of them; "final" gives up those that wait, and normal life begins again
  quit

Counted apart: a data connection that the failover has caught may fail, and is announced again ("data"). A dialogue whose
last announcement was answered less than LATE before the firewall died, or not answered then: how far that one has shifted
the sequence numbers may not have reached the other firewall ("late").

Data ports are few, so that most connections begin over one in TIME_WAIT, often another client's. But none is announced that
may still be expected: where the helper has to take another one, the connection fails if the client's port > server:20 is in
TIME_WAIT, on a single firewall, too."""
import os
import random
import re
import socket
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(HERE, "..", "lab")
from control import Control  # noqa: E402
from ftp import listen  # noqa: E402
from pattern import Checker, WORD, words  # noqa: E402

PORT = 21
DATA_PATIENCE = 5.0                 # seconds for a data connection, at either end
PATIENCE = 25.0                     # seconds without an answer, after which a session is stuck
LATE = 0.1                          # seconds; on a machine whose processors are busy with other things
OLD = 1.0                           # seconds after which a session counts as known to the peer
PAUSE = (0.01, 0.4)                 # seconds between two lines
PORTS = (20000, 40)                 # the first data port, and how many for each session
EXPECTED = 300                      # seconds for which the kernel's helper expects a data connection
PADDING = "abcdefghijklmnopqrstuvwxyz0123456789"


class Corrupt(Exception):
    pass


def say(*text):
    print(*text, flush=True)


def address_of(argument):
    """Address and port in the argument of PORT or EPRT. @raise Corrupt"""
    port = re.fullmatch(r"(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})", argument)
    if port:
        number = [int(text) for text in port.groups()]
        return ".".join(port.groups()[:4]), number[4] * 256 + number[5]
    eprt = re.fullmatch(r"\|([12])\|([0-9a-f.:]+)\|(\d{1,5})\|", argument)
    if eprt:
        # the kernel writes IPv6 addresses in full
        family = socket.AF_INET6 if eprt.group(1) == "2" else socket.AF_INET
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, eprt.group(2))), int(eprt.group(3))
        except OSError as error:
            raise Corrupt("argument %r" % argument) from error
    raise Corrupt("argument %r" % argument)


# --- the server --------------------------------------------------------------------------------------------------


class Answering(threading.Thread):
    def __init__(self, conn, translated):
        super().__init__(daemon=True)
        self.conn, self.translated = conn, translated
        self.target, self.count = None, 0

    def run(self):
        self.conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = self.conn.getpeername()[:2]
        try:
            self.conn.sendall(b"220 ready\r\n")
            for line in self.conn.makefile("rb"):
                self.count += 1
                self.conn.sendall(self.answer(line) + b"\r\n")
        except Corrupt as error:
            say("corrupt at the server: %s:%d, line %d: %s" % (*peer, self.count, error))
            self.last_words()
        except OSError:
            pass
        self.conn.close()

    def last_words(self):
        try:
            self.conn.sendall(b"599 corrupt\r\n")
        except OSError:
            pass

    def answer(self, line):
        if not line.endswith(b"\r\n"):
            raise Corrupt("%r" % line)
        text = line[:-2].decode("latin-1")
        verb, _, argument = text.partition(" ")
        if verb in ("PORT", "EPRT"):
            self.target = address_of(argument)
            if self.target[0] not in self.translated:
                raise Corrupt("not translated: %r" % line)
        elif verb not in ("NOOP", "LIST") or not re.fullmatch(r"%d [a-z0-9]*" % self.count, argument):
            raise Corrupt("%r where line %d was to come" % (line, self.count))
        if verb != "LIST":
            return b"200 " + line[:-2]
        return (b"226 " if self.transfer() else b"425 ") + line[:-2]

    def transfer(self):
        """Sends the data; its amount goes by the number of the line."""
        begun = time.monotonic()
        try:
            with socket.socket(self.conn.family, socket.SOCK_STREAM) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.settimeout(DATA_PATIENCE)
                sock.bind((self.conn.getsockname()[0], 20))
                sock.connect(self.target)
                sock.sendall(words(self.count, 100 + self.count % 3000))
                sock.shutdown(socket.SHUT_WR)
                return sock.recv(1) == b"k"
        except OSError as error:
            say("no data connection to %s:%d after %.1f s: %s" % (*self.target, time.monotonic() - begun, error))
            return False


def accept_loop(listener, translated):
    while True:
        Answering(listener.accept()[0], translated).start()


def serve(translated):
    for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        threading.Thread(target=accept_loop, args=(listen(family, anywhere, PORT), translated)).start()
    say("listening", PORT)


# --- the client --------------------------------------------------------------------------------------------------


class Session(threading.Thread):
    """One session after the other, from the same address."""

    def __init__(self, client, number, source, host):
        super().__init__(daemon=True)
        self.client, self.name, self.source, self.host = client, "s%02d" % number, source, host
        self.expected = []              # the last ports of this connection: one, or after a failover an older one
        self.chance = random.Random("%s %s" % (client.seed, self.name))
        self.family = socket.AF_INET6 if ":" in source else socket.AF_INET
        self.conn = None
        self.opened = None              # since when the connection stands
        self.announced = 0.0            # when the last PORT was answered
        self.announcement = b""         # and with what
        self.sent = 0.0                 # when the last one was sent
        self.count, self.lines = 0, 0   # lines of this connection, and of all
        self.wanted = None              # after "verify": lines and transfers that are still to be seen

    def age(self):
        return -1.0 if self.opened is None else time.monotonic() - self.opened

    def run(self):
        while True:
            try:
                self.connect()
                for _ in range(self.chance.randrange(40, 400)):
                    self.turn()
            except Corrupt as error:
                self.client.failed(self, "corrupt", error)
            except socket.timeout as error:
                self.client.failed(self, "stuck", error)
            except OSError as error:
                self.client.failed(self, "broken", error)
            self.opened, self.wanted = None, None
            self.conn.close()
            time.sleep(self.chance.uniform(0.1, 0.5))
            while self.client.is_quiet:
                time.sleep(0.1)

    def connect(self):
        self.conn = socket.socket(self.family, socket.SOCK_STREAM)
        self.conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.conn.settimeout(PATIENCE)
        self.conn.bind((self.source, 0))
        self.count, self.buffer, self.sent, self.expected = 0, b"", 0.0, []
        self.conn.connect((self.host, PORT))
        if self.line() != b"220 ready":
            raise Corrupt("greeting")
        self.opened = time.monotonic()
        # the kernel's helper looks at commands only after a first complete line of either side
        self.numbered("NOOP", "200")

    def line(self):
        while b"\r\n" not in self.buffer:
            piece = self.conn.recv(4096)
            if not piece:
                raise ConnectionError("closed by the server")
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def command(self, text, wanted):
        """Says the line; the answer, of which everything has to be as `wanted` (a pattern) says."""
        self.count += 1
        self.conn.sendall(text.encode() + b"\r\n")
        answer = self.line()
        if self.buffer or not re.fullmatch(wanted.encode(), answer):
            raise Corrupt("%r instead of the answer to %r" % (answer + self.buffer, text))
        self.lines += 1
        return answer

    def pause(self):
        time.sleep(self.chance.uniform(*PAUSE))

    def numbered(self, verb, codes):
        text = "%s %d %s" % (verb, self.count + 1, PADDING[:self.chance.randrange(len(PADDING))])
        return self.command(text, "(%s) %s" % (codes, text))

    def turn(self):
        for _ in range(self.chance.randrange(3)):
            self.numbered("NOOP", "200")
            self.said("lines")
            self.pause()
        listener = self.listen()
        try:
            self.announce(listener.getsockname()[1])
            self.pause()
            if self.chance.random() < 0.7:
                self.fetch(listener)
                self.pause()
        finally:
            listener.close()

    def listen(self):
        self.expected.append(self.client.unexpected_port(self.chance))
        if len(self.expected) > 3:
            self.client.expected.pop(self.expected.pop(0), None)
        return listen(self.family, self.source, self.expected[-1])

    def announce(self, port):
        self.sent = time.monotonic()
        if self.family == socket.AF_INET6 or self.chance.random() < 0.2:
            number = 2 if self.family == socket.AF_INET6 else 1
            text = "EPRT |%d|%s|%d|" % (number, self.source, port)
            self.announcement = self.command(text, r"200 EPRT \|%d\|[0-9a-f.:]+\|\d+\|" % number)
        else:
            text = "PORT %s,%d,%d" % (self.source.replace(".", ","), port >> 8, port & 255)
            self.announcement = self.command(text, r"200 PORT [0-9,]+")
        self.announced = time.monotonic()
        self.said("lines")

    def fetch(self, listener):
        got = []
        data = threading.Thread(target=self.take_data, args=(listener, self.count + 1, got), daemon=True)
        data.start()
        is_done = self.numbered("LIST", "226|425").startswith(b"226")
        data.join()
        if got and isinstance(got[0], Corrupt):
            raise got[0]
        if is_done:
            self.said("transfers")
        else:
            self.client.no_data(self)

    def take_data(self, listener, number, got):
        size, checker = (100 + number % 3000) * WORD, Checker(number)
        listener.settimeout(DATA_PATIENCE)
        try:
            data = listener.accept()[0]
            data.settimeout(DATA_PATIENCE)
            while checker.checked < size:
                piece = data.recv(65536)
                if not piece:
                    return
                checker.feed(piece)
            data.sendall(b"k")
            data.close()
        except ValueError as error:
            got.append(Corrupt("data: %s" % error))
        except OSError:
            pass

    def said(self, what):
        if self.wanted is not None:
            self.wanted[what] -= 1
            if max(self.wanted.values()) <= 0:
                self.wanted = None


class Client:
    def __init__(self, path, seed, count, host4, host6, sources):
        self.seed, self.is_quiet = seed, False
        self.moment, self.healed, self.late = -1e9, -1e9, 0
        self.counts = {"corrupt": 0, "stuck": 0, "broken": 0, "late": 0, "younger": 0, "data": 0, "nodata": 0}
        # shortly_before: whose last announcement the other firewall may know nothing of
        self.watched, self.shortly_before = set(), set()
        self.ports, self.expected, self.lock = range(PORTS[0], PORTS[0] + count * PORTS[1]), {}, threading.Lock()
        self.control = Control(path)
        self.sessions = []
        for i in range(count):
            source = sources[i % len(sources)]
            self.sessions.append(Session(self, i, source, host6 if ":" in source else host4))

    def unexpected_port(self, chance):
        with self.lock:
            while True:
                port, now = chance.choice(self.ports), time.monotonic()
                if self.expected.get(port, now) <= now:
                    self.expected[port] = now + EXPECTED
                    return port

    def failed(self, session, kind, error):
        now = time.monotonic()
        is_old = session in self.watched or session.opened is not None and session.age() >= OLD and now > self.healed
        if not is_old:
            kind = "younger"
        elif session in self.shortly_before:
            kind = "late"
        self.counts[kind] += 1
        say("%s: %s from %s, %.1f s old, line %d, last announcement %d ms before the end of the firewall%s: %s" % (
            kind, session.name, session.source, session.age(), session.count,
            (self.moment - session.announced) * 1000, ", another one not answered" if session.sent > session.announced else "", error))

    def no_data(self, session):
        """No data connection: to be expected of one that was under way in a failover, and of no other one."""
        kind = "data" if self.moment < session.announced + DATA_PATIENCE + 2 and session.announced < self.healed + 1 else "nodata"
        self.counts[kind] += 1
        say("%s: %s from %s, line %d, announced %d ms after the end of the firewall, %d ms after it was replaced: %s" % (
            kind, session.name, session.source, session.count, (session.announced - self.moment) * 1000,
            (session.announced - self.healed) * 1000, session.announcement))

    def do_moment(self, milliseconds=None):
        ago = 0.0 if milliseconds is None else time.time() - int(milliseconds) / 1000
        self.moment, self.is_quiet = time.monotonic() - ago, True
        # until "verify" says when it was over
        self.healed = self.moment + 3600
        self.watched = {session for session in self.sessions if session.age() >= OLD}
        self.shortly_before = {s for s in self.watched if 0 <= self.moment - s.announced < LATE or s.announced < s.sent <= self.moment}
        self.late += len(self.shortly_before)
        return "sessions=%d" % len(self.watched)

    def do_verify(self):
        self.healed = time.monotonic()
        for session in self.watched:
            if session.opened is not None:
                session.wanted = {"lines": 4, "transfers": 1}
        return "watched=%d" % len(self.watched)

    def do_verdict(self, final=""):
        waiting = [session for session in self.watched if session.wanted is not None]
        if final:
            for session in waiting:
                self.counts["stuck"] += 1
                say("stuck: %s from %s, line %d, wants %s" % (session.name, session.source, session.count, session.wanted))
                session.wanted = None
            self.watched, self.shortly_before, self.is_quiet = set(), set(), False
        lines = sum(session.lines for session in self.sessions)
        return " ".join(["lines=%d shortly_before=%d waiting=%d" % (lines, self.late, len(waiting))] + ["%s=%d" % pair for pair in self.counts.items()])

    def do_ready(self):
        return "old=%d of=%d" % (sum(session.age() >= OLD for session in self.sessions), len(self.sessions))

    def do_quit(self):
        return self.do_verdict()

    def run(self):
        for session in self.sessions:
            session.start()
        say("ready")
        while True:
            command = self.control.wait(3600)
            if command is None:
                continue
            text, answer = command
            handler = getattr(self, "do_" + text[0], None)
            answer(handler(*text[1:]) if handler else "error: no such command")
            if text[0] == "quit":
                os._exit(0)


def main(args):
    if len(args) > 1 and args[0] == "serve":
        return serve(args[1:])
    if len(args) > 6 and args[0] == "client":
        return Client(args[1], args[2], int(args[3]), args[4], args[5], args[6:]).run()
    print(__doc__, file=sys.stderr)
    return 2


sys.exit(main(sys.argv[1:]))
