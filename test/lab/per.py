"""ASN.1 packed encoding, aligned variant (X.691), as far as H.225.0 and H.245 messages of the lab need it."""
import socket


class Bits:
    """What was written so far. Every method returns the object, so that a message reads as a list of its fields."""

    def __init__(self):
        self.bits = ""

    def bit(self, text):
        """Single bits: extension marks, maps of optional components, small choices; blanks are for the reader."""
        self.bits += text.replace(" ", "")
        return self

    def align(self):
        self.bits += "0" * (-len(self.bits) % 8)
        return self

    def octets(self, data):
        self.align()
        self.bits += "".join(format(byte, "08b") for byte in data)
        return self

    def word(self, number):
        return self.octets(number.to_bytes(2, "big"))

    def open(self, other):
        """An open type: a length and a whole encoding."""
        data = bytes(other)
        return self.octets(bytes([len(data)]) + data)

    def __bytes__(self):
        padded = self.bits + "0" * (-len(self.bits) % 8)
        return bytes(int(padded[n:n + 8], 2) for n in range(0, len(padded), 8))


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def find(data, address):
    """The port that follows the address in an encoding, and the address; what a NAT helper rewrites stands there."""
    for candidate in address:
        place = data.find(packed(candidate))
        if place >= 0:
            size = len(packed(candidate))
            return candidate, int.from_bytes(data[place + size:place + size + 2], "big")
    raise ValueError("none of the addresses %s in %s" % (", ".join(address), data.hex()))
