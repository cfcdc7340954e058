"""Listens on an interface to UDP datagrams for a port and prints the payload of each as a line of hexadecimal digits.

usage: listen.py INTERFACE PORT SECONDS"""
import sys

from noise import overheard

if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    for payload in overheard(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), 10000):
        print(payload.hex())
