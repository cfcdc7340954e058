"""Prints, as JSON for peer.mjs, what a peer may have that meets every kind of answer from a kernel.

usage: mix.py COUNT       so many plain entries, and the special ones

The special ones meet what rehearsal.test.sh has put into the kernel's table. TCP port 1001: is there already; 1002: is there
as another connection's left-over, with another translation; UDP port 1003: wants a reply tuple that is taken; 1004: has a
helper that no kernel knows; 1005: hangs from a connection that nobody has; 1006 and 1007: translated; 1021: an FTP control
connection. Of the expectations the last is that connection's; the others hang from a connection that nobody has, and open
a way to somebody who has nothing to do with it."""
import json
import sys

SERVER = "198.51.100.2"
TCP, UDP = 6, 17


def conntrack(port, source="192.0.2.1", protocol=TCP, dport=443, reply=(), **more):
    """From source:port; `reply` replaces ends of the reply tuple."""
    entry = {
        "family": "ipv4", "protocol": protocol, "zoneOrig": 0, "zoneReply": 0, "status": 0x0E, "timeout": 3600,
        "orig": {"src": source, "dst": SERVER, "sport": port, "dport": dport},
        "reply": {"src": SERVER, "dst": source, "sport": dport, "dport": port, **dict(reply)},
    }
    if protocol == TCP:
        entry["tcp"] = {"state": "ESTABLISHED", "scaleOrig": 7, "scaleReply": 7, "flagsOrig": 3, "flagsReply": 3}
    return {**entry, **more}


def full(port, protocol=TCP, source="192.0.2.1", target=SERVER, dport=21):
    return {"family": "ipv4", "protocol": protocol, "src": source, "dst": target, "sport": port, "dport": dport}


def expectation(master, dport, target="192.0.2.1"):
    ones = "255.255.255.255"
    return {
        **full(0, source=SERVER, target=target, dport=dport), "zone": 0, "class": 0, "timeout": 300, "flags": 0,
        "helper": "ftp", "master": full(master),
        "mask": {**full(0, source=ones, target=ones, dport=65535)},
    }


def main(count):
    plain = [conntrack(2000 + n, protocol=UDP if n % 2 else TCP) for n in range(count)]
    special = [
        conntrack(1001),
        conntrack(1002, reply={"dst": "203.0.113.10"}),
        conntrack(1003, source="192.0.2.3", protocol=UDP, reply={"dst": "203.0.113.3"}),
        conntrack(1004, helper="nonesuch"),
        conntrack(1005, protocol=UDP, master={**full(9), "zone": 0}),
        conntrack(1006, reply={"dst": "203.0.113.9", "dport": 61006}),
        conntrack(1007, reply={"src": "10.0.0.7"}),
        conntrack(1021, dport=21, helper="ftp"),
    ]
    # in the order in which they are sent: who has the last has all
    expectations = [expectation(9, 5002), expectation(1021, 5003, target="192.0.2.200"), expectation(1021, 5001)]
    print(json.dumps({"conntracks": plain + special, "expectations": expectations}))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(int(sys.argv[1]))
