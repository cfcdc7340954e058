"""Many long TCP connections through the firewalls, of which every byte is checked in both directions.

usage: flows.py serve PORT
       flows.py client SOCKET SEED COUNT PORT SOURCE>TARGET...

COUNT connections, in equal parts from each SOURCE to each TARGET. The client sends numbers counted upwards, in messages
of any size at random times; the server answers each with as many numbers of its own. A connection ends after a random
time, by the server, by the client, or by a reset, and another one takes its place: mostly from the same port, at once.
Every pair has the same ports, so that address translation has to keep them apart.

The client obeys on the unix datagram socket SOCKET (ask.py). FILE is the output of "ctsync -e":
  held FILE AGE     how many connections older than AGE seconds are not ESTABLISHED in it
  mark FILE AGE     these are acknowledged: older than AGE seconds and ESTABLISHED in it
  moment            the firewall is dead: nothing is ended from now on, and nothing begins. What was about to begin is
                    given up: while a firewall has addresses and not yet the state, it could get the port of another one
  verify            the other one has taken over: each connection has to go on
  verdict [final]   what became of them; "final" gives up those that have not been heard of, ends the younger ones, and
                    normal life begins again
  quit

Whether a connection goes on is decided by what is sent after "verify": it has to be answered, in its place."""
import collections
import errno
import heapq
import os
import random
import selectors
import socket
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(HERE, "..", "lab")
from control import Control  # noqa: E402
from pattern import Checker, WORD, words  # noqa: E402

UP, DOWN = 0, 1 << 31               # where the numbers of either direction begin
END = b"\xff" * WORD                # in the place of a number: the client asks the server to end
UNANSWERED_MAX = 256 * 1024         # bytes that a connection may have under way
LIFE = (1.5, 40.0)                  # seconds
ENDLESS = 0.2                       # this share of the connections has no end
FIRST_PORT = 20000
CONNECT_PATIENCE = 4.0


def say(*text):
    print(*text, flush=True)


class Stream:
    """One end of a connection: bytes out that wait for room, bytes in that are checked."""

    def __init__(self, sock, selector):
        self.sock, self.selector = sock, selector
        self.out = bytearray()
        self.events = 0
        self.listen_for(selectors.EVENT_READ)

    def listen_for(self, events):
        if events == self.events:
            return
        if self.events == 0:
            self.selector.register(self.sock, events, self)
        else:
            self.selector.modify(self.sock, events, self)
        self.events = events

    def send(self, data):
        self.out += data
        self.flush()

    def flush(self):
        try:
            while self.out:
                del self.out[:self.sock.send(self.out)]
        except BlockingIOError:
            pass
        self.listen_for(selectors.EVENT_READ | (selectors.EVENT_WRITE if self.out else 0))

    def receive(self):
        """What is there; None if nothing is, b"" at the end."""
        try:
            return self.sock.recv(65536)
        except BlockingIOError:
            return None

    def close(self, reset=False):
        if self.sock is None:
            return
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.selector.unregister(self.sock)
        self.sock.close()
        self.sock = None


# --- the server --------------------------------------------------------------------------------------------------


class Answering(Stream):
    def __init__(self, sock, selector):
        super().__init__(sock, selector)
        self.rest, self.checker, self.answered = b"", None, 0

    def ready(self, events):
        try:
            if events & selectors.EVENT_WRITE:
                self.flush()
            data = self.receive() if events & selectors.EVENT_READ else None
            if data is None:
                return
            if not data:
                self.close()
                return
            self.take(data)
        except ValueError as error:
            say("corrupt at the server: %s" % error)
            self.close(reset=True)
        except OSError:
            self.close()

    def take(self, data):
        """Whole numbers only; what is left of one waits for the rest."""
        data = self.rest + data
        size = len(data) // WORD * WORD
        data, self.rest = data[:size], data[size:]
        if data and self.checker is None:
            self.checker = Checker(struct.unpack("!Q", data[:WORD])[0] << 32)
            data = data[WORD:]
        ends = data.endswith(END)
        if ends:
            data = data[:-WORD]
        if data:
            self.checker.feed(data)
            whole = self.checker.checked // WORD
            self.send(words(self.checker.first + DOWN + self.answered, whole - self.answered))
            self.answered = whole
        if ends:
            self.close()


class Listener:
    def __init__(self, sock, selector):
        self.sock, self.selector = sock, selector
        selector.register(sock, selectors.EVENT_READ, self)

    def ready(self, _events):
        try:
            conn = self.sock.accept()[0]
        except OSError:
            return
        conn.setblocking(False)
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Answering(conn, self.selector)


def serve(port):
    selector = selectors.DefaultSelector()
    for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((anywhere, port))
        sock.listen(1024)
        sock.setblocking(False)
        Listener(sock, selector)
    say("listening", port)
    while True:
        for key, events in selector.select():
            if key.data.sock is not None:
                key.data.ready(events)


# --- the client --------------------------------------------------------------------------------------------------


