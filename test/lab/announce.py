"""Tells the neighbours that addresses live here now.

usage: announce.py INTERFACE ADDRESS...

IPv4: gratuitous ARP, as a request and as a reply (RFC 5227 section 3). IPv6: an unsolicited neighbour advertisement
with the override flag (RFC 4861 section 4.4) to all nodes."""
import socket
import struct
import sys

BROADCAST = b"\xff" * 6
ETH_P_ARP = 0x0806
NEIGHBOUR_ADVERTISEMENT = 136
OVERRIDE = 0x20000000
OPTION_TARGET_ADDRESS = 2


def announce_ipv4(interface, mac, address):
    ip = socket.inet_aton(address)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((interface, ETH_P_ARP))
        for operation in (1, 2):
            header = BROADCAST + mac + struct.pack("!H", ETH_P_ARP)
            sock.send(header + struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + mac + ip + BROADCAST + ip)


def announce_ipv6(interface, mac, address):
    message = struct.pack("!BBHI", NEIGHBOUR_ADVERTISEMENT, 0, 0, OVERRIDE) + socket.inet_pton(socket.AF_INET6, address)
    message += struct.pack("!BB", OPTION_TARGET_ADDRESS, 1) + mac
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        sock.sendto(message, ("ff02::1", 0, 0, socket.if_nametoindex(interface)))


def main(interface, addresses):
    with open("/sys/class/net/%s/address" % interface) as file:
        mac = bytes.fromhex(file.read().strip().replace(":", ""))
    for address in addresses:
        (announce_ipv6 if ":" in address else announce_ipv4)(interface, mac, address)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
