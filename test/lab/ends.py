"""Both ends of a conversation in one process: sockets in the namespaces of the client and of the server.

A conversation through the firewalls is a sequence: one end says something, the other one answers. With both ends in
one process that sequence is plain code, and nobody has to be told when to go on. To be imported by the scripts of
single protocols, which run at the client; their "serve" does nothing, because the client is the server, too."""
import contextlib
import ctypes
import glob
import os
import select
import socket
import threading
import time

import steps

PATIENCE = 3.0          # seconds that an end waits for anything
TRIES = 4               # how often a datagram is sent that nobody acknowledges
CLONE_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def namespace(name):
    """Sockets that are made inside belong to this network namespace, and stay there."""
    with open("/proc/self/ns/net", "rb") as home, open("/run/netns/" + name, "rb") as there:
        enter(there)
        try:
            yield
        finally:
            enter(home)


def enter(file):
    if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def own_lab():
    """The prefix of the lab's namespaces: this process runs in the one of the client."""
    own = os.stat("/proc/self/ns/net").st_ino
    for path in glob.glob("/run/netns/*-client"):
        if os.stat(path).st_ino == own:
            return os.path.basename(path)[:-len("-client")]
    raise OSError("not in the namespace of a client")


class Ends:
    """Makes the sockets of both ends. `address` is the client's own address and the server's, by name of the end."""

    def __init__(self, host):
        self.lab = own_lab()
        self.host = host
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.address = {end: self.own_address(end) for end in ("client", "server")}

    def own_address(self, end):
        """The address that the other network is reached from."""
        far = {"client": "10.10.2.20", "server": "10.10.1.10"}
        if self.family == socket.AF_INET6:
            far = {"client": "fd10:2::20", "server": "fd10:1::10"}
        with namespace("%s-%s" % (self.lab, end)), socket.socket(self.family, socket.SOCK_DGRAM) as sock:
            sock.connect((far[end], 9))
            return sock.getsockname()[0]

    def socket(self, end, kind, port=0, protocol=0):
        """A bound socket at "client" or "server"; a TCP socket listens. Port 0 is any port."""
        with namespace("%s-%s" % (self.lab, end)):
            sock = socket.socket(self.family, kind, protocol)
        sock.settimeout(PATIENCE)
        if kind != socket.SOCK_RAW:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self.address[end], port))
        if kind == socket.SOCK_STREAM:
            sock.listen(4)
        return sock

    def connect(self, end, far, port=0):
        """A TCP connection from this end to the address and port `far`."""
        with namespace("%s-%s" % (self.lab, end)):
            sock = socket.socket(self.family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.settimeout(PATIENCE)
        sock.bind((self.address[end], port))
        sock.connect(far)
        return sock


def lost(flows):
    """Sends a datagram of each flow (NAME, SENDER, TARGET, RECEIVER) until it has come; the names of those that did not."""
    missing = {flow[3]: flow for flow in flows}
    for _ in range(TRIES):
        for name, sender, target, _ in missing.values():
            # A firewall that rejects shows up here as an error of an earlier datagram.
            with contextlib.suppress(OSError):
                sender.sendto(name.encode(), target)
        limit = time.time() + PATIENCE / TRIES
        while missing and limit > time.time():
            for sock in select.select(list(missing), [], [], max(0, limit - time.time()))[0]:
                if sock.recv(4096) == missing[sock][0].encode():
                    del missing[sock]
    return [flow[0] for flow in missing.values()]


def all_come(flows):
    """For a step: raises an error that names the flows that do not get through."""
    if not flows:
        raise ValueError("no channel")
    names = lost(flows)
    if names:
        raise ValueError("%d of %d lost: %s" % (len(names), len(flows), ", ".join(names)))
    return "%d flows" % len(flows)


def channel_ends(listener, connect):
    """Opens a TCP connection; both its sockets."""
    near = connect()
    listener.settimeout(PATIENCE)
    far, _ = listener.accept()
    far.settimeout(PATIENCE)
    return near, far


def carries(near, far):
    """Raises an error unless a line gets through both ways."""
    for one, other in ((near, far), (far, near)):
        one.sendall(b"line\n")
        if receive(other, 5) != b"line\n":
            raise OSError("the channel carries something else")


def receive(sock, count):
    """Exactly so many bytes of a TCP connection."""
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise OSError("closed by the other end")
        data += part
    return data


def main(doc, client):
    """For the scripts: steps.main without a server of its own."""
    return steps.main(doc, serve, client)


def serve(*_):
    steps.say("listening")
    threading.Event().wait()
