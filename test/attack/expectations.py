"""Forged expectations, one for each way to widen a hole, under masters that look genuine (docs/expectation-policy.md).

usage: expectations.py wire        in the name of fw1, on the dedicated link, without a seal: to be run on the switch
       expectations.py kernel      into the kernel's tables of the network namespace that it runs in

Every master is a TCP connection from 10.10.1.50, a source port for each, to 10.10.2.20:21 with the helper ftp. Number 0 is
as FTP would make it, to port 45000, so that one of them gets through. Prints how many were sent, or were taken by the kernel."""
import errno
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import inject
import wire

CLIENT, SERVER = "10.10.1.50", "10.10.2.20"
FULL = "255.255.255.255"
SIP = dict(protocol=17, helper="sip", port=5060, master_protocol=17)
IRC = dict(helper="irc", port=6667, src="0.0.0.0", mask="0.0.0.0", timeout=300)

# What differs from a lawful expectation of FTP.
FORGED = [
    dict(),
    dict(dst="10.10.2.77", dport=22),
    dict(src="0.0.0.0", mask="0.0.0.0"),
    dict(dport=22),
    dict(dst="10.10.3.2"),                                  # the firewall that is to commit it
    dict(flags=1),
    dict(orphan=True),
    dict(master_helper=None, port=80),
    dict(helper="sip", cls=3),
    dict(cls=0xFFFFFFFF),
    dict(src="10.0.2.0", mask="255.0.255.0"),
    dict(sport=20),
    dict(nat=("10.10.1.77", 2000)),
    dict(nat=(CLIENT, 2000)),
    dict(timeout=0),
    dict(timeout=1 << 31),
    dict(SIP, cls=1, src="0.0.0.0", mask="0.0.0.0", dst="10.10.2.77"),
    dict(SIP, dport=22),
    dict(fn="x" * 31),
    dict(dst="224.0.0.1"),
    dict(dst=FULL),
    dict(dst="0.0.0.0"),
    dict(dst="127.0.0.1"),
    dict(helper="pptp", port=1723, sport=3, mask_sport=0xFFFF),
    dict(protocol=17, helper="tftp", port=69, master_protocol=17, dport=45999),
    dict(protocol=17, helper="H.245", dport=1023),
    dict(protocol=0),
    dict(protocol=17),
    dict(src="0.0.0.0", mask="0.0.0.0", dst="0.0.0.0", dport=0, mask_dport=0),
] + [dict(IRC, dst=CLIENT, dport=46000 + n, shared=True) for n in range(20)]


class Forgery:
    def __init__(self, number, protocol=6, src=CLIENT, dst=SERVER, sport=0, dport=45000, mask=FULL, mask_sport=0,
                 mask_dport=0xFFFF, flags=0, cls=0, timeout=180, helper="ftp", fn="", nat=None, port=21, master_protocol=6,
                 master_helper="", orphan=False, shared=False):
        self.__dict__.update(locals())
        self.source_port = 30000 if shared else 31000 + number
        self.master_helper = helper if master_helper == "" else master_helper
        # below the limit of one for a class, so that it is not the reason
        if number and dport == 45000:
            self.dport = 45000 + number


FORGERIES = [Forgery(number, **change) for number, change in enumerate(FORGED)]


# --- on the wire ------------------------------------------------------------------------------------------------------

HELPER = 0x80
X_TIMEOUT, X_HELPER, X_FN, X_FLAGS, X_CLASS, X_NAT = 1, 4, 8, 16, 32, 64
EXPECTATION_SET = 4


def addresses(*texts):
    return b"".join(map(socket.inet_aton, texts))


def master_record(f, version):
    key = [2 | f.master_protocol << 8, 0, f.source_port | f.port << 16, addresses(CLIENT, SERVER)]
    bits = wire.PLAIN_REPLY | wire.STATUS | wire.TIMEOUT
    tail = [wire.ASSURED, 3600]
    if f.master_protocol == 6:
        bits |= wire.TCP_STATE
        tail.append(wire.TCP_ESTABLISHED | wire.BE_LIBERAL << 16 | wire.BE_LIBERAL << 24)
    if f.master_helper:
        bits |= HELPER
        tail.append(f.master_helper)
    return [wire.SET, version, bits] + key + tail


def expectation_record(f, version):
    bits = X_TIMEOUT | X_HELPER | X_FLAGS | X_CLASS | (X_FN if f.fn else 0) | (X_NAT if f.nat else 0)
    ports = f.protocol in (6, 17)
    record = [EXPECTATION_SET, version, bits, 2 | f.protocol << 8, 0, f.sport | f.dport << 16 if ports else 0, f.cls,
              f.mask_sport | f.mask_dport << 16, addresses(f.src, f.dst, f.mask, FULL),
              2 | f.master_protocol << 8, f.source_port | f.port << 16, addresses(CLIENT, SERVER), f.timeout, f.helper]
    record += [f.fn] if f.fn else []
    record.append(f.flags)
    if f.nat:
        record += [1, 2 | f.protocol << 8, f.nat[1], addresses(f.nat[0], "0.0.0.0")]
    return record


