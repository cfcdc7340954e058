"""A SIP phone and its proxy (RFC 3261), both ends in one process: what the kernel's helper has to see, no more.

usage: sip.py client HOST STEP...

  udp tcp              how they talk; the first step
  register[:SECONDS]   the phone registers a contact on a port of its own, for so long (default 600)
  incoming             the proxy calls the phone at its contact as the proxy knows it; without media
  incall               the same with media: "media" then means that call's
  invite               the phone calls; both name ports for audio and video
  image                the same with a fax: image only, named by the phone only
  media                RTP and RTCP of every medium named, both ways, each from a port of its own
  bye                  the phone ends the call
  ping                 a request that only goes there and back
  hold:FILE            wait until FILE exists

The contact's port is not the phone's: an incoming call needs the expectation, it is no answer of the registration."""
import re
import socket
import sys

import steps
from ends import Ends, PATIENCE, all_come, channel_ends, main, receive

PORT, CONTACT = 5060, 5062
# where each end wants to have its media, and the ports that it sends them from; conversations may go on side by side
MEDIA = {"udp": {"server": 30000, "client": 40000, "out": 50000}, "tcp": {"server": 30100, "client": 40100, "out": 50100}}
KINDS = {"audio": "RTP/AVP 0", "video": "RTP/AVP 31", "image": "udptl t38"}


class Message:
    """A request or an answer that was received."""

    def __init__(self, text):
        self.text = text
        self.first = text.split("\r\n")[0]

    def header(self, name):
        return re.search(r"(?im)^%s: *(.*?)\r$" % name, self.text).group(1)

    def contact(self):
        """Where the Contact header says this end can be reached."""
        host, port = re.search(r"sip:\w+@(\[[\da-f:]+\]|[\d.]+):(\d+)", self.header("Contact")).groups()
        return host.strip("[]"), int(port)

    def streams(self):
        """[(kind, address, port)] of the session description; the ports without a kind are not used."""
        address = re.search(r"(?m)^c=IN IP[46] (\S+)", self.text).group(1)
        return [(kind, address, int(port)) for kind, port in re.findall(r"(?m)^m=(\w+) (\d+)", self.text)]


class Transport:
    """One direction of a signalling connection: UDP with a fixed far end, or a TCP stream."""

    def __init__(self, sock, far=None):
        self.sock = sock
        self.far = far

    def send(self, text):
        if self.far is None:
            self.sock.sendall(text.encode())
        else:
            self.sock.sendto(text.encode(), self.far)

    def receive(self):
        if self.far is None:
            text = ""
            while not text.endswith("\r\n\r\n"):
                text += receive(self.sock, 1).decode()
            message = Message(text)
            return Message(text + receive(self.sock, int(message.header("Content-Length"))).decode())
        data, self.far = self.sock.recvfrom(8192)
        return Message(data.decode())


