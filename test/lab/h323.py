"""H.323 between a terminal and a gatekeeper behind the firewalls: RAS, Q.931 call signalling, H.245 control, media.

usage: h323.py client HOST STEP...

  register     RAS: RegistrationRequest and -Confirm; the terminal says where it can be called
  called       the gatekeeper calls the terminal there: Setup and Connect, both with an address for H.245
  calls        the terminal calls the gatekeeper's port 1720: the same the other way round
  forward      the gatekeeper tells the terminal to call another port of its host (Facility, callForwarded)
  forwarded    the terminal calls there
  control      H.245: the caller connects to where the called end wants it
  open         H.245: OpenLogicalChannel of the terminal, answered by the gatekeeper: RTP and RTCP, both ways
  media        RTP and RTCP both ways, each from a port of its own
  ping         a line each way on the Q.931 connection
  line         a line each way on the H.245 connection
  hold:FILE    wait until FILE exists

The encodings are the smallest that the kernel's decoder (nf_conntrack_h323_asn1.c) takes for whole."""
import socket
import sys

import steps
from ends import Ends, all_come, carries, channel_ends, main, receive
from per import Bits, find, packed

RAS, SIGNALLING, TERMINAL_SIGNALLING, FORWARDED = 1719, 1720, 12720, 13720
CONTROL = {"client": 14245, "server": 15245}
MEDIA = {"client": 42000, "server": 32000}
SECONDS = 600
OID = bytes([6, 0, 8, 0x91, 0x4A, 0, 4])       # length, then itu-t recommendation h 2250 version 0 4
SETUP, CONNECT, FACILITY = 0x05, 0x07, 0x62


def h225_address(bits, address, port):
    """TransportAddress: ipAddress or ip6Address."""
    bits.bit("0 011 0" if ":" in address else "0 000")
    return bits.octets(packed(address)).word(port)


def h245_address(bits, address, port):
    """TransportAddress: unicastAddress: iPAddress or iP6Address."""
    bits.bit("0 0  0 010 0" if ":" in address else "0 0  0 000 0")
    return bits.octets(packed(address)).word(port)


def endpoint(bits):
    """EndpointType without any optional component: mc and undefinedNode are false."""
    return bits.bit("0 000000 0 0")


def tpkt(data):
    return bytes([3, 0]) + (len(data) + 4).to_bytes(2, "big") + data


def q931(kind, user):
    """A Q.931 message: discriminator, call reference, type, the user-user element."""
    data = b"\x05" + bytes(user)
    return tpkt(bytes([8, 2, 0, 1, kind, 0x7E]) + len(data).to_bytes(2, "big") + data)


def setup(source, control):
    bits = Bits().bit("0 0  0 0  0 000  1 1000000").octets(OID)
    endpoint(h225_address(bits, *control)).bit("0").octets(bytes(16))      # activeMC, conferenceID
    bits.bit("0 00  0 00")                                                  # create, pointToPoint
    bits.bit("0000000 1").align()                                           # one extension: sourceCallSignalAddress
    return q931(SETUP, bits.open(h225_address(Bits(), *source)))


def connect(control):
    bits = Bits().bit("0 0  0 0  0 010  0 1").octets(OID)
    return q931(CONNECT, endpoint(h225_address(bits, *control)).octets(bytes(16)))


def facility(target):
    """Facility: callForwarded to an alternativeAddress."""
    bits = Bits().bit("0 0  0 0  0 110  0 100").octets(OID)
    return q931(FACILITY, h225_address(bits, *target).bit("0 01"))


def lifetime(bits, after):
    """The extensions timeToLive and the boolean that ends the root of this message's second version."""
    seconds = Bits().bit("01").octets((SECONDS - 1).to_bytes(2, "big"))
    return bits.bit("0000101 010001").align().open(seconds).open(after)


def registration_request(signal, ras):
    bits = Bits().bit("0 00011  1 000").word(0).octets(OID).bit("0")
    for address in (signal, ras):
        h225_address(bits.octets(b"\x01"), *address)
    endpoint(bits).bit("0 00  0").octets(bytes([0, 0])).word(0)            # endpointVendor
    return bytes(lifetime(bits, Bits().bit("0")))


def registration_confirm(signal):
    bits = Bits().bit("0 00100  1 000").word(0).octets(OID)
    h225_address(bits.octets(b"\x01"), *signal)
    bits.bit("0000000").octets(b"\0A")                                      # endpointIdentifier
    return bytes(lifetime(bits, Bits().bit("0")))


def open_channel(control):
    """OpenLogicalChannel of null data, with the address for RTCP; RTP is the port below."""
    media = Bits().bit("0 0000100000").octets(b"\x01")                     # sessionID 1
    bits = Bits().bit("0 00  0 0011  0 0").word(0).bit("0 0  0 001  1 0000000").align()
    return tpkt(bytes(bits.open(h245_address(media, *control))))


def open_channel_ack(media, control):
    ack = Bits().bit("0  0 00110")
    h245_address(h245_address(ack, *media), *control)
    bits = Bits().bit("0 01  0 00101  1 0").word(0).bit("0000001 01").align()
    return tpkt(bytes(bits.open(ack)))


