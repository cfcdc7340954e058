"""Writes the injected part of a mixed table into the kernel of this namespace.

usage: table.py make COUNT [labels]

Every kind that the kernel takes comes in turn; the number alone decides what an entry looks like. With `labels` some
have connlabels, which the kernel takes only where a rule uses them. The exit status is 1 if anything was refused."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
from ctnetlink import (ASSURED, FIXED_TIMEOUT, GRE, ICMP, ICMPV6, SCTP, SEEN_REPLY, TCP, UDP, UDPLITE, Kernel, inverse)  # noqa: E402

ESP, OSPF = 50, 89
BOTH = SEEN_REPLY | ASSURED
STATES = {"SYN_SENT": 1, "SYN_RECV": 2, "ESTABLISHED": 3, "FIN_WAIT": 4, "CLOSE_WAIT": 5, "LAST_ACK": 6, "TIME_WAIT": 7,
          "CLOSE": 8, "SYN_SENT2": 9}
NAT4, NAT6 = "203.0.113.77", "2001:db8:77::1"
INSIDE4, INSIDE6 = "10.77.0.5", "2001:db8:77::5"
WINDOW_SCALE, SACK_PERM, CLOSE_INIT = 1, 2, 4


def ends(number, family):
    """A client of its own for every number, and one of 250 servers."""
    if family == 6:
        return "2001:db8:1:%x::%x" % (number >> 8, (number & 255) + 1), "2001:db8:2::%x" % (number % 250 + 1)
    return "10.64.%d.%d" % (number >> 8, number & 255), "198.18.0.%d" % (number % 250 + 1)


def entry(number, family, proto, status, server_port=443, **more):
    client, server = ends(number, family)
    orig = {"src": client, "dst": server}
    if proto in (TCP, UDP, SCTP, UDPLITE):
        orig.update(sport=1024 + number * 7 % 60000, dport=server_port)
    made = {"family": family, "proto": proto, "orig": orig, "status": status, "zone_orig": 0, "zone_reply": 0,
            "timeout": 3000 + number % 1000}
    made.update(more)
    made.setdefault("reply", inverse(proto, made["orig"]))
    return made


def tcp(number, state="ESTABLISHED", **more):
    scale = number % 15
    flags = (WINDOW_SCALE if scale else 0) | (SACK_PERM if number % 2 else 0)
    late = STATES[state] >= STATES["FIN_WAIT"] and state != "SYN_SENT2"
    info = {"state": STATES[state], "scale_orig": scale, "scale_reply": 14 - scale if scale else 0,
            "flags_orig": flags | (CLOSE_INIT if late else 0), "flags_reply": flags}
    status = {"SYN_SENT": 0, "SYN_SENT2": 0, "SYN_RECV": SEEN_REPLY}.get(state, BOTH)
    return entry(number, more.pop("family", 4), TCP, more.pop("status", status), tcp=info, **more)


def translated(made, source=None, source_port=None, target=None, target_port=None):
    reply = dict(made["reply"])
    for field, value in (("dst", source), ("dport", source_port), ("src", target), ("sport", target_port)):
        if value is not None:
            reply[field] = value
    return dict(made, reply=reply)


def echo(number, family, code=0, **more):
    proto, kind = (ICMPV6, 128) if family == 6 else (ICMP, (8, 13, 15, 17)[number % 4])
    client, server = ends(number, family)
    orig = {"src": client, "dst": server, "type": kind, "code": code, "id": number & 0xffff}
    return entry(number, family, proto, SEEN_REPLY if number % 3 else 0, orig=orig, **more)


def gre(number, call):
    """Calls of one pair of hosts differ by their keys only (PPTP)."""
    orig = {"src": "10.63.0.1", "dst": "198.18.1.%d" % (number % 4 + 1), "sport": number & 0xffff, "dport": call}
    return entry(number, 4, GRE, BOTH, orig=orig)


def control(number, **more):
    return tcp(number, server_port=21, helper="ftp", **more)


def related(number, family=4, **zones):
    """A control connection with a helper, and the data connection that hangs from it."""
    master = control(number, family=family, **zones)
    data = tcp(number, family=family, **zones)
    data["orig"] = dict(data["orig"], sport=20000 + number % 40000, dport=30000 + number % 30000)
    data["reply"] = inverse(TCP, data["orig"])
    data["master"] = dict(master["orig"], proto=TCP)
    return [master, data]


def expected(number, snat):
    """A control connection, and the data connection that its helper awaits: passive, or active behind NAT."""
    master = control(number)
    client, server = master["orig"]["src"], master["orig"]["dst"]
    exact = {"src": "255.255.255.255", "dst": "255.255.255.255", "sport": 0, "dport": 65535}
    port = 1024 + number % 60000
    wanted = {"family": 4, "proto": TCP, "mask": exact, "master": dict(master["orig"], proto=TCP), "timeout": 290, "class": 0,
              "flags": 0, "helper": "ftp"}
    if not snat:
        return master, dict(wanted, tuple={"src": client, "dst": server, "sport": 0, "dport": port})
    # the server connects to the translated address; what the client really listens on is in the NAT part
    nat = {"dir": 1, "tuple": {"src": "0.0.0.0", "dst": "0.0.0.0", "sport": port, "dport": 0}}
    return (translated(master, source=NAT4, source_port=master["orig"]["sport"]),
            dict(wanted, tuple={"src": server, "dst": NAT4, "sport": 0, "dport": port}, nat=nat, fn="nat-follow-master"))


def adjusted(number):
    made = translated(control(number), source=NAT4)
    # a client of its own: its reply tuples must not meet those of the others
    made["seq_orig"] = [number * 77777 & 0xffffffff, number % 40, number % 40 + 3]
    made["seq_reply"] = [number * 3333 & 0xffffffff, -(number % 30) & 0xffffffff, -(number % 30) - 5 & 0xffffffff]
    return made


def zoned(number, orig, reply, family=4):
    return tcp(number, family=family, zone_orig=orig, zone_reply=reply, status=BOTH)


def helper(number, name, proto, port):
    return (tcp(number, server_port=port, helper=name) if proto == TCP else entry(number, 4, UDP, BOTH, port, helper=name))


def sctp(number, family):
    info = {"state": 1 + number % 8, "vtag_orig": number * 2654435761 & 0xffffffff, "vtag_reply": ~number & 0xffffffff}
    return entry(number, family, SCTP, BOTH, sctp=info)


# Makes connection number N of its kind; lists and pairs are more than one.
KINDS = (
    *(lambda n, s=state: tcp(n, s) for state in STATES),
    *(lambda n, s=state: tcp(n, s, family=6) for state in ("SYN_SENT", "ESTABLISHED", "FIN_WAIT", "TIME_WAIT")),
    *(lambda n: tcp(n) for _ in range(8)),
    lambda n: translated(tcp(n), source=NAT4),
    lambda n: translated(tcp(n), source="203.0.113.%d" % (n % 60), source_port=1024 + n % 60000),
    lambda n: translated(tcp(n), source_port=62000 + n % 3000),
    lambda n: translated(tcp(n), target=INSIDE4, target_port=8443),
    lambda n: translated(tcp(n), source="203.0.113.200", source_port=1024 + n % 60000, target=INSIDE4),
    lambda n: translated(tcp(n, family=6), source=NAT6, source_port=1024 + n % 60000),
    lambda n: translated(tcp(n, family=6), target=INSIDE6),
    lambda n: translated(entry(n, 4, UDP, BOTH, 53), source="203.0.113.201", source_port=1024 + n % 60000),
    lambda n: entry(n, 4, UDP, 0, 53),
    lambda n: entry(n, 4, UDP, SEEN_REPLY, 53),
    lambda n: entry(n, 4, UDP, BOTH, 123),
    lambda n: entry(n, 6, UDP, BOTH, 443),
    lambda n: entry(n, 4, UDPLITE, BOTH, 5004),
    lambda n: entry(n, 6, UDPLITE, SEEN_REPLY, 5004),
    lambda n: echo(n, 4),
    lambda n: echo(n, 4, reply={"src": ends(n, 4)[1], "dst": NAT4, "type": {8: 0, 13: 14, 15: 16, 17: 18}[(8, 13, 15, 17)[n % 4]],
                                "code": 0, "id": n * 5 & 0xffff}),
    lambda n: echo(n, 6),
    lambda n: sctp(n, 4),
    lambda n: sctp(n, 6),
    lambda n: [gre(n, 1), gre(n, 2)],
    lambda n: entry(n, 4, ESP, BOTH),
    lambda n: entry(n, 6, OSPF, SEEN_REPLY),
    lambda n: translated(entry(n, 4, ESP, BOTH), source="203.0.%d.%d" % (114 + (n >> 8), n & 255)),
    lambda n: zoned(n, 1 + n % 60000, 1 + n % 60000),
    lambda n: zoned(n, 1 + n % 60000, 0),
    lambda n: zoned(n, 0, 1 + n % 60000),
    lambda n: zoned(n, 7, 7, family=6),
    lambda n: zoned(n, 7, 0, family=6),
    lambda n: helper(n, "sip", UDP, 5060),
    lambda n: helper(n, "irc", TCP, 6667),
    lambda n: helper(n, "tftp", UDP, 69),
    lambda n: helper(n, "pptp", TCP, 1723),
    lambda n: tcp(n, mark=n * 40503 & 0xffffffff),
    lambda n: entry(n, 4, UDP, BOTH, 53, mark=0xffffffff),
    lambda n: tcp(n, status=BOTH | FIXED_TIMEOUT),
    lambda n: related(n),
    lambda n: related(n, family=6),
    lambda n: related(n, zone_orig=9, zone_reply=9),
    lambda n: expected(n, False),
    lambda n: expected(n, True),
    lambda n: adjusted(n),
    lambda n: tcp(n, synproxy=[n * 99991 & 0xffffffff, n, -n & 0xffffffff]),
)
LABELLED = (lambda n: tcp(n, labels=[n % 128]), lambda n: entry(n, 6, UDP, BOTH, 53, labels=[0, 127]))


def table(count, with_labels):
    kinds = KINDS + (LABELLED if with_labels else ())
    entries, expectations = [], []
    for number in range(1, 1 << 16):
        if len(entries) + len(expectations) >= count:
            break
        made = kinds[number % len(kinds)](number)
        if isinstance(made, tuple):
            entries.append(made[0])
            expectations.append(made[1])
        elif isinstance(made, list):
            entries.extend(made)
        else:
            entries.append(made)
    return entries, expectations


def make(count, with_labels):
    kernel = Kernel()
    entries, expectations = table(count, with_labels)
    # masters first
    refused = kernel.create([e for e in entries if "master" not in e]) + kernel.create([e for e in entries if "master" in e])
    refused += kernel.expect(expectations)
    print("made %d connections and %d expectations, refused %d" % (len(entries), len(expectations), len(refused)))
    for one, reason in refused[:5]:
        print("  %s: %s" % (reason, one), file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[1] != "make":
        sys.exit(__doc__)
    sys.exit(make(int(sys.argv[2]), "labels" in sys.argv[3:]))
