"""Waits until nodes hold what the kernels of their peers have, and says when that was.

usage: equal.py [--superset] [--nat] SINCE LIMIT GIVEUP NAME,NETNS,SOCKET[,PEER]...

For each node with a PEER: "conntrack -L" and "conntrack -L expect" (both families) in its network namespace against what
the peer's daemon prints for -e and -e exp, line by line. Neither daemon is asked whether it believes to be in sync. SINCE
is a time in milliseconds since 1970 from which to count, LIMIT and GIVEUP are seconds. Prints one line,
  equal MS                  at the latest by MS all were equal
  late MS                   the same, after LIMIT
  never                     not within GIVEUP
With --superset the peer may hold more than the kernel has. In the last two cases it says first what was different at LIMIT, and what the node's own daemon believes (internal); the exit status is 1.

A line of the kernel and one of a cache are brought into one form: protocol, state, original direction, answered or not,
assured or not, mark, helper; an expectation but for its remaining time. SOCKET is the control socket of the daemon, over
which conntrackd and ctsync answer to the same numbers. With --nat the caches are read as XML, which has the reply tuple, too (that of
conntrackd is empty): then the reply direction, and so every translation, is part of the form."""
import os
import re
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

INTERNAL, EXTERNAL, INTERNAL_EXPECT, EXTERNAL_EXPECT = 16, 17, 40, 41
XML = {INTERNAL: 24, EXTERNAL: 25}
PAUSE = 0.02                        # seconds between two comparisons
SHOWN = 6                           # differences of a kind that are printed
KERNEL = "for f in ipv4 ipv6; do conntrack -L -f $f 2>/dev/null; done; for f in ipv4 ipv6; do conntrack -L expect -f $f 2>/dev/null; done; :"


class Node:
    def __init__(self, text):
        self.name, self.netns, self.socket, self.peer = (text.split(",") + [None])[:4]

    def kernel(self):
        return subprocess.run(["ip", "netns", "exec", self.netns, "sh", "-c", KERNEL], capture_output=True, text=True, check=True).stdout

    def cache(self, *opcodes):
        return "".join(self.ask(XML.get(opcode, opcode) if NAT else opcode) for opcode in opcodes)

    def ask(self, opcode):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(5)
            sock.connect(self.socket)
            sock.sendall(struct.pack("=i", opcode))
            parts = []
            while data := sock.recv(1 << 20):
                parts.append(data)
        return b"".join(parts).decode()


NAT = "--nat" in sys.argv
KNOWN = {}                          # line without what runs by itself -> its form


def forms(text, is_kernel):
    """The lines of a table as a set; those of protocols that are not replicated are left out."""
    result = set()
    for line in text.splitlines():
        if line[:3] in ("tcp", "udp"):
            protocol, number, rest = line.split(None, 2)
            rest = rest.split(None, 1)[1] if is_kernel else rest.partition(" [active since")[0]
            key = (protocol, rest, is_kernel)
        elif line.startswith("<flow><meta direction"):
            if '"tcp"' not in line and '"udp"' not in line:
                continue
            key = ("xml", line, is_kernel)
        elif "proto=" in line[:24]:
            key = ("expect", line[line.index("proto="):].partition(" [active since")[0].rstrip(), is_kernel)
        else:
            continue
        form = KNOWN.get(key)
        if form is None:
            if key[0] == "expect":
                form = "expect " + key[1]
            else:
                form = form_of(*(words_of(line) if key[0] == "xml" else key[:2]))
            KNOWN[key] = form
        result.add(form)
    return result


def words_of(flow):
    """The protocol, and the rest in the words of a line, from one <flow> of the XML."""
    one = dict(re.findall(r"<(state|mark|helper)>([^<]*)<", flow))
    words = [one["state"]] if "state" in one else []
    words += ["%s=%s" % pair for pair in re.findall(r"<(src|dst|sport|dport)>([^<]*)<", flow) if pair[1]]
    words += [flag for flag, tag in (("[UNREPLIED]", "<unreplied/>"), ("[ASSURED]", "<assured/>")) if tag in flow]
    words += ["%s=%s" % (name, one[name]) for name in ("mark", "helper") if name in one]
    return re.search(r'<layer4 protonum="[0-9]*" protoname="([a-z]*)"', flow)[1], " ".join(words)


