"""Reads and writes the kernel's tables over ctnetlink (linux/netfilter/nfnetlink_conntrack.h), independently of the daemon.

A connection is a dictionary. Always there: family (4 or 6), proto, orig, reply (tuples), status, zone_orig, zone_reply.
A tuple is a dictionary with src and dst, and what its protocol has: sport, dport; type, code, id. Where the kernel tells
them: timeout, mark, helper, master (a tuple with proto), tcp, sctp, seq_orig, seq_reply, labels (a set of bits),
synproxy, id, use. An expectation has family, proto, tuple, mask, master, and class, flags, timeout, helper, fn, nat, id.

To be created: the same, with the translated reply tuple; the NAT attributes follow from it."""
import errno
import socket
import struct

NETLINK_NETFILTER = 12
REQUEST, ACK, DUMP, EXCL, CREATE = 0x1, 0x4, 0x300, 0x200, 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
CT_NEW, CT_GET, CT_DELETE, EXP_NEW, EXP_GET = 0x100, 0x101, 0x102, 0x200, 0x201
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_CAP_ACK = 270, 1, 10
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
BATCH = 1000                        # messages in one send

EXPECTED, SEEN_REPLY, ASSURED, CONFIRMED, SRC_NAT, DST_NAT, SEQ_ADJUST = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x40
SRC_NAT_DONE, DST_NAT_DONE, DYING, FIXED_TIMEOUT, HELPER = 0x80, 0x100, 0x200, 0x400, 0x2000
TCP, UDP, GRE, ICMP, ICMPV6, SCTP, DCCP, UDPLITE = 6, 17, 47, 1, 58, 132, 33, 136
PORTS = (TCP, UDP, GRE, SCTP, DCCP, UDPLITE)

# Which ICMP type answers which.
INVERSE = {ICMP: {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17}, ICMPV6: {128: 129, 129: 128, 139: 140, 140: 139}}


# --- attributes --------------------------------------------------------------------------------------------------

def attribute(number, payload, nested=False):
    header = struct.pack("=HH", 4 + len(payload), number | (0x8000 if nested else 0))
    return header + payload + bytes(-len(payload) % 4)


def nest(number, *parts):
    return attribute(number, b"".join(parts), nested=True)


def u8(number, value):
    return attribute(number, struct.pack("!B", value))


def u16(number, value):
    return attribute(number, struct.pack("!H", value))


def u32(number, value):
    return attribute(number, struct.pack("!I", value & 0xffffffff))


def attributes(data):
    """Attributes by number; of several with one number the last."""
    found, at = {}, 0
    while at + 4 <= len(data):
        length, number = struct.unpack_from("=HH", data, at)
        if length < 4 or at + length > len(data):
            raise ValueError("an attribute's length lies")
        found[number & 0x3fff] = data[at + 4:at + length]
        at += length + 3 & ~3
    return found


def number_of(data):
    return int.from_bytes(data, "big")


# --- tuples ------------------------------------------------------------------------------------------------------

def write_tuple(kind, family, proto, tup, zone=0):
    shift = 2 if family == 6 else 0
    domain = socket.AF_INET6 if family == 6 else socket.AF_INET
    parts = [u8(1, proto)]
    if proto in (ICMP, ICMPV6):
        shift4 = 3 if proto == ICMPV6 else 0
        parts += [u16(4 + shift4, tup["id"]), u8(5 + shift4, tup["type"]), u8(6 + shift4, tup["code"])]
    elif "sport" in tup:
        parts += [u16(2, tup["sport"]), u16(3, tup["dport"])]
    return nest(
        kind,
        nest(1, attribute(1 + shift, socket.inet_pton(domain, tup["src"])), attribute(2 + shift, socket.inet_pton(domain, tup["dst"]))),
        nest(2, *parts),
        *([u16(3, zone)] if zone else []))


def read_tuple(data):
    """The tuple, its protocol, its zone."""
    parts = attributes(data)
    tup = {}
    for number, value in attributes(parts.get(1, b"")).items():
        domain = socket.AF_INET if len(value) == 4 else socket.AF_INET6
        tup["src" if number in (1, 3) else "dst"] = socket.inet_ntop(domain, value)
    proto = attributes(parts.get(2, b""))
    for name, numbers in (("sport", (2,)), ("dport", (3,)), ("id", (4, 7)), ("type", (5, 8)), ("code", (6, 9))):
        for number in numbers:
            if number in proto:
                tup[name] = number_of(proto[number])
    return tup, number_of(proto.get(1, b"\0")), number_of(parts.get(3, b"\0"))