def read_tpkt(sock):
    head = receive(sock, 4)
    if head[0] != 3:
        raise ValueError("no TPKT: " + head.hex())
    return receive(sock, int.from_bytes(head[2:], "big") - 4)


class Call(steps.Client):
    """Both ends. Every method named step_X is a step."""

    def __init__(self, host):
        self.ends = Ends(host)
        self.host = host
        self.own = self.ends.address
        # what an end may be called by the other one: behind NAT it is a firewall
        vips = {"client": ["10.10.2.254"], "server": [host]}
        self.names = {end: [self.own[end]] + vips[end] for end in self.own}
        self.signal_at = None       # where the gatekeeper calls the terminal
        self.forward_at = None
        self.control_at = None      # where the caller connects to for H.245
        self.caller = None
        self.signal = {}            # end -> its socket of the Q.931 connection
        self.control_of = {}
        self.call = []
        stream = socket.SOCK_STREAM
        self.ras = {"client": self.ends.socket("client", socket.SOCK_DGRAM), "server": self.ends.socket("server", socket.SOCK_DGRAM, RAS)}
        self.signalling = {"client": self.ends.socket("client", stream, TERMINAL_SIGNALLING),
                           "server": self.ends.socket("server", stream, SIGNALLING)}
        self.forwarding = self.ends.socket("server", stream, FORWARDED)
        self.controls = {end: self.ends.socket(end, stream, port) for end, port in CONTROL.items()}

    def step_register(self):
        near, far = self.ras["client"], self.ras["server"]
        request = registration_request((self.own["client"], TERMINAL_SIGNALLING), (self.own["client"], near.getsockname()[1]))
        near.sendto(request, (self.host, RAS))
        seen, source = far.recvfrom(4096)
        self.signal_at = find(seen, self.names["client"])
        far.sendto(registration_confirm((self.own["server"], SIGNALLING)), source)
        near.recvfrom(4096)
        return "called-at=%s:%d" % self.signal_at

    def step_called(self):
        if self.signal_at is None:
            raise ValueError("not registered")
        return self.dialogue("server", self.signal_at)

    def step_calls(self):
        return self.dialogue("client", (self.host, SIGNALLING))

    def dialogue(self, caller, where):
        answerer = "server" if caller == "client" else "client"
        near, far = channel_ends(self.signalling[answerer], lambda: self.ends.connect(caller, where))
        self.caller, self.signal = caller, {caller: near, answerer: far}
        near.sendall(setup((self.own[caller], near.getsockname()[1]), (self.own[caller], CONTROL[caller])))
        back = find(read_tpkt(far), self.names[caller])
        far.sendall(connect((self.own[answerer], CONTROL[answerer])))
        self.control_at = find(read_tpkt(near), self.names[answerer])
        return "control-at=%s:%d or %s:%d" % (self.control_at + back)

    def step_forward(self):
        near, far = self.both(self.signal)
        far.sendall(facility((self.own["server"], FORWARDED)))
        self.forward_at = find(read_tpkt(near), self.names["server"])
        return "%s:%d" % self.forward_at

    def step_forwarded(self):
        carries(*channel_ends(self.forwarding, lambda: self.ends.connect("client", self.forward_at)))

    def step_ping(self):
        carries(*self.both(self.signal))

    def step_control(self):
        if self.control_at is None:
            raise ValueError("no call")
        answerer = "server" if self.caller == "client" else "client"
        near, far = channel_ends(self.controls[answerer], lambda: self.ends.connect(self.caller, self.control_at))
        self.control_of = {self.caller: near, answerer: far}

    def step_line(self):
        carries(*self.both(self.control_of))

    def both(self, sockets):
        """The terminal's socket and the gatekeeper's."""
        if not sockets:
            raise ValueError("no connection")
        return sockets["client"], sockets["server"]

    def step_open(self):
        near, far = self.both(self.control_of)
        near.sendall(open_channel((self.own["client"], MEDIA["client"] + 1)))
        self.agreed("server", "client", find(read_tpkt(far), self.names["client"]), 1)
        far.sendall(open_channel_ack((self.own["server"], MEDIA["server"]), (self.own["server"], MEDIA["server"] + 1)))
        self.agreed("client", "server", find(read_tpkt(near), self.names["server"]), 0)
        return " ".join("%s->%s:%d" % ((flow[0],) + flow[2]) for flow in self.call)

    def agreed(self, sender, receiver, told, odd):
        """`told` is the address that the sender has read; its RTP port is the even one."""
        address, port = told[0], told[1] - odd
        self.call = [flow for flow in self.call if not flow[0].startswith(sender)]
        for more, name in enumerate(("RTP", "RTCP")):
            into = self.ends.socket(receiver, socket.SOCK_DGRAM, MEDIA[receiver] + more)
            out = self.ends.socket(sender, socket.SOCK_DGRAM)
            self.call.append(("%s %s" % (sender, name), out, (address, port + more), into))

    def step_media(self):
        return all_come(self.call)


if __name__ == "__main__":
    sys.exit(main(__doc__, Call))
