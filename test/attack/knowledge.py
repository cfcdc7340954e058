"""What somebody on the dedicated link learns about both nodes by listening to it."""
import time

import conntrackd
import wire
from segment import NODES, overhear


class Node:
    """One of the two, as an attacker sees it."""

    def __init__(self, address):
        self.address = address
        self.hardware = None            # of its interface
        self.sends_to = None            # hardware and IPv4 address of what it sends
        self.payloads = []
        self.frames = []                # those of ctsync, in the order of the wire
        self.hello = None               # the latest
        self.sequence = None            # conntrackd's latest

    def heard(self, datagram):
        self.hardware, self.sends_to = datagram.origin, (datagram.to, datagram.target)
        self.payloads.append(datagram.payload)
        try:
            frame = wire.Frame(datagram.payload)
        except ValueError:
            self.sequence = conntrackd.sequence_of(datagram.payload) or self.sequence
            return
        self.frames.append(frame)
        if frame.is_hello:
            self.hello = frame

    @property
    def latest(self):
        """The frame with the highest sequence number of the latest epoch."""
        tag = self.frames[-1].tag
        return max((frame for frame in self.frames if frame.tag == tag), key=lambda frame: frame.sequence)

    @property
    def node(self):
        return self.frames[-1].sender

    @property
    def is_known(self):
        """Nothing more is to be learnt than what has been said."""
        if self.frames:
            return self.hello is not None and any(not frame.is_hello for frame in self.frames)
        return self.sequence is not None


def listen(seconds):
    """Both nodes by name, as soon as enough is known of them, but after so many seconds anyhow."""
    nodes = {name: Node(address) for name, address in NODES.items()}
    by_address = {node.address: node for node in nodes.values()}
    for datagram in overhear(time.monotonic() + seconds):
        if datagram and datagram.source in by_address:
            by_address[datagram.source].heard(datagram)
        if all(node.is_known for node in nodes.values()):
            break
    return nodes
