"""Generated data whose every byte is known from its position: 64-bit numbers, counted upwards, big endian.

What arrives can be checked without keeping what was sent, and a lost, doubled or swapped segment cannot go unnoticed."""
import struct

WORD = 8


def words(first, count):
    """The numbers first .. first+count-1 as bytes."""
    return struct.pack("!%dQ" % count, *range(first, first + count))


class Checker:
    """Takes the stream in pieces of any size and raises ValueError at the first wrong byte."""

    def __init__(self, first=0):
        self.first = first          # the number that the stream begins with
        self.checked = 0            # bytes found right so far

    def feed(self, data):
        first, skip = divmod(self.checked, WORD)
        count = (skip + len(data) + WORD - 1) // WORD
        if words(self.first + first, count)[skip:skip + len(data)] != data:
            raise ValueError("wrong data near byte %d" % self.checked)
        self.checked += len(data)
