"""Real connections of many kinds through the firewalls, held open.

usage: traffic.py serve                        on the server: answers on the ports below
       traffic.py talk SERVER4 SERVER6 VIP4    on the client: opens everything, says "ready N", and waits to be ended

The rules that go with it (NAT, zones, marks, labels, helper, by destination port) are in fidelity.sh."""
import os
import select
import socket
import struct
import sys
import time

ADDRESSES = 8                       # connections of each kind
PLAIN, HALF_CLOSED, CLOSED, SILENT = 6000, 6001, 6002, 6003
SNAT, MASQUERADE, DNAT, BOTH, MARKED, UNMARKED, LABELLED, ZONE, ZONE_ORIG, ZONE_REPLY, SYNPROXY = range(6010, 6021)
TCP_PORTS = (PLAIN, HALF_CLOSED, CLOSED, SNAT, MASQUERADE, DNAT, BOTH, MARKED, UNMARKED, LABELLED, ZONE, ZONE_ORIG, ZONE_REPLY, SYNPROXY)
UDP_ANSWERED, UDP_ONE_WAY, UDP_SNAT, UDP_ZONE = 7000, 7001, 7002, 7003
ESP, OSPF, GRE, UDPLITE = 50, 89, 47, 136


def listener(family, port):
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(("", port))
    sock.listen(64)
    return sock


def udp(family, port, proto=0):
    sock = socket.socket(family, socket.SOCK_DGRAM, proto)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(("", port))
    return sock


def serve():
    """Echoes; whoever closes a connection to CLOSED is closed in turn, the others stay half closed."""
    streams = {listener(f, p): p for f in (socket.AF_INET, socket.AF_INET6) for p in TCP_PORTS}
    datagrams = [udp(f, p) for f in (socket.AF_INET, socket.AF_INET6) for p in (UDP_ANSWERED, UDP_ONE_WAY, UDP_SNAT, UDP_ZONE)]
    datagrams += [udp(f, UDP_ANSWERED, UDPLITE) for f in (socket.AF_INET, socket.AF_INET6) if has_udplite()]
    open_ones = {}
    print("listening", flush=True)
    while True:
        for sock in select.select([*streams, *datagrams, *open_ones], [], [])[0]:
            if sock in streams:
                open_ones[sock.accept()[0]] = streams[sock]
            elif sock in datagrams:
                data, sender = sock.recvfrom(2048)
                if sock.getsockname()[1] != UDP_ONE_WAY:
                    sock.sendto(data, sender)
            else:
                try:
                    data = sock.recv(2048)
                except OSError:
                    data = b""
                if data:
                    sock.sendall(data)
                else:
                    if open_ones.pop(sock) == CLOSED:
                        sock.close()
                    else:
                        kept.append(sock)


kept = []


def has_udplite():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM, UDPLITE).close()
        return True
    except OSError:
        return False


def stream(address, port):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(20)
    sock.connect((address, port))
    for word in (b"hello", b"again"):       # the second makes it ASSURED in both directions
        sock.sendall(word)
        sock.recv(16)
    kept.append(sock)
    return sock


def datagram(address, port, proto=0, words=1):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM, proto)
    sock.settimeout(20)
    sock.connect((address, port))
    for _ in range(words):
        sock.send(b"hello")
        if port != UDP_ONE_WAY:
            sock.recv(16)
    kept.append(sock)


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def ping(address, identifier):
    """The kernel computes the checksum of ICMPv6 itself."""
    six = ":" in address
    sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)
    message = struct.pack("!BBHHH", 128 if six else 8, 0, 0, identifier, 1) + b"ctsync!!"
    if not six:
        message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    sock.sendto(message, (address, 0))
    kept.append(sock)


def raw(address, proto, data):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_RAW, proto)
    sock.sendto(data, (address, 0))
    kept.append(sock)


def talk(server4, server6, vip4):
    count = 0
    for _ in range(ADDRESSES):
        for address in (server4, server6):
            for port in (PLAIN, MARKED, UNMARKED, LABELLED, ZONE, ZONE_ORIG, ZONE_REPLY, SNAT, MASQUERADE):
                stream(address, port)
            stream(address, HALF_CLOSED).shutdown(socket.SHUT_WR)
            closed = stream(address, CLOSED)
            closed.close()
            kept.remove(closed)
            datagram(address, UDP_ANSWERED)
            datagram(address, UDP_ANSWERED, words=3)
            datagram(address, UDP_ONE_WAY)
            datagram(address, UDP_ZONE)
            if has_udplite():
                datagram(address, UDP_ANSWERED, UDPLITE, words=3)
            count += 16
        for port in (DNAT, BOTH):
            stream(vip4, port)
        datagram(server4, UDP_SNAT, words=3)
        # nobody answers: SYN_SENT
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.connect_ex((server4, SILENT))
        kept.append(sock)
        count += 4
    if os.environ.get("WITH_SYNPROXY"):
        stream(server4, SYNPROXY)
    for number in range(ADDRESSES):
        ping(server4, 0x1000 + number)
        ping(server6, 0x2000 + number)
    raw(server4, ESP, struct.pack("!II", 0x12345678, 1) + bytes(16))
    raw(server6, OSPF, bytes(24))
    raw(server4, GRE, struct.pack("!HH", 0, 0x800) + bytes(20))
    print("ready %d" % count, flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    elif len(sys.argv) == 5 and sys.argv[1] == "talk":
        talk(*sys.argv[2:])
    else:
        sys.exit(__doc__)
