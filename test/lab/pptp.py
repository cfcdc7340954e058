"""PPTP (RFC 2637): control connections from a client to an access concentrator, and the GRE packets of their calls.

usage: pptp.py client HOST STEP...

  connect      one more control connection: Start-Control-Connection, request and reply
  call         on each connection that has none yet: Outgoing-Call, request and reply
  gre          a GRE packet with a payload of its own each way on every call
  up, down     the same in one direction: from the client, from the server
  echo         Echo request and reply on every control connection
  clear        Call-Clear-Request and Call-Disconnect-Notify on the first connection
  hold:FILE    wait until FILE exists

With NAT the helper rewrites the client's call id, so each end uses the numbers that it was told by the other one."""
import contextlib
import socket
import struct
import sys

import steps
from ends import Ends, PATIENCE, TRIES, channel_ends, main, receive

PORT, GRE = 1723, 47
MAGIC = 0x1A2B3C4D
START_REQUEST, START_REPLY, ECHO_REQUEST, ECHO_REPLY, CALL_REQUEST, CALL_REPLY, CLEAR, DISCONNECT = 1, 2, 5, 6, 7, 8, 12, 13
GRE_KEY, GRE_SEQUENCE, GRE_VERSION, GRE_PPP = 0x2000, 0x1000, 1, 0x880B
FIRST_CLIENT_CALL, FIRST_SERVER_CALL = 0x0111, 0x0222


class Session:
    """One control connection; its only call."""

    def __init__(self, number, client, server):
        self.number = number
        self.client = client
        self.server = server
        self.call_at = {}           # end -> (its own call id, the other end's as it was told)


def send(sock, kind, body):
    sock.sendall(struct.pack("!HHIHH", 12 + len(body), 1, MAGIC, kind, 0) + body)


def expect(sock, kind):
    length, _, magic, seen, _ = struct.unpack("!HHIHH", receive(sock, 12))
    body = receive(sock, length - 12)
    if magic != MAGIC or seen != kind:
        raise ValueError("message %d instead of %d" % (seen, kind))
    return body


class Tunnels(steps.Client):
    """Both ends. Every method named step_X is a step."""

    def __init__(self, host):
        self.ends = Ends(host)
        self.host = host
        self.sessions = []
        self.sequence = 0
        self.listener = self.ends.socket("server", socket.SOCK_STREAM, PORT)
        self.raw = {end: self.ends.socket(end, socket.SOCK_RAW, protocol=GRE) for end in ("client", "server")}

    def step_connect(self):
        client, server = channel_ends(self.listener, lambda: self.ends.connect("client", (self.host, PORT)))
        send(client, START_REQUEST, struct.pack("!HHIIHH64s64s", 0x0100, 0, 3, 3, 0, 1, b"client", b"lab"))
        expect(server, START_REQUEST)
        send(server, START_REPLY, struct.pack("!HBBIIHH64s64s", 0x0100, 1, 0, 3, 3, 1, 1, b"server", b"lab"))
        expect(client, START_REPLY)
        self.sessions.append(Session(len(self.sessions), client, server))
        return "port=%d" % client.getsockname()[1]

    def step_call(self):
        for session in self.sessions:
            if session.call_at:
                continue
            own, far = FIRST_CLIENT_CALL + session.number, FIRST_SERVER_CALL + session.number
            send(session.client, CALL_REQUEST, struct.pack(
                "!HHIIIIHHHH64s64s", own, 1, 2400, 10000000, 3, 3, 64, 0, 0, 0, b"", b""))
            told_server = struct.unpack_from("!H", expect(session.server, CALL_REQUEST))[0]
            send(session.server, CALL_REPLY, struct.pack("!HHBBHIHHI", far, told_server, 1, 0, 0, 10000000, 64, 0, 0))
            told_client, echoed = struct.unpack_from("!HH", expect(session.client, CALL_REPLY))
            if echoed != own:
                raise ValueError("the answer is for call %d, not %d" % (echoed, own))
            session.call_at = {"client": (own, told_client), "server": (far, told_server)}
        return " ".join("client=%d server-knows=%d server=%d" % (s.call_at["client"][0], s.call_at["server"][1],
                                                                s.call_at["server"][0]) for s in self.sessions)

    def step_gre(self):
        return self.through(("client", "server"))

    def step_up(self):
        return self.through(("client",))

    def step_down(self):
        return self.through(("server",))

    def through(self, senders):
        lost = []
        for session in self.sessions:
            if not session.call_at:
                raise ValueError("no call")
            for sender in senders:
                if not self.packet(session, sender):
                    lost.append("call %d from the %s" % (session.number, sender))
        if lost:
            raise ValueError("lost: " + ", ".join(lost))
        return "%d packets" % (len(senders) * len(self.sessions))

    def packet(self, session, sender):
        """Does a packet of this call reach the other end under the call id that it knows?"""
        receiver = "server" if sender == "client" else "client"
        target = session.call_at[sender][1]
        own = session.call_at[receiver][0]
        # The server answers where the control connection came from.
        address = self.host if sender == "client" else session.server.getpeername()[0]
        self.raw[receiver].settimeout(PATIENCE / TRIES)
        for _ in range(TRIES):
            self.sequence += 1
            text = b"%s %d %d" % (sender.encode(), session.number, self.sequence)
            header = struct.pack("!HHHHI", GRE_KEY | GRE_SEQUENCE | GRE_VERSION, GRE_PPP, len(text), target, self.sequence)
            with contextlib.suppress(OSError):
                self.raw[sender].sendto(header + text, (address, 0))
            with contextlib.suppress(socket.timeout):
                while True:
                    data = self.raw[receiver].recv(4096)
                    data = data[(data[0] & 15) * 4:]
                    if data[12:] == text:
                        call = struct.unpack_from("!H", data, 6)[0]
                        if call == own:
                            return True
                        raise ValueError("call id %d arrived as %d at the %s, not as %d" % (target, call, receiver, own))
        return False

    def step_echo(self):
        for session in self.sessions:
            send(session.client, ECHO_REQUEST, struct.pack("!I", 7))
            expect(session.server, ECHO_REQUEST)
            send(session.server, ECHO_REPLY, struct.pack("!IBBH", 7, 1, 0, 0))
            expect(session.client, ECHO_REPLY)

    def step_clear(self):
        session = self.sessions[0]
        send(session.client, CLEAR, struct.pack("!HH", session.call_at["client"][0], 0))
        expect(session.server, CLEAR)
        send(session.server, DISCONNECT, struct.pack("!HBBHH128s", session.call_at["server"][0], 1, 0, 0, 0, b""))
        expect(session.client, DISCONNECT)
        session.call_at = {}


if __name__ == "__main__":
    sys.exit(main(__doc__, Tunnels))
