"""Traffic without an end, that stops and goes on when it is told to.

usage: load.py entries SOCKET SEED NODE RATE      about RATE changes a second in the table of this network namespace
       load.py sessions SOCKET HOST PORT RATE     short TCP connections to "stream.py serve", RATE a second

"entries" lets connections (as inject.py describes them: TCP, TCP with SNAT, UDP, TCP over IPv6) and FTP control
connections begin, change and end, and expectations of the latter come and go. NODE (1, 2 ...) keeps the entries of
several nodes apart. It may be killed, and the tables may be emptied under it: what it believes to exist is corrected by
what the kernel answers. Obeys on the unix datagram socket SOCKET; each answer means that nothing is under way any more:
  pause, resume, rate RATE
  storm COUNT           makes so many more at once, and takes them away
  brief COUNT           makes so many that live for one second"""
import os
import random
import socket
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(HERE, "..", "lab")
import inject  # noqa: E402
from control import Control  # noqa: E402
from inject import attribute, half, nest  # noqa: E402

TICK = 0.02                         # seconds between two batches
POOL, MASTERS = 2000, 60            # numbers per node that exist or not
NODE_SPAN = 6000                    # numbers of one node: the pool, then those of storms
EXP_NEW, EXP_DELETE = 0x200, 0x202
NLM_F_CREATE, NLM_F_EXCL = inject.NLM_F_CREATE, inject.NLM_F_EXCL
CTA_HELP, CTA_HELP_NAME = 5, 1
EXP_MASTER, EXP_TUPLE, EXP_MASK, EXP_TIMEOUT = 1, 2, 3, 4
TCP_STATES = (3, 3, 4, 5, 6)        # ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK
CONTROL_PORT = 21
LIFETIME = 86400


def netlink_message(kind, flags, number, family, payload):
    return struct.pack("=IHHIIBBH", 20 + len(payload), kind, inject.NLM_F_REQUEST | flags, number, 0, family, 0, 0) + payload


