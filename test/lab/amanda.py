"""Amanda for the lab: what a backup server (the client here) and the daemon on a host to be backed up say to each other.

usage: amanda.py serve
       amanda.py client HOST STEP...

  backup                asks for a backup; the reply names three TCP ports (CONNECT DATA MESG INDEX)
  streams               opens all three and checks what comes
  noop                  another request on the same UDP flow
  hold:FILE             wait until FILE exists

steps.py tells what is printed."""
import re
import socket
import sys
import time

import steps
from pattern import Checker, WORD, words
from steps import PATIENCE, datagrams, family_of, listen, read_exactly

PORT = 10080
STREAMS = ("DATA", "MESG", "INDEX")
BYTES = 16384
AGAIN = 1               # seconds until a request is sent again


def serve():
    answered = {}           # a request that comes twice gets the same answer

    def stream(listener, name):
        conn = listener.accept()[0]
        conn.sendall(name.encode().ljust(8) + words(0, BYTES // WORD))

    def backup(family):
        ports = []
        for name in STREAMS:
            listener = listen(family, "::" if family == socket.AF_INET6 else "0.0.0.0")
            steps.in_background(stream, listener, name)
            ports.append("%s %d" % (name, listener.getsockname()[1]))
        return "CONNECT %s\n" % " ".join(ports)

    def answer(sock, data, peer):
        text = data.decode()
        kind, handle = re.match(r"Amanda \S+ (\S+) HANDLE (\S+)", text).groups()
        if kind != "REQ":
            return
        if (peer, handle) not in answered:
            body = backup(sock.family) if "SERVICE sendbackup" in text else ""
            answered[peer, handle] = "Amanda 3.5 REP HANDLE %s SEQ 1\n%sOPTIONS features=lab;\n" % (handle, body)
        sock.sendto(answered[peer, handle].encode(), peer)

    steps.serve_datagrams(PORT, answer)


class Client(steps.Client):
    def __init__(self, host):
        self.host, self.handle, self.ports = host, 0, []
        self.sock = datagrams(family_of(host))
        self.sock.connect((host, PORT))

    def request(self, service):
        self.handle += 1
        handle = "000-%08x" % self.handle
        text = "Amanda 3.5 REQ HANDLE %s SEQ 1\nSECURITY USER backup\nSERVICE %s\n" % (handle, service)
        end = time.monotonic() + PATIENCE
        self.sock.settimeout(AGAIN)
        while time.monotonic() < end:
            self.sock.send(text.encode())
            try:
                reply = self.sock.recv(65536).decode()
                while "HANDLE " + handle not in reply:
                    reply = self.sock.recv(65536).decode()
            except socket.timeout:
                continue
            self.sock.send(("Amanda 3.5 ACK HANDLE %s SEQ 1\n" % handle).encode())
            return reply
        raise ValueError("no answer to " + service)

    def step_noop(self):
        self.request("noop")

    def step_backup(self):
        line = re.search(r"CONNECT (.*)", self.request("sendbackup")).group(1).split()
        self.ports = list(zip(line[0::2], map(int, line[1::2])))
        return "port=" + ",".join("%d" % port for _, port in self.ports)

    def step_streams(self):
        for name, port in self.ports:
            try:
                with socket.create_connection((self.host, port), timeout=PATIENCE) as conn:
                    conn.settimeout(PATIENCE)
                    if read_exactly(conn, 8).decode().rstrip() != name:
                        raise ValueError("another stream")
                    Checker().feed(read_exactly(conn, BYTES))
            except (OSError, ValueError) as error:
                raise ValueError("%s: %s" % (name, error)) from error
        return "bytes=%d" % (BYTES * len(self.ports))


if __name__ == "__main__":
    sys.exit(steps.main(__doc__, serve, Client))
