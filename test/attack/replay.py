"""Sends a recording of the dedicated link again, in another order each time, from the addresses that it has.

usage: replay.py FILE RATE SECONDS [hello]

RATE is in datagrams a second. With "hello" only the HELLOs of ctsync are sent, which are what a restarting node listens
to. Prints "10000 in 2.0 s, fw1 4000 of them 300 fw2 6000 of them 400": how many, how many of these each node was sent,
and how many of those are HELLOs."""
import random
import sys
import time

import wire
from segment import NODES, Sender, frame


def is_hello(payload):
    return len(payload) > 3 and payload[0] == wire.MAGIC and payload[3] & wire.HELLO != 0


def read(path, only_hellos):
    lines = []
    with open(path, encoding="ascii") as file:
        for line in file:
            to, source, target, payload = (line.rstrip("\n").split(" ") + [""])[:4]
            payload = bytes.fromhex(payload)
            if is_hello(payload) or not only_hellos:
                lines.append((bytes.fromhex(to), source, target, payload))
    return lines


def main(path, rate, seconds, only_hellos):
    lines = read(path, only_hellos)
    if not lines:
        sys.exit("replay.py: there is nothing in " + path)
    chance = random.Random(3)
    frames = [frame(to, source, target, payload) for to, source, target, payload in lines]
    sender = Sender()
    began = time.monotonic()
    rounds = 0
    while time.monotonic() - began < seconds:
        chance.shuffle(frames)
        sender.send(frames, rate)
        rounds += 1
    text = "%d in %.1f s," % (rounds * len(lines), time.monotonic() - began)
    for name, address in NODES.items():
        payloads = [payload for _, source, _, payload in lines if source != address]
        text += " %s %d of them %d" % (name, rounds * len(payloads), rounds * sum(map(is_hello, payloads)))
    print(text)


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5) or sys.argv[4:] not in ([], ["hello"]):
        sys.exit(__doc__)
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), len(sys.argv) == 5)
