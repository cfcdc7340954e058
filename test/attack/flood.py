"""Floods fw2 with forged datagrams in the name of fw1: those that cost a receiver most.

usage: flood.py SOURCE RATE SECONDS SENDERS

SOURCE is the IPv4 address that they seem to come from, or "peer" for that of fw1. RATE is for all senders, which are
processes, together. Prints "flooding" when it begins and "250000 in 5.0 s" at the end: as many as this machine can
send, if that is less."""
import os
import random
import sys
import time

import wire
from forge import FORGED, NEWEST, flipped
from knowledge import listen
from segment import Sender, frame

DIFFERENT = 2048


def hostile(chance, fw1):
    """One datagram with a header that no cheap check refuses, mostly."""
    latest = fw1.latest
    kind = chance.randrange(10)
    sequence = latest.sequence + chance.randrange(1000, 1 << 20)
    if kind < 5:
        return wire.sealed(chance, latest.sender, latest.tag, sequence, chance.choice((wire.AES, wire.CHACHA)))
    if kind == 5:                       # the right first word of the epoch: no HELLO of an unknown one
        epoch = latest.tag.to_bytes(4, "big") + chance.randbytes(12)
        return wire.sealed(chance, latest.sender, latest.tag, sequence, wire.AES, 1, wire.HELLO, epoch)
    if kind == 6:
        epoch = chance.randbytes(16)
        return wire.sealed(chance, latest.sender, int.from_bytes(epoch[:4], "big"), 1, wire.AES, 1, wire.HELLO, epoch)
    if kind == 7:                       # the checksum takes time to compute here, so there are few of them
        return wire.plain(latest.sender, latest.tag, sequence, wire.set_flow(NEWEST, wire.tcp_key(*FORGED)))
    seen = chance.choice(fw1.frames)
    if kind == 8:
        return flipped(seen.payload, chance.randrange(len(seen.payload) * 8))
    return seen.changed(sequence=sequence)


def main(source, rate, seconds, senders):
    fw1 = listen(8)["fw1"]
    if not fw1.is_known:
        sys.exit("flood.py: not enough was heard")
    chance = random.Random(4)
    to, target = fw1.sends_to
    source = fw1.address if source == "peer" else source
    frames = [frame(to, source, target, hostile(chance, fw1)) for _ in range(DIFFERENT)]
    print("flooding", flush=True)
    began = time.monotonic()
    read, write = os.pipe()
    for _ in range(senders):
        if os.fork() == 0:
            sent = Sender().send(frames, rate / senders, began + seconds)
            os.write(write, sent.to_bytes(8, "big"))
            os._exit(0)
    sent = sum(int.from_bytes(os.read(read, 8), "big") for _ in range(senders))
    print("%d in %.1f s" % (sent, time.monotonic() - began))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