class Pair:
    """Connections from one address to one other, and the ports that are free for them; the last one freed comes first."""

    def __init__(self, source, target, size):
        self.source, self.target = source, target
        self.family = socket.AF_INET6 if ":" in source else socket.AF_INET
        self.free = collections.deque(range(FIRST_PORT, FIRST_PORT + size * 5 // 4 + 2))

    def port(self, chance):
        return self.free.pop() if chance.random() < 0.7 else self.free.popleft()


class Flow(Stream):
    """CONNECTING, OPEN, CLOSING or over (no socket)."""

    def __init__(self, client, pair, number):
        self.client, self.pair, self.number = client, pair, number
        self.port = pair.port(client.chance)
        sock = socket.socket(pair.family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.state, self.begun, self.opened = "connecting", time.monotonic(), None
        self.sent, self.goal, self.acknowledged = 0, None, False
        self.checker = Checker((number << 32) + DOWN)
        chance = client.chance
        self.life = chance.uniform(*LIFE) if client.endless() > client.count * ENDLESS else float("inf")
        self.manner = chance.choice(("server", "server", "client", "reset"))
        super().__init__(sock, client.selector)
        try:
            sock.bind((pair.source, self.port))
            error = sock.connect_ex((pair.target, client.port))
            if error not in (0, errno.EINPROGRESS):
                raise OSError(error, os.strerror(error))
        except OSError:
            self.close()
            pair.free.appendleft(self.port)
            raise
        self.listen_for(selectors.EVENT_WRITE)

    def __str__(self):
        age = -1.0 if self.opened is None else time.monotonic() - self.opened
        return "%s:%d > %s (%s, %.1f s old, %d bytes sent, %d answered)" % (
            self.pair.source, self.port, self.pair.target, self.state, age, self.sent, self.checker.checked)

    def age(self):
        return -1.0 if self.state != "open" else time.monotonic() - self.opened

    def ready(self, events):
        try:
            if self.state == "connecting":
                self.connected()
                return
            if events & selectors.EVENT_WRITE:
                self.flush()
            data = self.receive() if events & selectors.EVENT_READ else None
            if data is None:
                return
            if not data:
                self.ended(None if self.state == "closing" else "closed by the server")
                return
            self.checker.feed(data)
            if self.goal is not None and self.checker.checked >= self.goal:
                self.client.survived(self)
        except ValueError as error:
            self.client.corrupt += 1
            say("corrupt at the client: %s: %s" % (self, error))
            self.ended(str(error))
        except OSError as error:
            self.ended(error.strerror)

    def connected(self):
        error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self.ended(os.strerror(error))
            return
        self.state, self.opened = "open", time.monotonic()
        self.send(struct.pack("!Q", self.number))
        self.client.later(0, self.talk)

    def talk(self):
        """One message, and when the next one is due."""
        if self.state != "open":
            return
        client, now = self.client, time.monotonic()
        if now - self.opened > self.life and not client.is_quiet and self.checker.checked == self.sent:
            self.finish()
            return
        if self.sent - self.checker.checked < UNANSWERED_MAX:
            self.say(client.chance.randrange(1, 160) if client.chance.random() < 0.98 else client.chance.randrange(1000, 6000))
        client.later(client.chance.uniform(0.05, 1.5), self.talk)

    def say(self, count):
        try:
            self.send(words((self.number << 32) + self.sent // WORD, count))
            self.sent += count * WORD
        except OSError as error:
            self.ended(error.strerror)

    def finish(self):
        self.state = "closing"
        try:
            if self.manner == "server":
                self.send(END)
            elif self.manner == "client":
                self.sock.shutdown(socket.SHUT_WR)
            else:
                self.ended(None, reset=True)
        except OSError as error:
            self.ended(error.strerror)

    def ended(self, reason, reset=False):
        """Over: as it was meant to be (no reason), or not."""
        if self.sock is None:
            return
        was, self.state = self.state, "over"
        self.close(reset)
        self.pair.free.append(self.port)
        self.client.over(self, was, reason)


class Client:
    def __init__(self, path, seed, count, port, pairs):
        self.selector = selectors.DefaultSelector()
        self.chance = random.Random(seed)
        self.control = Control(path)
        self.selector.register(self.control.sock, selectors.EVENT_READ, None)
        self.port, self.count, self.due, self.turn = port, count, [], 0
        self.flows, self.number = set(), 0
        self.pairs = [Pair(source, target, count // len(pairs) + 1) for source, target in pairs]
        # between "moment" and the verdict nothing ends or begins
        self.is_quiet = False
        self.corrupt = self.ends = self.refused = self.broken = 0
        self.watched, self.lost, self.younger = set(), [], []
        for i in range(count):
            self.later(i * 0.004, self.begin, self.pairs[i % len(self.pairs)])

    def endless(self):
        return sum(flow.life == float("inf") for flow in self.flows)

    def later(self, seconds, action, *arguments):
        self.turn += 1
        heapq.heappush(self.due, (time.monotonic() + seconds, self.turn, action, arguments))

    def begin(self, pair):
        if self.is_quiet:
            self.later(0.2, self.begin, pair)
            return
        self.number += 1
        try:
            flow = Flow(self, pair, self.number)
        except OSError:             # the port is in TIME_WAIT here for some moments more
            self.refused += 1
            self.later(0.3, self.begin, pair)
            return
        self.flows.add(flow)
        self.later(CONNECT_PATIENCE, self.give_up, flow)

    def give_up(self, flow):
        if flow.state == "connecting":
            flow.ended("not connected", reset=True)

    def over(self, flow, was, reason):
        self.flows.discard(flow)
        self.ends += was in ("open", "closing")
        if reason and was == "open":
            if flow in self.watched:
                self.lose(flow, was, reason)
            else:
                self.broken += 1
                say("broken outside of a failover: %s: %s" % (flow, reason))
        self.watched.discard(flow)
        self.later(self.chance.uniform(0.02, 0.5), self.begin, flow.pair)

    def lose(self, flow, was, reason):
        (self.lost if flow.acknowledged else self.younger).append(flow)
        say("lost%s: %s, was %s: %s" % ("" if flow.acknowledged else " (younger)", flow, was, reason))

    def survived(self, flow):
        flow.goal = None
        self.watched.discard(flow)

    # --- commands

    def held(self, path):
        """Source address and port of what is ESTABLISHED in a dump."""
        held = set()
        with open(path) as file:
            for line in file:
                if " ESTABLISHED " not in line:
                    continue
                fields = dict(word.split("=", 1) for word in reversed(line.split()) if "=" in word)
                held.add((fields.get("src"), fields.get("dst"), int(fields.get("sport", 0))))
        return held

    def old(self, age):
        return [flow for flow in self.flows if flow.age() >= age]

    def do_held(self, path, age):
        held = self.held(path)
        old = self.old(float(age))
        missing = [flow for flow in old if (flow.pair.source, flow.pair.target, flow.port) not in held]
        return "missing=%d of=%d open=%d%s" % (
            len(missing), len(old), len(self.old(0)), " first=" + str(missing[0]) if missing else "")

    def do_mark(self, path, age):
        held = self.held(path)
        for flow in self.flows:
            flow.acknowledged = flow.age() >= float(age) and (flow.pair.source, flow.pair.target, flow.port) in held
        old = self.old(float(age))
        return "acknowledged=%d unknown=%d" % (
            sum(flow.acknowledged for flow in old), sum(not flow.acknowledged for flow in old))

    def do_moment(self):
        self.is_quiet = True
        self.lost, self.younger = [], []
        for flow in [flow for flow in self.flows if flow.state == "connecting"]:
            flow.ended("given up", reset=True)
        self.watched = set(self.old(0))
        return "open=%d acknowledged=%d" % (len(self.watched), sum(flow.acknowledged for flow in self.watched))

    def do_verify(self):
        for flow in list(self.watched):
            flow.goal = flow.sent + WORD
            flow.say(1)
        return "watched=%d" % len(self.watched)

    def do_verdict(self, final=""):
        if final:
            for flow in list(self.watched):
                flow.ended("nothing was answered any more", reset=True)
            # the kernel may have one whose beginning the peer had not heard of in the state of the last one of that port
            for flow in [flow for flow in self.flows if flow.state == "open" and not flow.acknowledged]:
                flow.ended(None, reset=True)
            self.is_quiet = False
        waiting = sum(flow.acknowledged for flow in self.watched)
        return "waiting=%d younger_waiting=%d lost=%d younger_lost=%d corrupt=%d broken=%d" % (
            waiting, len(self.watched) - waiting, len(self.lost), len(self.younger), self.corrupt, self.broken)

    def do_quit(self):
        return "ended=%d open=%d refused=%d" % (self.ends, len(self.old(0)), self.refused)

    def obey(self):
        command, answer = self.control.wait(0)
        handler = getattr(self, "do_" + command[0], None)
        try:
            answer(handler(*command[1:]) if handler else "error: no such command")
        except (TypeError, ValueError, OSError) as error:
            answer("error: %s" % error)
        return command[0] != "quit"

    def run(self):
        say("ready")
        while True:
            wait = 0.5 if not self.due else max(0.0, min(0.5, self.due[0][0] - time.monotonic()))
            for key, events in self.selector.select(wait):
                if key.data is None:
                    if not self.obey():
                        return
                elif key.data.sock is not None:
                    key.data.ready(events)
            now = time.monotonic()
            while self.due and self.due[0][0] <= now:
                _, _, action, arguments = heapq.heappop(self.due)
                action(*arguments)


def main(args):
    if len(args) == 2 and args[0] == "serve":
        return serve(int(args[1]))
    if len(args) > 5 and args[0] == "client":
        pairs = [pair.split(">") for pair in args[5:]]
        return Client(args[1], args[2], int(args[3]), int(args[4]), pairs).run()
    print(__doc__, file=sys.stderr)
    return 2


sys.exit(main(sys.argv[1:]))