class Phone(steps.Client):
    """Both ends. Every method named step_X is a step."""

    def __init__(self, host):
        self.ends = Ends(host)
        self.host = host
        self.cseq = 0
        self.contact_at_proxy = None
        self.call = []              # [(name, sending socket, target, receiving socket)]
        self.sockets = {}
        self.kind = None
        self.waiting = None         # the phone's contact
        self.phone = None           # each end's side of the signalling connection
        self.proxy = None

    # --- messages ------------------------------------------------------------------------------------------------

    def uri(self, user, address, port):
        return "sip:%s@%s:%d" % (user, "[%s]" % address if ":" in address else address, port)

    def session(self, end, kinds):
        """The session description: a pair of ports for each kind."""
        own = self.ends.address[end]
        version = 6 if ":" in own else 4
        base = MEDIA[self.kind][end]
        lines = ["v=0", "o=- 1 1 IN IP%d %s" % (version, own), "s=-", "c=IN IP%d %s" % (version, own), "t=0 0"]
        lines += ["m=%s %d %s" % (kind, base + 10 * place, KINDS[kind]) for place, kind in enumerate(kinds)]
        return "\r\n".join(lines) + "\r\n"

    def message(self, first, headers, body):
        lines = [first] + ["%s: %s" % pair for pair in headers.items()]
        lines += ["Content-Type: application/sdp"] if body else []
        # the helper finds the end of a message in a stream only if this header is the last one
        lines += ["Content-Length: %d" % len(body), "", body]
        return "\r\n".join(lines)

    def request(self, sender, receiver, end, method, target, contact, body="", extra=None):
        """Sends a request to the other transport and returns it as received there; a datagram is sent again."""
        self.cseq += 1
        own = self.ends.address[end]
        via = "SIP/2.0/%s %s;branch=z9hG4bK%d" % (self.kind.upper(), "%s:%d" % (bracket(own), PORT), self.cseq)
        headers = {"Via": via, "Max-Forwards": "70", "From": "<sip:phone@lab>;tag=1", "To": "<sip:peer@lab>",
                   "Call-ID": "lab-call", "CSeq": "%d %s" % (self.cseq, method), "Contact": "<%s>" % contact}
        headers.update(extra or {})
        sender.send(self.message("%s %s SIP/2.0" % (method, target), headers, body))
        seen = receiver.receive()
        if not seen.first.startswith(method):
            raise ValueError("the other end has received " + seen.first)
        return seen

    def answer(self, request, sender, receiver, contact, body="", extra=None):
        headers = {name: request.header(name) for name in ("Via", "From", "To", "Call-ID", "CSeq")}
        headers["To"] += ";tag=2"
        headers["Contact"] = "<%s>" % contact
        headers.update(extra or {})
        sender.send(self.message("SIP/2.0 200 OK", headers, body))
        seen = receiver.receive()
        if not seen.first.startswith("SIP/2.0 200"):
            raise ValueError("the answer is " + seen.first)
        return seen

    # --- steps ---------------------------------------------------------------------------------------------------

    def step_udp(self):
        self.kind = "udp"
        self.waiting = self.ends.socket("client", socket.SOCK_DGRAM, CONTACT)
        self.phone = Transport(self.ends.socket("client", socket.SOCK_DGRAM, PORT), (self.host, PORT))
        self.proxy = Transport(self.ends.socket("server", socket.SOCK_DGRAM, PORT), ("", 0))

    def step_tcp(self):
        self.kind = "tcp"
        self.waiting = self.ends.socket("client", socket.SOCK_STREAM, CONTACT)
        listener = self.ends.socket("server", socket.SOCK_STREAM, PORT)
        near, far = channel_ends(listener, lambda: self.ends.connect("client", (self.host, PORT)))
        self.phone, self.proxy = Transport(near), Transport(far)

    def ask(self, method, body="", extra=None, contact_port=PORT):
        """A request of the phone to the proxy, as the proxy sees it."""
        contact = self.uri("phone", self.ends.address["client"], contact_port)
        return self.request(self.phone, self.proxy, "client", method, self.uri("peer", self.host, PORT), contact,
                            body, extra)

    def reply(self, request, contact=None, body="", extra=None):
        contact = contact or self.uri("peer", self.ends.address["server"], PORT)
        return self.answer(request, self.proxy, self.phone, contact, body, extra)

    def step_register(self, seconds="600"):
        expires = {"Expires": seconds}
        seen = self.ask("REGISTER", extra=expires, contact_port=CONTACT)
        self.contact_at_proxy = seen.contact()
        self.reply(seen, self.uri("phone", *self.contact_at_proxy), extra=expires)
        return "contact=%s:%d" % self.contact_at_proxy

    def step_ping(self):
        self.reply(self.ask("OPTIONS"))

    def step_invite(self, kinds=("audio", "video"), answered=None):
        answered = kinds if answered is None else answered
        seen = self.ask("INVITE", self.session("client", kinds))
        answer = self.reply(seen, body=self.session("server", answered) if answered else "")
        self.agreed("server", seen, "client")
        if answered:
            self.agreed("client", answer, "server")
        return "media=%s" % ",".join(str(port) for _, _, port in seen.streams())

    def step_image(self):
        return self.step_invite(("image",), ())

    def agreed(self, sender, description, receiver):
        """`sender` has read in the description where `receiver` wants to have its media."""
        base, from_base = MEDIA[self.kind][receiver], MEDIA[self.kind]["out"]
        self.call = [flow for flow in self.call if flow[0].split()[0] != sender]
        for place, (kind, address, port) in enumerate(description.streams()):
            for more, name in enumerate(("RTP", "RTCP")):
                into = self.bound(receiver, base + 10 * place + more)
                out = self.bound(sender, from_base + 10 * place + more)
                self.call.append(("%s %s %s" % (sender, kind, name), out, (address, port + more), into))

    def bound(self, end, port):
        if (end, port) not in self.sockets:
            self.sockets[end, port] = self.ends.socket(end, socket.SOCK_DGRAM, port)
        return self.sockets[end, port]

    def step_media(self):
        return all_come(self.call)

    def step_bye(self):
        self.reply(self.ask("BYE"))
        self.call = []

    def incoming(self, body=""):
        """A call to the contact; over a connection of its own, from the proxy's port where that can be had."""
        far = self.contact_at_proxy
        if far is None:
            raise ValueError("not registered")
        if self.kind == "tcp":
            caller = Transport(self.ends.connect("server", far))
            called = Transport(self.waiting.accept()[0])
            called.sock.settimeout(PATIENCE)
        else:
            caller = Transport(self.proxy.sock, far)
            called = Transport(self.waiting, ("", 0))
        seen = self.request(caller, called, "server", "INVITE", self.uri("phone", *far),
                            self.uri("peer", self.ends.address["server"], PORT), body)
        contact = self.uri("phone", self.ends.address["client"], CONTACT)
        answer = self.answer(seen, called, caller, contact, self.session("client", ("audio",)) if body else "")
        return seen, answer

    def step_incoming(self):
        self.incoming()

    def step_incall(self):
        seen, answer = self.incoming(self.session("server", ("audio",)))
        self.agreed("client", seen, "server")
        self.agreed("server", answer, "client")


def bracket(address):
    return "[%s]" % address if ":" in address else address


if __name__ == "__main__":
    sys.exit(main(__doc__, Phone))
