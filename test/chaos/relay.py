"""The cable between two firewalls, with faults. Joins two network devices frame by frame, so that addresses and
multicast stay as they are and neither daemon needs to know.

usage: relay.py SOCKET SEED NAME=DEVICE NAME=DEVICE

Obeys on the unix datagram socket SOCKET and answers each command with one line:
  set NAME|both KEY=VALUE...    faults of what NAME sends; they stay until "clear"
      cut=1             nothing gets through
      loss=P            this share is lost (0 to 1, as the others)
      dup=P             ... arrives twice
      flip=P            ... has one to four bits of its payload changed
      reorder=P         ... comes 1 to 30 ms late
      replay=P          ... is sent once more, 0.3 to 6 s later: also after a restart of either daemon
      delay=A-B         everything comes A to B milliseconds late
  clear                         the cable is whole again; what is under way still arrives
  stats                         what was done so far

Faults hit UDP only: what the kernels ask each other (ARP, neighbour discovery) passes, so that the figures are those of
the daemons. The seed decides the fate of the first, second, third ... frame of each direction. The checksum of a frame
that a kernel left for the network card to compute is left alone (PACKET_VNET_HDR), so that flipped bits reach the
daemon instead of failing at the receiver's UDP checksum."""
import heapq
import random
import select
import socket
import struct
import sys
import time

ETH_P_ALL = 3
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING, PACKET_MR_PROMISC = 263, 1, 15, 23, 1
SO_RCVBUFFORCE = 33
VNET_HDR = 10                       # bytes of struct virtio_net_hdr before each frame
ETHER = VNET_HDR + 14
BATCH = 64                          # frames taken from one device before the other has its turn
FAULTS = ("cut", "loss", "dup", "flip", "reorder", "replay")


def open_device(name):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 23)
    sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    sock.bind((name, ETH_P_ALL))
    sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, struct.pack("iHH8s", socket.if_nametoindex(name), PACKET_MR_PROMISC, 0, b""))
    sock.setblocking(False)
    return sock


def payload_of(frame):
    """Where the payload of a UDP frame begins; None for other frames."""
    kind = frame[ETHER - 2:ETHER]
    if kind == b"\x08\x00" and frame[ETHER + 9] == socket.IPPROTO_UDP:
        return ETHER + (frame[ETHER] & 15) * 4 + 8
    if kind == b"\x86\xdd" and frame[ETHER + 6] == socket.IPPROTO_UDP:
        return ETHER + 48
    return None


class Direction:
    """What one side sends."""

    def __init__(self, name, source, target, seed):
        self.name, self.source, self.target = name, source, target
        self.random = random.Random("%s %s" % (seed, name))
        self.counts = dict.fromkeys(("frames", "lost", "dup", "flip", "reorder", "replay", "unsent"), 0)
        self.clear()

    def clear(self):
        self.faults = dict.fromkeys(FAULTS, 0.0)
        self.delay = None

    def set(self, key, value):
        if key == "delay":
            low, high = value.split("-")
            self.delay = (float(low) / 1000, float(high) / 1000)
        elif key in self.faults:
            self.faults[key] = float(value)
        else:
            raise ValueError("unknown fault %s" % key)

    def hit(self, fault):
        share = self.faults[fault]
        return share > 0 and self.random.random() < share

    def copies(self, frame):
        """What becomes of a frame: pairs of seconds to wait and bytes."""
        payload = payload_of(frame)
        if payload is None:
            return [(0, frame)]
        self.counts["frames"] += 1
        if self.faults["cut"] or self.hit("loss"):
            self.counts["lost"] += 1
            return []
        wait = self.random.uniform(*self.delay) if self.delay else 0
        result = []
        if self.hit("replay"):
            self.counts["replay"] += 1
            result.append((wait + self.random.uniform(0.3, 6), frame))
        if self.hit("dup"):
            self.counts["dup"] += 1
            result.append((wait + self.random.uniform(0, 0.005), frame))
        if self.hit("reorder"):
            self.counts["reorder"] += 1
            wait += self.random.uniform(0.001, 0.03)
        if self.hit("flip") and payload < len(frame):
            self.counts["flip"] += 1
            frame = bytearray(frame)
            for _ in range(self.random.randint(1, 4)):
                frame[self.random.randrange(payload, len(frame))] ^= 1 << self.random.randrange(8)
        result.append((wait, frame))
        return result

    def send(self, frame):
        try:
            self.target.send(frame)
        except OSError:             # the device is down, or its queue is full: lost, as on any cable
            self.counts["unsent"] += 1


class Relay:
    def __init__(self, directions, control):
        self.directions, self.control = directions, control
        self.late, self.number = [], 0          # heap of (when, number, direction, frame)
        self.poll = select.poll()
        for sock in [control] + [direction.source for direction in directions]:
            self.poll.register(sock, select.POLLIN)

    def run(self):
        while True:
            wait = max(0.0, self.late[0][0] - time.monotonic()) * 1000 if self.late else None
            self.poll.poll(wait)
            for direction in self.directions:
                self.take(direction)
            while self.late and self.late[0][0] <= time.monotonic():
                _, _, direction, frame = heapq.heappop(self.late)
                direction.send(frame)
            self.obey()

    def take(self, direction):
        for _ in range(BATCH):
            try:
                frame = direction.source.recv(65536)
            except OSError:         # nothing waits, or the device went down
                return
            for wait, copy in direction.copies(frame):
                if wait == 0:
                    direction.send(copy)
                else:
                    self.number += 1
                    heapq.heappush(self.late, (time.monotonic() + wait, self.number, direction, copy))

    def obey(self):
        try:
            text, sender = self.control.recvfrom(4096)
        except BlockingIOError:
            return
        try:
            answer = self.command(text.decode().split())
        except (ValueError, IndexError) as error:
            answer = "error: %s" % error
        self.control.sendto(answer.encode(), sender)

    def command(self, words):
        if words[0] == "clear":
            for direction in self.directions:
                direction.clear()
        elif words[0] == "stats":
            return "; ".join("%s %s" % (d.name, " ".join("%s=%d" % item for item in d.counts.items())) for d in self.directions)
        elif words[0] == "set":
            chosen = [d for d in self.directions if words[1] in ("both", d.name)]
            if not chosen:
                raise ValueError("nobody is called %s" % words[1])
            for word in words[2:]:
                for direction in chosen:
                    direction.set(*word.split("=", 1))
        else:
            raise ValueError("unknown command %s" % words[0])
        return "ok"


def main(path, seed, first, second):
    names, devices = zip(*(word.split("=") for word in (first, second)))
    a, b = map(open_device, devices)
    control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    control.bind(path)
    control.setblocking(False)
    print("ready", flush=True)
    Relay([Direction(names[0], a, b, seed), Direction(names[1], b, a, seed)], control).run()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
