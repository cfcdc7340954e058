"""Sends one command to programs that obey on unix datagram sockets (relay.py, load.py) and prints their answers.

usage: ask.py SOCKET[,SOCKET]... WORD..."""
import os
import socket
import sys

targets = sys.argv[1].split(",")
# In the file system, because abstract names end at the border of a network namespace.
own = "%s.%d" % (targets[0], os.getpid())
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.bind(own)
sock.settimeout(20)
failed = False
try:
    for target in targets:
        sock.sendto(" ".join(sys.argv[2:]).encode(), target)
    for target in targets:
        answer = sock.recv(65536).decode()
        print(answer)
        failed |= answer.startswith("error")
except OSError as error:
    sys.exit("%s: %s" % (sys.argv[1], error))
finally:
    os.unlink(own)
sys.exit(1 if failed else 0)
