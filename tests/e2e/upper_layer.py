"""The DICOM upper layer and DIMSE commands as bytes, by hand: shares no code with what it is held against."""

import socket
import struct

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
VERIFICATION = "1.2.840.10008.1.1"
REJECTED, ABORTED = 3, 7  # PDU types


def item(kind, content):
    return struct.pack(">BxH", kind, len(content)) + content


def pdu(kind, content):
    return struct.pack(">BxI", kind, len(content)) + content


def associate_request(contexts, called="ISTHMUS", calling="CONFORMANCE", version=1,
                      application_context=APPLICATION_CONTEXT, max_pdu=131072, user_items=b""):
    """`contexts`: (id, abstract syntax, [transfer syntaxes])."""
    body = struct.pack(">HH16s16s32x", version, 0, called.ljust(16).encode(), calling.ljust(16).encode())
    body += item(0x10, application_context.encode())
    for number, abstract, transfers in contexts:
        inner = struct.pack(">Bxxx", number) + item(0x30, abstract.encode())
        body += item(0x20, inner + b"".join(item(0x40, each.encode()) for each in transfers))
    body += item(0x50, item(0x51, struct.pack(">I", max_pdu)) + item(0x52, b"2.25.77") + user_items)
    return pdu(1, body)


def items_of(content):
    at, found = 0, []
    while at + 4 <= len(content):
        kind, length = struct.unpack_from(">BxH", content, at)
        found.append((kind, content[at + 4:at + 4 + length]))
        at += 4 + length
    return found


def command_set(elements):
    """{element of group 0000: bytes}, Implicit VR Little Endian, values padded."""
    body = b""
    for element in sorted(elements):
        value = elements[element]
        value += b"\0" * (len(value) % 2)
        body += struct.pack("<HHI", 0, element, len(value)) + value
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def command_elements(data):
    at, elements = 0, {}
    while at + 8 <= len(data):
        _, element, length = struct.unpack_from("<HHI", data, at)
        elements[element] = data[at + 8:at + 8 + length]
        at += 8 + length
    return elements


class Refused(Exception):
    """A-ASSOCIATE-RJ or A-ABORT in place of an answer: (PDU type, result, source, reason)."""


class Association:
    """One association; accepted contexts, what the acceptor said of itself, and operations."""

    def __init__(self, port, contexts, timeout=20, **options):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.message = 0
        try:
            self.socket.sendall(associate_request(contexts, **options))
            kind, body = self.read_pdu()
            if kind != 2:
                raise Refused(kind, *struct.unpack_from(">xBBB", body))
        except BaseException:
            self.socket.close()
            raise
        self.results, self.user_items = {}, []
        for kind, content in items_of(body[68:]):
            if kind == 0x21:
                syntaxes = [text.decode() for sub, text in items_of(content[4:]) if sub == 0x40]
                self.results[content[0]] = (content[2], syntaxes[0] if syntaxes else "")
            if kind == 0x50:
                self.user_items = items_of(content)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def user_item(self, kind):
        [content] = [content for sub, content in self.user_items if sub == kind]
        return content

    def read_exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError("the peer closed")
            data += piece
        return data

    def read_pdu(self):
        kind, length = struct.unpack(">BxI", self.read_exactly(6))
        return kind, self.read_exactly(length)

    def send(self, context, elements, dataset=None):
        """A message; the command's data set type is set by whether there is a data set."""
        self.message += 1
        full = {0x0110: struct.pack("<H", self.message),
                0x0800: struct.pack("<H", 0x0101 if dataset is None else 1), **elements}
        self.send_pdv(context, 3, command_set(full))
        for at in range(0, len(dataset or b""), 100_000):
            last = at + 100_000 >= len(dataset)
            self.send_pdv(context, 2 if last else 0, dataset[at:at + 100_000])

    def send_pdv(self, context, control, content):
        self.socket.sendall(pdu(4, struct.pack(">IBB", len(content) + 2, context, control) + content))

    def receive(self):
        """The elements of the next command set; its data set is read past."""
        command, wants_data = b"", None
        while True:
            kind, body = self.read_pdu()
            if kind != 4:
                raise Refused(kind, *struct.unpack_from(">xBBB", body))
            at = 0
            while at < len(body):
                length, _, control = struct.unpack_from(">IBB", body, at)
                if control & 1:
                    command += body[at + 6:at + 4 + length]
                last, at = control & 2, at + 4 + length
                if not last:
                    continue
                elements = command_elements(command)
                wants_data = elements[0x0800] != struct.pack("<H", 0x0101) if control & 1 else False
                if not wants_data:
                    return elements

    def status(self, context, elements, dataset=None):
        self.send(context, elements, dataset)
        return struct.unpack("<H", self.receive()[0x0900])[0]

    def echo(self, context, sop_class=VERIFICATION):
        return self.status(context, {0x0100: struct.pack("<H", 0x0030), 0x0002: sop_class.encode()})

    def store(self, context, sop_class, sop_instance, dataset):
        return self.status(context, {0x0100: struct.pack("<H", 0x0001), 0x0002: sop_class.encode(),
                                     0x0700: struct.pack("<H", 0), 0x1000: sop_instance.encode()},
                           dataset)

    def release(self):
        self.socket.sendall(pdu(5, b"\0\0\0\0"))
        if self.read_pdu()[0] != 6:
            raise AssertionError("no A-RELEASE-RP")