class Table:
    """Requests to the kernel, in batches."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, inject.NETLINK_NETFILTER)
        self.sock.setsockopt(socket.SOL_SOCKET, inject.SO_SNDBUFFORCE, 1 << 22)
        self.sock.setsockopt(inject.SOL_NETLINK, inject.NETLINK_CAP_ACK, 1)
        self.sock.bind((0, 0))

    def run(self, requests):
        """Requests are (kind, flags, family, payload); returns {index: errno name} of those refused."""
        refused = {}
        for start in range(0, len(requests), inject.BATCH):
            part = requests[start:start + inject.BATCH]
            data = b""
            for i, (kind, flags, family, payload) in enumerate(part):
                last = inject.NLM_F_ACK if i == len(part) - 1 else 0
                data += netlink_message(kind, flags | last, i + 1, family, payload)
            self.sock.send(data)
            for number, reason in inject.answers(self.sock, len(part)):
                refused[start + number - 1] = reason
        return refused


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def connection(action, number, chance):
    """A request about connection `number` of inject.py."""
    family = family_of(inject.describe(number)[1])
    if action == "create":
        payload = b"".join(inject.body("create", number))
        return inject.CT_NEW, NLM_F_CREATE | NLM_F_EXCL, family, with_timeout(payload, LIFETIME)
    if action == "delete":
        return inject.CT_DELETE, 0, family, b"".join(inject.body("delete", number))
    protocol, source, source_port, target, target_port, _ = inject.describe(number)
    parts = [half(inject.CTA_TUPLE_ORIG, protocol, source, source_port, target, target_port)]
    if chance.random() < 0.3:
        parts.append(attribute(inject.CTA_MARK, struct.pack("!I", chance.randrange(1 << 16))))
    elif protocol == inject.TCP:
        parts.append(nest(inject.CTA_PROTOINFO, nest(1, attribute(1, struct.pack("!B", chance.choice(TCP_STATES))))))
    else:
        parts.append(attribute(inject.CTA_STATUS, struct.pack("!I", inject.CONFIRMED | inject.SEEN_REPLY)))
    return inject.CT_NEW, 0, family, b"".join(parts)


def with_timeout(payload, seconds):
    """Attributes that come twice: the last one counts for the kernel."""
    return payload + attribute(inject.CTA_TIMEOUT, struct.pack("!I", seconds))


class Masters:
    """FTP control connections, and at most one expectation of each."""

    def __init__(self, node, chance):
        self.node, self.chance = node, chance
        self.live, self.expected = set(), {}

    def ends(self, number):
        if number % 4 == 3:
            return "fd97::%x:%x" % (self.node, number + 1), 3000 + number, "fd99::2:1", CONTROL_PORT
        return "10.97.%d.%d" % (self.node, number + 1), 3000 + number, "10.99.0.1", CONTROL_PORT

    def tuple_of(self, kind, number):
        source, source_port, target, target_port = self.ends(number)
        return half(kind, inject.TCP, source, source_port, target, target_port)

    def expectation(self, kind, number, port):
        source, _, target, _ = self.ends(number)
        return half(kind, inject.TCP, source, 0, target, port)

    def request(self):
        """One change, and what to call with the kernel's answer (None: done)."""
        number = self.chance.randrange(MASTERS)
        if number not in self.live:
            return self.create(number)
        turn = self.chance.random()
        if turn < 0.15:
            return self.delete(number)
        if turn < 0.3 and number in self.expected:
            return self.unexpect(number)
        return self.expect(number)

    def create(self, number):
        source, source_port, target, target_port = self.ends(number)
        payload = self.tuple_of(inject.CTA_TUPLE_ORIG, number)
        payload += half(inject.CTA_TUPLE_REPLY, inject.TCP, target, target_port, source, source_port)
        payload += attribute(inject.CTA_STATUS, struct.pack("!I", inject.CONFIRMED | inject.SEEN_REPLY | inject.ASSURED))
        payload += attribute(inject.CTA_TIMEOUT, struct.pack("!I", LIFETIME))
        payload += nest(inject.CTA_PROTOINFO, nest(1, attribute(1, struct.pack("!B", inject.ESTABLISHED)),
                                                   attribute(4, b"\x08\x08"), attribute(5, b"\x08\x08")))
        payload += nest(CTA_HELP, attribute(CTA_HELP_NAME, b"ftp\0"))

        def done(error):
            if error in (None, "EEXIST"):
                self.live.add(number)
        return (inject.CT_NEW, NLM_F_CREATE | NLM_F_EXCL, family_of(source), payload), done

    def delete(self, number):
        def done(error):
            if error in (None, "ENOENT"):
                self.live.discard(number)
                self.expected.pop(number, None)
        return (inject.CT_DELETE, 0, family_of(self.ends(number)[0]), self.tuple_of(inject.CTA_TUPLE_ORIG, number)), done

    def expect(self, number):
        """The kernel gives an FTP connection one expectation: another one takes its place."""
        source = self.ends(number)[0]
        port = self.chance.randrange(20000, 60000)
        full = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" if ":" in source else "255.255.255.255"
        payload = self.expectation(EXP_TUPLE, number, port)
        payload += half(EXP_MASK, inject.TCP, full, 0, full, 65535)
        payload += self.tuple_of(EXP_MASTER, number) + attribute(EXP_TIMEOUT, struct.pack("!I", 300))

        def done(error):
            if error is None:
                self.expected[number] = port
            elif error == "ENOENT":             # the master is gone
                self.live.discard(number)
                self.expected.pop(number, None)
        return (EXP_NEW, NLM_F_CREATE | NLM_F_EXCL, family_of(source), payload), done

    def unexpect(self, number):
        port = self.expected.pop(number)
        payload = self.expectation(EXP_TUPLE, number, port)
        return (EXP_DELETE, 0, family_of(self.ends(number)[0]), payload), lambda error: None