def on_wire():
    from knowledge import listen
    from segment import Sender, frame
    nodes = listen(8)
    fw1, fw2 = nodes["fw1"], nodes["fw2"]
    if not (fw1.is_known and fw2.is_known):
        sys.exit("expectations.py: not enough was heard")
    to, target = fw1.sends_to
    # ahead of what the genuine node says meanwhile: each number counts once
    sequence, version, frames = fw1.latest.sequence + 1000, 1 << 40, []
    for f in FORGERIES:
        sequence += 1
        version += 2
        records = [] if f.orphan else [master_record(f, version)]
        datagram = wire.plain(fw1.node, fw1.latest.tag, sequence, *records, expectation_record(f, version + 1))
        frames.append(frame(to, fw1.address, target, datagram))
    Sender().send(frames, 1000)
    print(len(frames))


# --- into the kernel --------------------------------------------------------------------------------------------------

CTA_HELP, EXP_NEW = 5, 0x200
CTA_EXPECT = dict(master=1, tuple=2, mask=3, timeout=4, helper=6, flags=8, cls=9, nat=10, fn=11)


def request(sock, kind, payload):
    flags = inject.NLM_F_REQUEST | inject.NLM_F_ACK | inject.NLM_F_CREATE | inject.NLM_F_EXCL
    sock.send(struct.pack("=IHHIIBBH", 20 + len(payload), kind, flags, 1, 0, socket.AF_INET, 0, 0) + payload)
    while True:
        data = sock.recv(65536)
        if struct.unpack_from("=H", data, 4)[0] == inject.NLMSG_ERROR:
            return -struct.unpack_from("=i", data, 16)[0]


def number(kind, value):
    return inject.attribute(kind, struct.pack("!I", value))


def into_kernel():
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, inject.NETLINK_NETFILTER)
    sock.bind((0, 0))
    taken = 0
    for f in FORGERIES:
        if f.timeout in (0, 1 << 31):                       # the kernel takes its own, so that it is lawful
            continue
        ends = (f.master_protocol, CLIENT, f.source_port, SERVER, f.port)
        back = (f.master_protocol, SERVER, f.port, CLIENT, f.source_port)
        if not f.orphan:
            parts = [inject.half(inject.CTA_TUPLE_ORIG, *ends), inject.half(inject.CTA_TUPLE_REPLY, *back),
                     number(inject.CTA_STATUS, wire.ASSURED), number(inject.CTA_TIMEOUT, 3600)]
            if f.master_protocol == 6:
                state = inject.attribute(1, struct.pack("!B", inject.ESTABLISHED))
                parts.append(inject.nest(inject.CTA_PROTOINFO, inject.nest(1, state)))
            if f.master_helper:
                parts.append(inject.nest(CTA_HELP, inject.attribute(1, f.master_helper.encode() + b"\0")))
            code = request(sock, inject.CT_NEW, b"".join(parts))
            if code not in (0, errno.EEXIST, errno.EOPNOTSUPP):
                sys.exit("expectations.py: master %d: %s" % (f.number, os.strerror(code)))
        parts = [inject.half(CTA_EXPECT["tuple"], f.protocol, f.src, f.sport, f.dst, f.dport),
                 inject.half(CTA_EXPECT["mask"], f.protocol, f.mask, f.mask_sport, FULL, f.mask_dport),
                 inject.half(CTA_EXPECT["master"], *ends), number(CTA_EXPECT["timeout"], f.timeout),
                 number(CTA_EXPECT["flags"], f.flags), number(CTA_EXPECT["cls"], f.cls),
                 inject.attribute(CTA_EXPECT["helper"], f.helper.encode() + b"\0")]
        if f.nat:
            saved = inject.half(2, f.protocol, f.nat[0], f.nat[1], "0.0.0.0", 0)
            parts.append(inject.nest(CTA_EXPECT["nat"], number(1, 1), saved))
        if f.fn:
            parts.append(inject.attribute(CTA_EXPECT["fn"], f.fn.encode() + b"\0"))
        taken += request(sock, EXP_NEW, b"".join(parts)) == 0
    print(taken)


if __name__ == "__main__":
    if sys.argv[1:] == ["wire"]:
        on_wire()
    elif sys.argv[1:] == ["kernel"]:
        into_kernel()
    else:
        sys.exit(__doc__)