def form_of(protocol, rest):
    state, ends, flags, others = "-", [], [], []
    for word in rest.split():
        if word in ("[UNREPLIED]", "[ASSURED]"):
            flags.append(word)
        elif word.startswith(("mark=", "helper=")):
            others += [word] if word != "mark=0" else []
        elif word.startswith(("src=", "dst=", "sport=", "dport=")):
            ends += [word] if len(ends) < (8 if NAT else 4) else []
        elif word[0].isupper():
            state = word
    return " ".join([protocol, state] + ends + flags + others)


class Comparison:
    def __init__(self, nodes, superset):
        self.superset = superset
        self.pairs = [(node, next(peer for peer in nodes if peer.name == node.peer)) for node in nodes if node.peer]
        self.pool = ThreadPoolExecutor(4)

    def look(self):
        """When everything had been read, and [(node, peer, missing at the peer, too much at the peer)] of pairs that differ."""
        texts = [(self.pool.submit(node.kernel), self.pool.submit(peer.cache, EXTERNAL, EXTERNAL_EXPECT)) for node, peer in self.pairs]
        try:
            texts = [(kernel.result(), cache.result()) for kernel, cache in texts]
        except (OSError, ValueError) as error:
            return time.time(), [(node, peer, {"(no answer: %s)" % error}, set()) for node, peer in self.pairs]
        now = time.time()
        sets = [(forms(kernel, True), forms(cache, False)) for kernel, cache in texts]
        return now, [(node, peer, kernel - cache, cache - kernel) for (node, peer), (kernel, cache) in zip(self.pairs, sets)
                     if (kernel - cache if self.superset else kernel != cache)]

    def explain(self, found):
        for node, peer, missing, extra in found:
            print("%s has, %s does not: %d; %s holds, %s has not: %d" % (
                node.name, peer.name, len(missing), peer.name, node.name, len(extra)))
            try:
                internal = forms(node.cache(INTERNAL, INTERNAL_EXPECT), False)
            except OSError as error:
                print("  %s does not answer: %s" % (node.name, error))
                internal = set()
            print("  the daemon of %s knows %d of what is missing, and %d of what is too much" % (
                node.name, len(missing & internal), len(extra & internal)))
            for sign, entries in ("<", missing), (">", extra):
                for entry in sorted(entries)[:SHOWN]:
                    print("  %s %s%s" % (sign, entry, "   (in the internal cache)" if entry in internal else ""))


def main(since, limit, give_up, nodes, superset):
    comparison = Comparison(nodes, superset)
    looks, first, last = 0, None, None
    while True:
        at, found = comparison.look()
        at = at * 1000 - since
        looks += 1
        first = at if first is None else first
        if not found:
            print("%s %d (looks: %d, the first at %d)" % ("late" if at > limit * 1000 else "equal", at, looks, first))
            return 1 if at > limit * 1000 else 0
        if at > limit * 1000 and last is None:
            last = found
            comparison.explain(found)
        if at > give_up * 1000:
            print("at the end %s" % ", ".join("%s: %d and %d" % (node.name, len(missing), len(extra)) for node, _, missing, extra in found))
            print("never")
            return 1
        time.sleep(PAUSE)


if __name__ == "__main__":
    arguments = [word for word in sys.argv[1:] if word not in ("--superset", "--nat")]
    if len(arguments) < 4:
        sys.exit(__doc__)
    status = main(*map(float, arguments[:3]), [Node(text) for text in arguments[3:]], "--superset" in sys.argv)
    sys.stdout.flush()
    os._exit(status)                # whoever still waits for a daemon need not