def inverse(proto, tup):
    """The reply tuple when nothing is translated."""
    other = {"src": tup["dst"], "dst": tup["src"]}
    if "sport" in tup:
        other.update(sport=tup["dport"], dport=tup["sport"])
    if "type" in tup:
        other.update(id=tup["id"], code=tup["code"], type=INVERSE[proto].get(tup["type"], tup["type"]))
    return other


# --- connections -------------------------------------------------------------------------------------------------

def read_connection(family, data):
    a = attributes(data)
    orig, proto, zone_orig = read_tuple(a[1])
    reply, _, zone_reply = read_tuple(a[2])
    zone = number_of(a.get(18, b"\0"))
    entry = {"family": family, "proto": proto, "orig": orig, "reply": reply, "status": number_of(a.get(3, b"\0")),
             "zone_orig": zone_orig or zone, "zone_reply": zone_reply or zone}
    for name, number in (("timeout", 7), ("mark", 8), ("id", 12), ("use", 11)):
        if number in a:
            entry[name] = number_of(a[number])
    info = attributes(a.get(4, b""))
    if 1 in info:
        tcp = attributes(info[1])
        entry["tcp"] = {name: tcp.get(n, b"\0\0")[0] for n, name in
                        ((1, "state"), (2, "scale_orig"), (3, "scale_reply"), (4, "flags_orig"), (5, "flags_reply"))}
    if 3 in info:
        sctp = attributes(info[3])
        entry["sctp"] = {name: number_of(sctp.get(n, b"\0")) for n, name in ((1, "state"), (2, "vtag_orig"), (3, "vtag_reply"))}
    if 5 in a:
        entry["helper"] = attributes(a[5]).get(1, b"").rstrip(b"\0").decode()
    if 14 in a:
        master, master_proto, _ = read_tuple(a[14])
        entry["master"] = dict(master, proto=master_proto)
    for name, number in (("seq_orig", 15), ("seq_reply", 16), ("synproxy", 24)):
        if number in a:
            entry[name] = [number_of(value) for _, value in sorted(attributes(a[number]).items())]
    if 22 in a:
        words = struct.unpack("=%dI" % (len(a[22]) // 4), a[22])
        entry["labels"] = [bit for bit in range(32 * len(words)) if words[bit // 32] >> bit % 32 & 1]
    return entry


def nat(kind, family, proto, address, port):
    parts = [attribute(4 if family == 6 else 1, socket.inet_pton(socket.AF_INET6 if family == 6 else socket.AF_INET, address))]
    if port is not None:
        parts.append(nest(3, u16(1, port), u16(2, port)))
    return nest(kind, *parts)


def identity(entry):
    """What names the connection to the kernel: its original tuple and its zones."""
    same = entry["zone_orig"] == entry["zone_reply"]
    parts = [write_tuple(1, entry["family"], entry["proto"], entry["orig"], 0 if same else entry["zone_orig"])]
    if same and entry["zone_orig"]:
        parts.append(u16(18, entry["zone_orig"]))
    return parts


def write_connection(entry):
    family, proto, orig, reply = entry["family"], entry["proto"], entry["orig"], entry["reply"]
    plain = inverse(proto, orig)
    same = entry["zone_orig"] == entry["zone_reply"]
    parts = identity(entry)
    parts.append(write_tuple(2, family, proto, plain, 0 if same else entry["zone_reply"]))
    source = ("dport", "id")[proto in (ICMP, ICMPV6)]
    if reply["dst"] != plain["dst"] or reply.get(source) != plain.get(source):
        parts.append(nat(6, family, proto, reply["dst"], reply.get(source)))
    if reply["src"] != plain["src"] or reply.get("sport") != plain.get("sport"):
        parts.append(nat(13, family, proto, reply["src"], reply.get("sport")))
    # the kernel sets what it knows better
    parts.append(u32(3, entry["status"] & (SEEN_REPLY | ASSURED | FIXED_TIMEOUT) | CONFIRMED))
    parts.append(u32(7, entry["timeout"]))
    if "mark" in entry:
        parts.append(u32(8, entry["mark"]))
    if "tcp" in entry:
        t = entry["tcp"]
        parts.append(nest(4, nest(1, u8(1, t["state"]), attribute(4, bytes([t["flags_orig"], 0xff])), attribute(5, bytes([t["flags_reply"], 0xff])),
                                  u8(2, t["scale_orig"]), u8(3, t["scale_reply"]))))
    if "sctp" in entry:
        s = entry["sctp"]
        parts.append(nest(4, nest(3, u8(1, s["state"]), u32(2, s["vtag_orig"]), u32(3, s["vtag_reply"]))))
    if "helper" in entry:
        parts.append(nest(5, attribute(1, entry["helper"].encode() + b"\0")))
    if "master" in entry:
        parts.append(write_tuple(14, family, entry["master"]["proto"], entry["master"]))
    for name, number in (("seq_orig", 15), ("seq_reply", 16), ("synproxy", 24)):
        if name in entry:
            parts.append(nest(number, *(u32(i + 1, value) for i, value in enumerate(entry[name]))))
    if "labels" in entry:
        parts.append(attribute(22, struct.pack("=4I", *(sum(1 << bit % 32 for bit in entry["labels"] if bit // 32 == word) for word in range(4)))))
    return parts


# --- expectations ------------------------------------------------------------------------------------------------

def read_expectation(family, data):
    a = attributes(data)
    tup, proto, zone = read_tuple(a[2])
    mask, _, _ = read_tuple(a[3])
    master, master_proto, _ = read_tuple(a[1])
    entry = {"family": family, "proto": proto, "tuple": tup, "mask": mask, "zone": zone or number_of(a.get(7, b"\0")),
             "master": dict(master, proto=master_proto)}
    for name, number in (("timeout", 4), ("id", 5), ("flags", 8), ("class", 9)):
        if number in a:
            entry[name] = number_of(a[number])
    for name, number in (("helper", 6), ("fn", 11)):
        if number in a:
            entry[name] = a[number].rstrip(b"\0").decode()
    if 10 in a:
        parts = attributes(a[10])
        entry["nat"] = {"dir": number_of(parts[1]), "tuple": read_tuple(parts[2])[0]}
    return entry


def write_expectation(entry):
    family, proto = entry["family"], entry["proto"]
    parts = [write_tuple(1, family, entry["master"]["proto"], entry["master"]), write_tuple(2, family, proto, entry["tuple"]),
             write_tuple(3, family, proto, entry["mask"]), u32(4, entry["timeout"])]
    for name, number in (("flags", 8), ("class", 9)):
        if name in entry:
            parts.append(u32(number, entry[name]))
    for name, number in (("helper", 6), ("fn", 11)):
        if name in entry:
            parts.append(attribute(number, entry[name].encode() + b"\0"))
    if entry.get("zone"):
        parts.append(u16(7, entry["zone"]))
    if "nat" in entry:
        parts.append(nest(10, u32(1, entry["nat"]["dir"]), write_tuple(2, family, proto, entry["nat"]["tuple"])))
    return parts


# --- the socket --------------------------------------------------------------------------------------------------

class Kernel:
    def __init__(self, *groups):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 23)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 23)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self.sock.bind((0, 0))
        for group in groups:
            self.sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)

    def messages(self):
        """(type, flags, sequence, family, attributes or error) of one datagram."""
        data, at = self.sock.recv(1 << 16), 0
        while at + 16 <= len(data):
            length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", data, at)
            body = data[at + 16:at + length]
            if kind in (NLMSG_ERROR, NLMSG_DONE):
                yield kind, flags, sequence, 0, struct.unpack_from("=i", body)[0]
            else:
                yield kind, flags, sequence, {2: 4, 10: 6}.get(body[0], body[0]), body[4:]
            at += length + 3 & ~3

    def dump(self, kind, read):
        entries = []
        self.sock.send(struct.pack("=IHHIIBBH", 20, kind, REQUEST | DUMP, 1, 0, 0, 0, 0))
        while True:
            for what, _, _, family, body in self.messages():
                if what == NLMSG_DONE:
                    return entries
                if what == NLMSG_ERROR:
                    raise OSError(-body, "dump")
                entries.append(read(family, body))

    def connections(self):
        return self.dump(CT_GET, read_connection)

    def expectations(self):
        return self.dump(EXP_GET, read_expectation)

    def send_all(self, kind, flags, entries, write):
        """Sends a request for each; the refused ones as (entry, name of the errno)."""
        refused = []
        for start in range(0, len(entries), BATCH):
            batch = entries[start:start + BATCH]
            data = []
            for number, entry in enumerate(batch):
                payload = b"".join(write(entry))
                last = ACK if number == len(batch) - 1 else 0
                domain = socket.AF_INET6 if entry["family"] == 6 else socket.AF_INET
                data.append(struct.pack("=IHHIIBBH", 20 + len(payload), kind, REQUEST | flags | last, number, 0, domain, 0, 0) + payload)
            self.sock.send(b"".join(data))
            waiting = True
            while waiting:
                for what, _, number, _, code in self.messages():
                    if what == NLMSG_ERROR:
                        if code:
                            refused.append((batch[number], errno.errorcode.get(-code, str(-code))))
                        waiting = waiting and number != len(batch) - 1
        return refused

    def create(self, entries):
        return self.send_all(CT_NEW, CREATE | EXCL, entries, write_connection)

    def delete(self, entries):
        return self.send_all(CT_DELETE, 0, entries, identity)

    def expect(self, entries):
        return self.send_all(EXP_NEW, CREATE | EXCL, entries, write_expectation)
