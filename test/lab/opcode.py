"""Sends numbers to a control socket as conntrackd's client does: four bytes, native byte order. Prints what comes back.

usage: opcode.py PATH NUMBER...
"""
import socket
import struct
import sys

path, numbers = sys.argv[1], [int(word) for word in sys.argv[2:]]
for number in numbers:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(20)
        sock.connect(path)
        sock.sendall(struct.pack("=i", number))
        while piece := sock.recv(65536):
            sys.stdout.buffer.write(piece)