class Entries:
    def __init__(self, seed, node, rate):
        self.rate, self.node = float(rate), int(node)
        self.chance = random.Random("%s %s" % (seed, node))
        self.base = (self.node - 1) * NODE_SPAN
        self.live = set()
        self.masters = Masters(self.node, self.chance)
        self.table = Table()
        self.count, self.errors = 0, {}

    def step(self, seconds):
        requests = [self.change() for _ in range(max(1, round(self.rate * seconds)))]
        self.settle(requests, self.table.run([request for request, _ in requests]))

    def settle(self, requests, refused):
        for i, (_, done) in enumerate(requests):
            error = refused.get(i)
            self.count += error is None
            if error is not None:
                self.errors[error] = self.errors.get(error, 0) + 1
            done(error)

    def change(self):
        if self.chance.random() < 0.1:
            return self.masters.request()
        number = self.base + self.chance.randrange(POOL)
        action = "create"
        if number in self.live:
            action = self.chance.choice(("update", "delete"))
        return connection(action, number, self.chance), lambda error: self.learn(action, number, error)

    def learn(self, action, number, error):
        exists = (action != "delete") if error is None else error == "EEXIST"
        (self.live.add if exists else self.live.discard)(number)

    def storm(self, count):
        numbers = [self.base + POOL + i % (NODE_SPAN - POOL - 500) for i in range(count)]
        for start in range(0, count, 2000):
            for action in ("create", "delete"):
                self.table.run([connection(action, n, self.chance) for n in numbers[start:start + 2000]])

    def brief(self, count):
        requests = []
        for number in range(self.base + NODE_SPAN - 500, self.base + NODE_SPAN - 500 + min(count, 500)):
            kind, flags, family, payload = connection("create", number, self.chance)
            requests.append((kind, flags, family, with_timeout(payload, 1)))
        self.table.run(requests)

    def summary(self):
        errors = " ".join("%s=%d" % item for item in sorted(self.errors.items()))
        return "ok changes=%d live=%d masters=%d expectations=%d %s" % (
            self.count, len(self.live), len(self.masters.live), len(self.masters.expected), errors)


class Sessions:
    def __init__(self, host, port, rate):
        self.address, self.rate = (host, int(port)), float(rate)
        self.count = self.failed = 0
        self.due = 0.0

    def step(self, seconds):
        self.due = min(self.due + self.rate * seconds, 5)
        while self.due >= 1:
            self.due -= 1
            try:
                with socket.create_connection(self.address, timeout=0.5) as sock:
                    sock.sendall(b"%016d" % self.count)
                    sock.recv(16)
                self.count += 1
            except OSError:         # somebody has emptied the firewall's table
                self.failed += 1

    def summary(self):
        return "ok sessions=%d failed=%d" % (self.count, self.failed)


def run(load, control):
    print("ready", flush=True)
    paused, then = True, time.monotonic()
    while True:
        command = control.wait(None if paused else max(0.0, then + TICK - time.monotonic()))
        if command is None:
            now = time.monotonic()
            load.step(min(now - then, 5 * TICK))
            then = now
            continue
        (verb, *arguments), answer = command
        try:
            if verb in ("pause", "resume"):
                paused = verb == "pause"
                then = time.monotonic()
            elif verb == "rate":
                load.rate = float(arguments[0])
            elif verb in ("storm", "brief"):
                getattr(load, verb)(int(arguments[0]))
            else:
                raise ValueError("unknown command %s" % verb)
            answer(load.summary())
        except (ValueError, IndexError, AttributeError) as error:
            answer("error: %s" % error)


if __name__ == "__main__":
    if len(sys.argv) != 6 or sys.argv[1] not in ("entries", "sessions"):
        sys.exit(__doc__)
    run((Entries if sys.argv[1] == "entries" else Sessions)(*sys.argv[3:]), Control(sys.argv[2]))
