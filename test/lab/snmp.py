"""SNMP (RFC 1157, traps as in RFC 1905) for the lab: an agent that tells its address, and traps that tell the sender's.

usage: snmp.py serve HOLDFILE
       snmp.py client HOST STEP...

  get:COMMUNITY         asks the agent (port 161) for ipAdEntAddr; a community that begins with "held" is answered only
                        when HOLDFILE exists
  value                 the answer comes
  trap:ADDRESS          sends a trap (port 162) with its own address inside; the receiver, which answers here, must be told
                        of this one
  hold:FILE             wait until FILE exists

The kernel's helpers for SNMP announce nothing to a forwarded connection: behind SNAT they rewrite the addresses inside
traps. Linux 6.18 leaves those in the answers of a translated agent alone, and drops every translated trap of version 1
because its parser does not take them: so these are of version 2. steps.py tells what is printed."""
import socket
import sys

import steps
from steps import PATIENCE, datagrams

INTEGER, OCTETS, NULL, OID, SEQUENCE, IP_ADDRESS = 0x02, 0x04, 0x05, 0x06, 0x30, 0x40
GET, RESPONSE, TRAP = 0xA0, 0xA2, 0xA7
VERSION_2C = 1
IP_AD_ENT_ADDR = bytes([0x2B, 6, 1, 2, 1, 4, 20, 1, 1])
AGENT, RECEIVER = 161, 162
AGAIN = 1               # seconds until a request is sent again


def ber(tag, *parts):
    body = b"".join(parts)
    return bytes([tag, len(body)]) + body       # nothing here is longer than 127 bytes


def unwrap(data):
    """The (tag, content) pairs of one level."""
    parts = []
    while data:
        parts.append((data[0], data[2:2 + data[1]]))
        data = data[2 + data[1]:]
    return parts


def integer(value):
    return ber(INTEGER, bytes([value]))


def message(community, kind, value):
    binding = ber(SEQUENCE, ber(OID, IP_AD_ENT_ADDR), value)
    pdu = ber(kind, integer(1), integer(0), integer(0), ber(SEQUENCE, binding))
    return ber(SEQUENCE, integer(VERSION_2C), ber(OCTETS, community), pdu)


def address(text):
    return ber(IP_ADDRESS, socket.inet_aton(text))


def parse(data):
    """Community, kind and parts of the PDU."""
    _, community, pdu = unwrap(unwrap(data)[0][1])
    return community[1], pdu[0], unwrap(pdu[1])


def value_of(parts):
    return unwrap(unwrap(parts[3][1])[0][1])[1][1]


def own_address(peer):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(peer)
        return sock.getsockname()[0]


def serve(hold):
    def answer(sock, data, peer):
        community, kind, parts = parse(data)
        if kind == GET:
            if community.startswith(b"held"):
                steps.wait_for(hold)
            sock.sendto(message(community, RESPONSE, address(own_address(peer))), peer)
        elif kind == TRAP:
            # as text: this is to come back as it was seen, without being rewritten once more
            seen = socket.inet_ntoa(value_of(parts)).encode()
            sock.sendto(message(community, RESPONSE, ber(OCTETS, seen)), peer)

    steps.in_background(steps.datagram_loop, datagrams(socket.AF_INET, "0.0.0.0", RECEIVER), answer)
    steps.serve_datagrams(AGENT, answer)


class Client(steps.Client):
    def __init__(self, host):
        self.host = host
        self.agent, self.receiver = datagrams(socket.AF_INET), datagrams(socket.AF_INET)

    def step_get(self, community):
        self.agent.sendto(message(community.encode(), GET, ber(NULL)), (self.host, AGENT))
        return "port=%d" % self.agent.getsockname()[1]

    def step_value(self):
        self.agent.settimeout(PATIENCE)
        return "agent=" + socket.inet_ntoa(value_of(parse(self.agent.recv(65536))[2]))

    def step_trap(self, wanted):
        trap = message(b"public", TRAP, address(own_address((self.host, RECEIVER))))
        self.receiver.settimeout(AGAIN)
        for _ in range(PATIENCE // AGAIN):
            self.receiver.sendto(trap, (self.host, RECEIVER))
            try:
                seen = value_of(parse(self.receiver.recv(65536))[2]).decode()
            except socket.timeout:
                continue
            if seen != wanted:
                raise ValueError("the receiver was told of %s" % seen)
            return ""
        raise ValueError("no receiver answers")


if __name__ == "__main__":
    sys.exit(steps.main(__doc__, serve, Client))
