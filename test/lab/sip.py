"""A SIP phone and its proxy (RFC 3261), both ends in one process: what the kernel's helper has to see, no more.

usage: sip.py LAB HOST udp|tcp STEP...

  register[:SECONDS]   the phone registers a contact on a port of its own, for so long (default 600)
  incoming             the proxy calls the phone at its contact as the proxy knows it; without media
  incall               the same with media: "media" then means that call's
  invite               the phone calls; both name ports for audio and video
  image                the same with a fax: image only, named by the phone only
  media[:EXPECT]       RTP and RTCP of every medium named, both ways, each from a port of its own
  bye                  the phone ends the call
  options              a request that only goes there and back

The contact's port is not the phone's: an incoming call needs the expectation, it is no answer of the registration."""
import re
import socket
import sys

from ends import Ends, check_usage, converse, passes, receive

PORT, CONTACT, PROXY_MEDIA, PHONE_MEDIA = 5060, 5062, 30000, 40000
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

    def media(self):
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


class Phone:
    def __init__(self, lab, host, transport):
        self.ends = Ends(lab, host)
        self.host = host
        self.kind = transport
        self.cseq = 0
        self.contact_at_proxy = None
        self.call = []              # [(name, sending socket, target, receiving socket)]
        self.sockets = {}
        stream = transport == "tcp"
        kind = socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
        self.waiting = self.ends.socket("client", kind, CONTACT)
        proxy = self.ends.socket("server", kind, PORT)
        if stream:
            self.phone = Transport(self.ends.connect("client", (host, PORT)))
            self.proxy = Transport(proxy.accept()[0])
            self.proxy.sock.settimeout(3)
        else:
            self.phone = Transport(self.ends.socket("client", kind, PORT), (host, PORT))
            self.proxy = Transport(proxy, ("", 0))

    # --- messages ------------------------------------------------------------------------------------------------

    def uri(self, user, address, port):
        return "sip:%s@%s:%d" % (user, "[%s]" % address if ":" in address else address, port)

    def session(self, end, kinds):
        """The session description: a pair of ports for each kind."""
        own = self.ends.address[end]
        version = 6 if ":" in own else 4
        base = PHONE_MEDIA if end == "client" else PROXY_MEDIA
        lines = ["v=0", "o=- 1 1 IN IP%d %s" % (version, own), "s=-", "c=IN IP%d %s" % (version, own), "t=0 0"]
        lines += ["m=%s %d %s" % (kind, base + 10 * place, KINDS[kind]) for place, kind in enumerate(kinds)]
        return "\r\n".join(lines) + "\r\n"

    def message(self, first, end, headers, body=""):
        method = headers.get("CSeq", "").split(" ")[-1]
        lines = [first] + ["%s: %s" % pair for pair in headers.items()]
        lines += ["Content-Type: application/sdp"] if body else []
        # the helper finds the end of a message in a stream only if this header is the last one
        lines += ["Content-Length: %d" % len(body), "", body]
        assert method and end
        return "\r\n".join(lines)

    def request(self, sender, receiver, end, method, target, contact, body="", extra=None):
        """Sends a request to the other transport and returns it as received there; a datagram is sent again."""
        self.cseq += 1
        own = self.ends.address[end]
        via = "SIP/2.0/%s %s;branch=z9hG4bK%d" % (self.kind.upper(), "%s:%d" % (bracket(own), PORT), self.cseq)
        headers = {"Via": via, "Max-Forwards": "70", "From": "<sip:phone@lab>;tag=1", "To": "<sip:peer@lab>",
                   "Call-ID": "lab-call", "CSeq": "%d %s" % (self.cseq, method), "Contact": "<%s>" % contact}
        headers.update(extra or {})
        sender.send(self.message("%s %s SIP/2.0" % (method, target), end, headers, body))
        seen = receiver.receive()
        if not seen.first.startswith(method):
            raise ValueError("the other end has received " + seen.first)
        return seen

    def answer(self, request, sender, receiver, end, contact, body="", extra=None):
        headers = {name: request.header(name) for name in ("Via", "From", "To", "Call-ID", "CSeq")}
        headers["To"] += ";tag=2"
        headers["Contact"] = "<%s>" % contact
        headers.update(extra or {})
        sender.send(self.message("SIP/2.0 200 OK", end, headers, body))
        seen = receiver.receive()
        if not seen.first.startswith("SIP/2.0 200"):
            raise ValueError("the answer is " + seen.first)
        return seen

    # --- steps ---------------------------------------------------------------------------------------------------

    def ask(self, method, body="", extra=None, contact_port=PORT):
        """A request of the phone to the proxy, as the proxy sees it."""
        contact = self.uri("phone", self.ends.address["client"], contact_port)
        return self.request(self.phone, self.proxy, "client", method, self.uri("peer", self.host, PORT), contact,
                            body, extra)

    def reply(self, request, contact=None, body="", extra=None):
        contact = contact or self.uri("peer", self.ends.address["server"], PORT)
        return self.answer(request, self.proxy, self.phone, "server", contact, body, extra)

    def register(self, seconds="600"):
        expires = {"Expires": seconds}
        seen = self.ask("REGISTER", extra=expires, contact_port=CONTACT)
        self.contact_at_proxy = seen.contact()
        self.reply(seen, self.uri("phone", *self.contact_at_proxy), extra=expires)
        return "contact=%s:%d" % self.contact_at_proxy

    def options(self):
        self.reply(self.ask("OPTIONS"))

    def invite(self, kinds=("audio", "video"), answered=None):
        answered = kinds if answered is None else answered
        seen = self.ask("INVITE", self.session("client", kinds))
        answer = self.reply(seen, body=self.session("server", answered) if answered else "")
        self.agreed("server", seen, "client", kinds)
        if answered:
            self.agreed("client", answer, "server", answered)
        return "media=%s" % ",".join(str(port) for _, _, port in seen.media())

    def image(self):
        return self.invite(("image",), ())

    def agreed(self, sender, description, receiver, kinds):
        """`sender` has read in the description where `receiver` wants to have its media."""
        base = PHONE_MEDIA if receiver == "client" else PROXY_MEDIA
        self.call = [flow for flow in self.call if flow[0].split()[0] != sender]
        for place, (kind, address, port) in enumerate(description.media()):
            for more, name in enumerate(("RTP", "RTCP")):
                into = self.bound(receiver, base + 10 * place + more)
                out = self.bound(sender, 50000 + 10 * place + more)
                self.call.append(("%s %s %s" % (sender, kind, name), out, (address, port + more), into))

    def bound(self, end, port):
        if (end, port) not in self.sockets:
            self.sockets[end, port] = self.ends.socket(end, socket.SOCK_DGRAM, port)
        return self.sockets[end, port]

    def media(self):
        if not self.call:
            raise ValueError("no call")
        lost = [name for name, out, far, into in self.call if passes(out, far, into, name.encode()) is None]
        if lost:
            raise ValueError("%d of %d lost: %s" % (len(lost), len(self.call), ", ".join(lost)))
        return "%d flows" % len(self.call)

    def bye(self):
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
            called.sock.settimeout(3)
        else:
            caller = Transport(self.proxy.sock, far)
            called = Transport(self.waiting, ("", 0))
        seen = self.request(caller, called, "server", "INVITE", self.uri("phone", *far),
                            self.uri("peer", self.ends.address["server"], PORT), body)
        contact = self.uri("phone", self.ends.address["client"], CONTACT)
        answer = self.answer(seen, called, caller, "client", contact, self.session("client", ("audio",)) if body else "")
        return seen, answer

    def step_incoming(self):
        self.incoming()

    def incall(self):
        seen, answer = self.incoming(self.session("server", ("audio",)))
        self.agreed("client", seen, "server", ("audio",))
        self.agreed("server", answer, "client", ("audio",))


def bracket(address):
    return "[%s]" % address if ":" in address else address


if __name__ == "__main__":
    check_usage(__doc__, 4)
    phone = Phone(*sys.argv[1:4])
    names = ("register", "options", "invite", "image", "media", "bye", "incall")
    steps = {name: getattr(phone, name) for name in names}
    steps["incoming"] = phone.step_incoming
    sys.exit(converse(steps, sys.argv[4:]))
