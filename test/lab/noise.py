"""Hostile input for the dedicated link: datagrams that no peer has sent.

usage: noise.py INTERFACE HOST PORT COUNT

Listens on INTERFACE for up to three seconds to real datagrams for PORT, then sends COUNT made-up ones to HOST: random
bytes of every size from none to the largest, and real ones that were cut off, lengthened, or had some bits turned.
Prints how many real ones it had to work with. The sequence is the same in every run."""
import random
import select
import socket
import struct
import sys
import time

ETH_P_ALL = 3
LARGEST = 65000


def overheard(interface, port, seconds, wanted):
    """UDP payloads for the port, seen on the wire (IPv4 and IPv6 without extension headers)."""
    found = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)) as sock:
        sock.bind((interface, ETH_P_ALL))
        until = time.monotonic() + seconds
        while len(found) < wanted and time.monotonic() < until:
            if not select.select([sock], [], [], 0.2)[0]:
                continue
            packet = sock.recv(65536)
            if packet[:1] and packet[0] >> 4 == 4 and packet[9] == 17:
                udp = (packet[0] & 15) * 4
            elif packet[:1] and packet[0] >> 4 == 6 and packet[6] == 17:
                udp = 40
            else:
                continue
            if struct.unpack_from("!H", packet, udp + 2)[0] == port:
                found.append(packet[udp + 8:])
    return found


def spoil(chance, real):
    """One bad datagram, made from a real one if there is one."""
    recipe = chance.randrange(6)
    if recipe == 0 or not real:
        return chance.randbytes(chance.choice((0, 1, 2, 7, 8, 15, 24, 40, 100, 1400)))
    if recipe == 1:
        return chance.randbytes(chance.choice((9000, 40000, LARGEST)))
    original = bytearray(chance.choice(real))
    if recipe == 2:
        return bytes(original[:chance.randrange(len(original))])
    if recipe == 3:
        return bytes(original) + chance.randbytes(chance.randrange(1, 64))
    for _ in range(chance.randrange(1, 5)):
        original[chance.randrange(len(original))] ^= 1 << chance.randrange(8)
    return bytes(original) if recipe == 4 else bytes(original[:24]) + chance.randbytes(chance.randrange(1400))


def main(interface, host, port, count):
    real = overheard(interface, port, 3, 12)
    chance = random.Random(20)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        for n in range(count):
            sock.sendto(spoil(chance, real), (host, port))
            if n % 20 == 19:
                time.sleep(0.01)        # not a test of the socket buffer
    print("overheard %d sent %d" % (len(real), count))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
