"""Compares the tables of two kernels field by field.

usage: compare.py dump FILE                    the table of this namespace, as JSON
       compare.py diff BEFORE AFTER [ELAPSED]  shares by field, for people; on the last line, for scripts, what is less
                                               than perfect, or "all equal"

BEFORE is the primary's, AFTER that of the node that took over; ELAPSED the seconds for which the oldest entry of BEFORE
had lived when AFTER was taken: timeouts that differ by no more count as equal. The exit status of `diff` is 1 if
anything that has to be equal is not.

What no node can give to another is counted apart (BESIDE): window edges are not in the kernel's interface, so a restored
TCP entry is marked BE_LIBERAL or learns them anew; the flags of the moment (MAXACK_SET, DATA_UNACKNOWLEDGED, challenge
ACK) belong to them; the *_DONE bits say that this kernel has asked its rules; counters, ids and use counts are a kernel's
own. GRE is counted apart as a whole: entries made over netlink die with their first packet on this kernel, so ctsync makes others that
do the same for as long as a tunnel lives (src/commit/gre-entry.ts)."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
from ctnetlink import (ASSURED, GRE, CONFIRMED, DST_NAT, EXPECTED, FIXED_TIMEOUT, HELPER, SEEN_REPLY, SEQ_ADJUST, SRC_NAT,  # noqa: E402
                       SRC_NAT_DONE, DST_NAT_DONE, Kernel)

BITS = {"EXPECTED": EXPECTED, "SEEN_REPLY": SEEN_REPLY, "ASSURED": ASSURED, "CONFIRMED": CONFIRMED, "SRC_NAT": SRC_NAT,
        "DST_NAT": DST_NAT, "SEQ_ADJUST": SEQ_ADJUST, "FIXED_TIMEOUT": FIXED_TIMEOUT, "HELPER": HELPER}
SEEN = sum(BITS.values())
LASTING = 0x1 | 0x2 | 0x4           # WINDOW_SCALE, SACK_PERM, CLOSE_INIT
BE_LIBERAL = 0x8
NOTHING = [0, 0, 0]


def of_tcp(name, mask=0xff):
    return lambda e: e["tcp"][name] & mask if "tcp" in e else None


def of_sctp(name):
    return lambda e: e["sctp"][name] if "sctp" in e else None


def synproxy(entry):
    """An entry made over netlink has the extension, empty."""
    return None if entry.get("synproxy", NOTHING) == NOTHING else entry["synproxy"]


def adjustment(name):
    """Zeros adjust nothing; a connection with NAT and a helper has the extension at once."""
    return lambda e: None if e.get(name, NOTHING) == NOTHING else e[name]


# How a field is read; a field that the entry of BEFORE does not have (None) is not counted unless AFTER has it.
FIELDS = {
    "reply tuple": lambda e: e["reply"],
    "status": lambda e: e["status"] & SEEN,
    "mark": lambda e: e.get("mark") or None,
    "TCP state": of_tcp("state"),
    "TCP flags, original": of_tcp("flags_orig", LASTING),
    "TCP flags, reply": of_tcp("flags_reply", LASTING),
    "window scale, original": of_tcp("scale_orig"),
    "window scale, reply": of_tcp("scale_reply"),
    "SCTP state": of_sctp("state"),
    "SCTP tag, original": of_sctp("vtag_orig"),
    "SCTP tag, reply": of_sctp("vtag_reply"),
    "helper": lambda e: e.get("helper"),
    "master": lambda e: e.get("master"),
    "sequence adjustment, original": adjustment("seq_orig"),
    "sequence adjustment, reply": adjustment("seq_reply"),
    "labels": lambda e: e.get("labels"),
    "synproxy": synproxy,
    "timeout": lambda e: e.get("timeout"),
}
BESIDE = {
    "BE_LIBERAL": lambda e: [e["tcp"][d] & BE_LIBERAL for d in ("flags_orig", "flags_reply")] if "tcp" in e else None,
    "TCP flags of the moment": lambda e: [e["tcp"][d] & ~LASTING & ~BE_LIBERAL for d in ("flags_orig", "flags_reply")] if "tcp" in e else None,
    "*_NAT_DONE": lambda e: e["status"] & (SRC_NAT_DONE | DST_NAT_DONE),
}
EXPECTATION_FIELDS = {
    "expectation: class": lambda e: e.get("class"),
    "expectation: flags": lambda e: e.get("flags"),
    "expectation: helper": lambda e: e.get("helper"),
    "expectation: function": lambda e: e.get("fn"),
    "expectation: NAT": lambda e: e.get("nat"),
    "expectation: timeout": lambda e: e.get("timeout"),
}


def name_of(entry):
    return json.dumps([entry["family"], entry["proto"], entry["zone_orig"], entry["zone_reply"], entry["orig"]], sort_keys=True)


def name_of_expectation(entry):
    return json.dumps([entry["family"], entry["proto"], entry["zone"], entry["tuple"], entry["mask"], entry["master"]], sort_keys=True)


def dump(file):
    kernel = Kernel()
    with open(file, "w") as out:
        json.dump({"at": time.time(), "connections": kernel.connections(), "expectations": kernel.expectations()}, out)


class Tally:
    def __init__(self):
        self.rows, self.examples = {}, {}

    def count(self, field, equal, example):
        right, total = self.rows.get(field, (0, 0))
        self.rows[field] = right + equal, total + 1
        if not equal:
            self.examples.setdefault(field, example)


def same(field, old, new, elapsed):
    if old is None and new is None:
        return None
    if field.endswith("timeout"):
        return old is not None and new is not None and abs(old - new) <= elapsed
    return old == new


def compare(before, after, fields, name, tally, elapsed, what):
    """Counts into `tally`; the entries of which every field is equal, and all."""
    there = {name(e): e for e in after}
    exact = 0
    for entry in before:
        twin = there.pop(name(entry), None)
        tally.count(what, twin is not None, name(entry))
        if twin is None:
            continue
        whole = True
        for field, read in fields.items():
            equal = same(field, read(entry), read(twin), elapsed)
            if equal is not None:
                tally.count(field, equal, "%s: %s -> %s" % (name(entry), read(entry), read(twin)))
                whole = whole and (equal or field in BESIDE)
        exact += whole
    for key in there:
        tally.examples.setdefault("%s that were not there before" % what, key)
    return exact, len(before), len(there)


def diff(before_file, after_file, elapsed):
    with open(before_file) as one, open(after_file) as two:
        before, after = json.load(one), json.load(two)
    # what would have been over by now is no loss
    passed = after["at"] - before["at"] + 2
    living = [e for e in before["connections"] if e.get("timeout", passed + 1) > passed]
    tally = Tally()
    tunnels = {name_of(e) for e in living if e["proto"] == GRE}
    kept = len(tunnels & {name_of(e) for e in after["connections"]})
    living = [e for e in living if e["proto"] != GRE]
    after["connections"] = [e for e in after["connections"] if e["proto"] != GRE]
    result = {}
    fields = {**FIELDS, **BESIDE}
    for what, old, new, rows, name in (("connections", living, after["connections"], fields, name_of),
                                       ("expectations", before["expectations"], after["expectations"], EXPECTATION_FIELDS, name_of_expectation)):
        exact, total, added = compare(old, new, rows, name, tally, elapsed, what)
        result[what] = exact, total
        print("%-34s %6d of %6d  %7.3f %%%s" % ("%s, every field" % what, exact, total, share(exact, total), ", %d more" % added if added else ""))
    print("%-34s %6d of %6d  %7.3f %%  (apart)" % ("GRE under the same keys", kept, len(tunnels), share(kept, len(tunnels))))
    over = len(before["connections"]) - len(living) - len(tunnels)
    if over:
        print("%d connections are left out: their time was up before the second dump" % over)
    for field, (right, total) in tally.rows.items():
        print("%-34s %6d of %6d  %7.3f %%%s" % (field, right, total, share(right, total), "  (apart)" if field in BESIDE else ""))
    wrong = [f for f, (right, total) in tally.rows.items() if right < total and f not in BESIDE]
    for field, example in tally.examples.items():
        if field not in BESIDE:
            print("# %s: %s" % (field, example))
    print("less than perfect: %s" % "; ".join(wrong) if wrong else "all equal")
    return 1 if wrong else 0


def share(part, whole):
    return 100 * part / whole if whole else 100


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "dump":
        dump(sys.argv[2])
    elif len(sys.argv) in (4, 5) and sys.argv[1] == "diff":
        sys.exit(diff(sys.argv[2], sys.argv[3], float(sys.argv[4]) if len(sys.argv) == 5 else 0))
    else:
        sys.exit(__doc__)
