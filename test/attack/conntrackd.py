"""The messages of conntrackd's own protocol (version 1), as far as it takes to forge a connection and a keepalive.

Every message is type, flags, length, sequence number; attributes are length, number, value, padded to four bytes. All
of it big-endian."""
import socket
import struct

NEW, CONTROL = 0x10, 0x1A
ALIVE = 0x10
IPV4, PROTOCOL, PORTS, TCP_STATE, STATUS, TIMEOUT = 0, 2, 3, 4, 5, 6
TCP, ESTABLISHED = 6, 3
ASSURED = 0x2 | 0x4 | 0x8


def attribute(number, value):
    return struct.pack("!HH", 4 + len(value), number) + value + bytes(-len(value) % 4)


def message(kind, flags, sequence, payload=b""):
    return struct.pack("!BBHI", kind, flags, 8 + len(payload), sequence & 0xFFFFFFFF) + payload


def flow(sequence, source, source_port, target, target_port):
    """An established, assured TCP connection."""
    return message(NEW, 0, sequence, b"".join((
        attribute(IPV4, socket.inet_aton(source) + socket.inet_aton(target)),
        attribute(STATUS, struct.pack("!I", ASSURED)),
        attribute(PROTOCOL, bytes([TCP])),
        attribute(PORTS, struct.pack("!HH", source_port, target_port)),
        attribute(TCP_STATE, bytes([ESTABLISHED])),
        attribute(TIMEOUT, struct.pack("!I", 3600)))))


def alive(sequence):
    """Eight bytes."""
    return message(CONTROL, ALIVE, sequence)


def sequence_of(payload):
    """Of the last message in a datagram, or None if it holds none."""
    found, at = None, 0
    while at + 8 <= len(payload):
        kind, _, length, sequence = struct.unpack_from("!BBHI", payload, at)
        if kind >> 4 != 1 or length < 8:
            break
        found, at = sequence, at + length
    return found
