"""Sets one connlabel of the TCP connection from this client, over ctnetlink: the rule that would set it has to see a packet.

usage: label.py CLIENT NUMBER

The connection is 10.99.0.1's port 443 from port 5000. Prints nothing; an errno is an exception."""
import socket
import struct
import sys

from inject import attribute, half, nest, NETLINK_NETFILTER, NLM_F_ACK, NLM_F_REQUEST, TCP

CT_NEW, CTA_LABELS, CTA_LABELS_MASK = 0x100, 22, 23

client, number = sys.argv[1], int(sys.argv[2])
# words in host order
bits = struct.pack("=4I", *(1 << (number % 32) if word == number // 32 else 0 for word in range(4)))
payload = half(1, TCP, client, 5000, "10.99.0.1", 443) + attribute(CTA_LABELS, bits) + attribute(CTA_LABELS_MASK, bits)
sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
sock.bind((0, 0))
sock.send(struct.pack("=IHHIIBBH", 20 + len(payload), CT_NEW, NLM_F_REQUEST | NLM_F_ACK, 1, 0, socket.AF_INET, 0, 0) + payload)
error = -struct.unpack_from("=i", sock.recv(65536), 16)[0]
if error:
    raise OSError(error, "label")
