"""The wire of ctsync (docs/protocol.md), as far as an attacker without the key can speak it: frames with a checksum,
frames that look sealed, and every record of version 1.

A HELLO is not built from a list of its elements but from one that was overheard, of which single elements are changed:
what a HELLO contains may grow."""
import socket
import struct

MAGIC = 0xC1
HEADER = struct.Struct("!BBBBIIIQ")
HELLO, ACK_WANTED = 0x01, 0x02
EPOCH_SIZE = 16
PLAIN, AES, CHACHA = 0, 1, 2

CRC_TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    CRC_TABLE.append(byte)


def crc32c(data):
    """RFC 3720, appendix B.4."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


# --- MessagePack ------------------------------------------------------------------------------------------------------

def pack(value):
    """Unsigned integers, bytes (bin 8), text (fixstr) and lists of these."""
    if isinstance(value, int):
        for limit, code in ((0x80, None), (0x100, "!BB"), (0x10000, "!BH"), (1 << 32, "!BI"), (1 << 64, "!BQ")):
            if value < limit:
                return bytes([value]) if code is None else struct.pack(code, 0xCC + "BHIQ".index(code[2]), value)
    if isinstance(value, bytes):
        return bytes([0xC4, len(value)]) + value
    if isinstance(value, str):
        return bytes([0xA0 | len(value)]) + value.encode()
    head = bytes([0x90 | len(value)]) if len(value) < 16 else struct.pack("!BH", 0xDC, len(value))
    return head + b"".join(pack(element) for element in value)


def unpack(data, at=0):
    """The value that begins there, and where it ends. Raises ValueError for what the protocol has not."""
    first = data[at]
    if first < 0x80:
        return first, at + 1
    if 0xCC <= first <= 0xCF:
        size = 1 << first - 0xCC
        return int.from_bytes(data[at + 1:at + 1 + size], "big"), at + 1 + size
    if first == 0xC4:
        return bytes(data[at + 2:at + 2 + data[at + 1]]), at + 2 + data[at + 1]
    if 0xA0 <= first <= 0xBF:
        end = at + 1 + (first & 31)
        return data[at + 1:end].decode(), end
    if 0x90 <= first <= 0x9F or first == 0xDC:
        count, at = (first & 15, at + 1) if first != 0xDC else (struct.unpack_from("!H", data, at + 1)[0], at + 3)
        elements = []
        for _ in range(count):
            element, at = unpack(data, at)
            elements.append(element)
        return elements, at
    raise ValueError("byte %#x is not of this protocol" % first)


# --- frames -----------------------------------------------------------------------------------------------------------

class Frame:
    """A datagram of ctsync that was overheard. Raises ValueError if it is none."""

    def __init__(self, payload):
        if len(payload) < HEADER.size or payload[0] != MAGIC:
            raise ValueError("not a frame")
        (_, self.suite, self.key_id, self.flags, self.sender, self.generation, self.tag,
         self.sequence) = HEADER.unpack_from(payload)
        self.payload = payload
        self.is_hello = bool(self.flags & HELLO)
        self.body = HEADER.size + (EPOCH_SIZE if self.is_hello else 0)
        self.epoch = payload[HEADER.size:self.body] if self.is_hello else None

    def changed(self, **fields):
        """The same bytes behind a header of which some fields are others."""
        values = {name: getattr(self, name) for name in ("suite", "key_id", "flags", "sender", "generation", "tag", "sequence")}
        values.update(fields)
        return header(**values) + self.payload[HEADER.size:]

    def first_record(self):
        """Of a frame without a seal."""
        return unpack(self.payload, self.body)[0]


def header(sender, tag, sequence, flags=0, suite=PLAIN, key_id=0, generation=0):
    return HEADER.pack(MAGIC, suite, key_id, flags, sender, generation, tag, sequence)


def checked(datagram):
    """Suite 0: with its checksum."""
    return datagram + struct.pack("!I", crc32c(datagram))


def plain(sender, tag, sequence, *records, flags=ACK_WANTED):
    return checked(header(sender, tag, sequence, flags) + b"".join(pack(record) for record in records))


def sealed(chance, sender, tag, sequence, suite=AES, key_id=1, flags=ACK_WANTED, epoch=b"", size=None):
    """Looks like a sealed frame and was sealed by nobody."""
    noise = chance.randbytes(16 + (chance.randrange(4, 1300) if size is None else size))
    return header(sender, tag, sequence, flags, suite, key_id, sequence >> 32) + epoch + noise


def hello(sender, epoch, sequence, record):
    tag = int.from_bytes(epoch[:4], "big") or 1
    return checked(header(sender, tag, sequence, HELLO) + epoch + pack(record))


def changed_hello(record, change):
    """A HELLO record whose list of peers, of node, adopted tag, is heard, challenge, echo ..., has gone through change."""
    return [list(map(change, element)) if isinstance(element, list) else element for element in record]


def own_hello(node, challenge, echo, adopted=0):
    """A HELLO record of version 1, for when none can be read."""
    return [1, 1, 1, 0, 0, 64, 0, b"", [[node, adopted, 1, challenge, echo, 0]]]


# --- records ----------------------------------------------------------------------------------------------------------

SET, DELETE, ACK, BULK_BEGIN, BULK_END, RESYNC, ALIVE = 2, 3, 6, 7, 8, 9, 10
PLAIN_REPLY, STATUS, TIMEOUT, TCP_STATE = 0x2000, 0x0002, 0x0004, 0x0020
TCP_ESTABLISHED, BE_LIBERAL = 3, 8
ASSURED = 0x2 | 0x4 | 0x8


def tcp_key(source, source_port, target, target_port):
    return [2 | 6 << 8, 0, source_port | target_port << 16, socket.inet_aton(source) + socket.inet_aton(target)]


def set_flow(version, key):
    """An established, assured TCP connection."""
    state = TCP_ESTABLISHED | BE_LIBERAL << 16 | BE_LIBERAL << 24
    return [SET, version, PLAIN_REPLY | STATUS | TIMEOUT | TCP_STATE] + key + [ASSURED, 3600, state]


def delete_flow(version, key):
    return [DELETE, version] + key


def ack(node, tag, highest, credit=1000):
    """Everything up to there was seen."""
    return [ACK, node, tag, highest, credit, b"\xff" * 64]
