"""A storage commitment SCU: asks by N-ACTION, listens for N-EVENT-REPORT, with the habits of the field.

Bytes of its own (PS3.8 PDUs, PS3.7 commands, PS3.4 annex J data sets), so that it shares no code
with what it tests. Listens on loopback, on a port the system chose.
"""

import socket
import struct
import threading
import time

COMMITMENT = "1.2.840.10008.1.20.1"
WELL_KNOWN = "1.2.840.10008.1.20.1.1"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
CONTEXT = 1

_PADDED_NUL = b"\0"


def new_uid():
    new_uid.count += 1
    return f"2.25.{time.time_ns()}{new_uid.count}"


new_uid.count = 0


# --- bytes -------------------------------------------------------------------------------------------
def item(kind, content):
    return struct.pack(">BBH", kind, 0, len(content)) + content


def pdu(kind, content):
    return struct.pack(">BBI", kind, 0, len(content)) + content


def associate(kind, called, calling, contexts, role=None, max_pdu=16384):
    """A-ASSOCIATE-RQ (1) or -AC (2); contexts are whole items."""
    user = item(0x51, struct.pack(">I", max_pdu)) + item(0x52, b"1.2.826.0.1.3680043.9.9999.1")
    if role is not None:
        uid = COMMITMENT.encode()
        user += item(0x54, struct.pack(">H", len(uid)) + uid + bytes(role))
    body = struct.pack(">HH", 1, 0) + called.encode().ljust(16) + calling.encode().ljust(16)
    body += bytes(32) + item(0x10, b"1.2.840.10008.3.1.1.1") + b"".join(contexts)
    return pdu(kind, body + item(0x50, user))


def offered(context_id, abstract, syntaxes):
    content = struct.pack(">BBH", context_id, 0, 0) + item(0x30, abstract.encode())
    return item(0x20, content + b"".join(item(0x40, one.encode()) for one in syntaxes))


def data_pdus(content, is_command, context_id=CONTEXT, room=16000):
    parts = [content[at:at + room] for at in range(0, len(content), room)] or [b""]
    out = b""
    for number, part in enumerate(parts):
        control = (1 if is_command else 0) | (2 if number == len(parts) - 1 else 0)
        out += pdu(4, struct.pack(">IBB", len(part) + 2, context_id, control) + part)
    return out


def padded(text):
    raw = text.encode()
    return raw + _PADDED_NUL * (len(raw) % 2)


def element(group, number, vr, value, explicit):
    if not explicit:
        return struct.pack("<HHI", group, number, len(value)) + value
    if vr == "SQ":
        return struct.pack("<HH2sHI", group, number, vr.encode(), 0, len(value)) + value
    return struct.pack("<HH2sH", group, number, vr.encode(), len(value)) + value


def command_set(*elements):
    body = b"".join(element(0, number, "", value, False) for number, value in elements)
    return element(0, 0, "", struct.pack("<I", len(body)), False) + body


def u16(value):
    return struct.pack("<H", value)


def action_information(transaction, references, explicit):
    items = []
    for sop_class, instance in references:
        inner = element(8, 0x1150, "UI", padded(sop_class), explicit)
        inner += element(8, 0x1155, "UI", padded(instance), explicit)
        items.append(struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner)
    return (element(8, 0x1195, "UI", padded(transaction), explicit) +
            element(8, 0x1199, "SQ", b"".join(items), explicit))


def elements_of(data, explicit):
    """(group, number) → value, of one level; lengths are defined in everything we are sent."""
    found, at = {}, 0
    while at < len(data):
        group, number = struct.unpack_from("<HH", data, at)
        if explicit and group != 0xFFFE and data[at + 4:at + 6] != b"SQ":
            length, head = struct.unpack_from("<H", data, at + 6)[0], 8
        elif explicit and group != 0xFFFE:
            length, head = struct.unpack_from("<I", data, at + 8)[0], 12
        else:
            length, head = struct.unpack_from("<I", data, at + 4)[0], 8
        assert at + head + length <= len(data), "a length goes beyond the data set"
        found.setdefault((group, number), []).append(data[at + head:at + head + length])
        at += head + length
    return found


def text_of(value):
    return value.rstrip(b"\0 ").decode()


class Event:
    """One N-EVENT-REPORT as it came."""

    def __init__(self, event_type, dataset, explicit, called, calling):
        top = elements_of(dataset, explicit)
        self.event_type = event_type
        self.called, self.calling = called, calling
        self.explicit = explicit
        self.at = time.monotonic()
        self.transaction = text_of(top[(8, 0x1195)][0])
        self.retrieve_ae_title = (8, 0x0054) in top
        self.committed, self.failed = {}, {}
        self.count = 0
        for tag, into in (((8, 0x1199), self.committed), ((8, 0x1198), self.failed)):
            for sequence in top.get(tag, []):
                for one in elements_of(sequence, explicit).get((0xFFFE, 0xE000), []):
                    parts = elements_of(one, explicit)
                    reason = parts.get((8, 0x1197))
                    into[text_of(parts[(8, 0x1155)][0])] = (
                        struct.unpack("<H", reason[0])[0] if reason else
                        text_of(parts[(8, 0x1150)][0]))
                    self.count += 1


class Closed(Exception):
    pass


class Association:
    """Messages over a socket whose association stands."""

    def __init__(self, sock, explicit, on_end=lambda: None):
        self.sock, self.explicit, self.on_end = sock, explicit, on_end
        self.buffer = b""

    def read(self, count):
        while len(self.buffer) < count:
            got = self.sock.recv(65536)
            if not got:
                raise Closed("closed")
            self.buffer += got
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def read_pdu(self):
        head = self.read(6)
        kind, _, length = struct.unpack(">BBI", head)
        return kind, self.read(length)

    def message(self):
        """(command, data set); None when the peer releases (it is acknowledged)."""
        command, dataset, wants = b"", b"", None
        while True:
            kind, body = self.read_pdu()
            if kind == 5:
                # Over before the other side can know it, and open the next one.
                self.on_end()
                self.sock.sendall(pdu(6, bytes(4)))
                return None
            if kind == 7:
                raise Closed("aborted")
            assert kind == 4, kind
            at = 0
            while at < len(body):
                length, _, control = struct.unpack_from(">IBB", body, at)
                part = body[at + 6:at + 4 + length]
                at += 4 + length
                if control & 1:
                    command += part
                else:
                    dataset += part
                if control == 3:
                    fields = {number: value[0] for (_, number), value
                              in elements_of(command, False).items()}
                    wants = struct.unpack("<H", fields[0x0800])[0] != 0x0101
                    if not wants:
                        return fields, b""
                if control == 2:
                    return fields, dataset

    def send(self, command, dataset=None):
        out = data_pdus(command, True)
        if dataset is not None:
            out += data_pdus(dataset, False)
        self.sock.sendall(out)

    def release(self):
        try:
            self.sock.sendall(pdu(5, bytes(4)))
            while self.read_pdu()[0] != 6:
                pass
        except (Closed, OSError):
            pass
        self.sock.close()


def answer_event(association, fields, status):
    association.send(command_set(
        (0x0002, padded(COMMITMENT)), (0x0100, u16(0x8100)), (0x0120, fields[0x0110]),
        (0x0800, u16(0x0101)), (0x0900, u16(status)), (0x1000, padded(WELL_KNOWN)),
        (0x1002, fields[0x1002])))


class CommitmentScu:
    """Asks, and is told. `habits` of the listener:

    role: True confirms our SCP role, False says nothing of roles, "refuse" refuses it
    syntaxes: what it accepts; only_calling: the one calling AE title it knows
    statuses: what it answers to events, one after the other; the last one for all that follow
    silent: takes events and never answers
    tls: an ssl.SSLContext; then it speaks nothing but TLS
    """

    def __init__(self, title="MODALITY", role=True, syntaxes=(IMPLICIT, EXPLICIT), only_calling=None,
                 statuses=(0,), silent=False, tls=None):
        self.tls = tls
        self.title, self.role, self.syntaxes = title, role, syntaxes
        self.only_calling, self.statuses, self.silent = only_calling, list(statuses), silent
        self.events = []
        self.rejected = 0
        self.at_once = self.most_at_once = 0
        self.problems = []
        self.lock = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.up = False
        self.listener.close()
        self.thread = None

    # --- listening -------------------------------------------------------------------------------
    def listen(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.up = True
        self.thread = threading.Thread(target=self._accept, args=(self.listener,), daemon=True)
        self.thread.start()
        return self

    def shut(self):
        """Not there any more: connections are refused."""
        self.up = False
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        if self.thread:
            self.thread.join(5)

    def _accept(self, listener):
        while self.up:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        ended = []

        def end():
            with self.lock:
                self.at_once -= 0 if ended else 1
                ended.append(True)

        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            sock.settimeout(60)
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            self._be_told(sock, end)
        except (Closed, OSError):
            pass
        except Exception as problem:  # noqa: a bug must not look like a silent peer
            self.problems.append(repr(problem))
        finally:
            sock.close()
            end()

    def _be_told(self, sock, end):
        association = Association(sock, False, end)
        kind, body = association.read_pdu()
        assert kind == 1, kind
        called, calling = body[4:20].decode().strip(), body[20:36].decode().strip()
        if self.only_calling is not None and calling != self.only_calling:
            self.rejected += 1
            sock.sendall(pdu(3, bytes([0, 1, 1, 3])))
            sock.recv(1)
            return
        proposed = [one for one in (IMPLICIT, EXPLICIT)
                    if item(0x40, one.encode()) in body and one in self.syntaxes]
        roles = item(0x54, struct.pack(">H", len(COMMITMENT)) + COMMITMENT.encode() + b"\0\1")
        if roles not in body:
            self.problems.append("no role selection item says SCU 0, SCP 1")
        syntax = proposed[0] if proposed else IMPLICIT
        result = 0 if proposed else 4
        context = item(0x21, bytes([CONTEXT, 0, result, 0]) + item(0x40, syntax.encode()))
        role = {True: (0, 1), False: None, "refuse": (0, 0)}[self.role]
        sock.sendall(associate(2, called, calling, [context], role))
        association.explicit = syntax == EXPLICIT
        while True:
            message = association.message()
            if message is None:
                return
            self.take(association, message, called, calling)

    def take(self, association, message, called="", calling=""):
        fields, dataset = message
        assert fields[0x0100] == u16(0x0100), fields
        event = Event(struct.unpack("<H", fields[0x1002])[0], dataset, association.explicit, called,
                      calling)
        with self.lock:
            self.events.append(event)
            status = self.statuses[0] if len(self.statuses) == 1 else self.statuses.pop(0)
            self.lock.notify_all()
        if not self.silent:
            answer_event(association, fields, status)
        return event

    def wait_events(self, count=1, timeout=60, transaction=None):
        deadline = time.monotonic() + timeout
        with self.lock:
            while True:
                found = [one for one in self.events
                         if transaction is None or one.transaction == transaction]
                if len(found) >= count:
                    return found
                if self.problems:
                    raise AssertionError(f"the SCU met: {self.problems}")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{len(found)} events of {count} within {timeout} s")
                self.lock.wait(left)

    # --- asking ----------------------------------------------------------------------------------
    def open(self, port, called="ISTHMUS", explicit=False, role=None):
        sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        syntaxes = [EXPLICIT] if explicit else [IMPLICIT]
        sock.sendall(associate(1, called, self.title, [offered(CONTEXT, COMMITMENT, syntaxes)], role))
        association = Association(sock, explicit)
        kind, body = association.read_pdu()
        if kind != 2:
            sock.close()
            raise AssertionError(f"associated with {kind}: {body!r}")
        self.answered_role = None
        uid = struct.pack(">H", len(COMMITMENT)) + COMMITMENT.encode()
        if uid in body:
            at = body.index(uid) + len(uid)
            self.answered_role = tuple(body[at:at + 2])
        at = body.index(b"\x21\0")
        self.context_result = body[at + 6]
        return association

    def send_action(self, association, references, transaction=None, action_type=1,
                    sop_class=COMMITMENT, instance=WELL_KNOWN, dataset=True):
        transaction = transaction or new_uid()
        information = action_information(transaction, references, association.explicit)
        if isinstance(dataset, bytes):
            information = dataset
        association.send(command_set(
            (0x0003, padded(sop_class)), (0x0100, u16(0x0130)), (0x0110, u16(1)),
            (0x0800, u16(1 if dataset else 0x0101)), (0x1001, padded(instance)),
            (0x1008, u16(action_type))), information if dataset else None)
        return transaction

    def await_action_response(self, association):
        message = association.message()
        assert message is not None, "released instead of answered"
        fields, _ = message
        assert fields[0x0100] == u16(0x8130), fields
        assert fields[0x0120] == u16(1), fields
        return struct.unpack("<H", fields[0x0900])[0]

    def ask(self, port, references, transaction=None, **how):
        """N-ACTION, its status, release: gives (transaction, status)."""
        opened = {key: how.pop(key) for key in ("called", "explicit", "role") if key in how}
        association = self.open(port, **opened)
        transaction = self.send_action(association, references, transaction, **how)
        status = self.await_action_response(association)
        association.release()
        return transaction, status


def references_of(files):
    """(SOP class, SOP instance) of Part 10 files, from their meta groups."""
    references = []
    for path in files:
        with open(path, "rb") as file:
            head = file.read(4096)
        length = struct.unpack_from("<I", head, 140)[0]  # (0002,0000) UL
        # (0002,0001) is OB, with a head of twelve bytes: read past it.
        at = 144
        meta = {}
        while at < 144 + length:
            group, number, vr = struct.unpack_from("<HH2s", head, at)
            if vr == b"OB":
                size, skip = struct.unpack_from("<I", head, at + 8)[0], 12
            else:
                size, skip = struct.unpack_from("<H", head, at + 6)[0], 8
            meta[number] = head[at + skip:at + skip + size]
            at += skip + size
        references.append((text_of(meta[2]), text_of(meta[3])))
    return references


def settings_for(scu, **more):
    """Settings of a daemon that knows this requester."""
    name = scu.title.lower()
    settings = {f"senders.{name}.calling_ae_titles": scu.title,
                f"senders.{name}.report_to": f"127.0.0.1:{scu.port}",
                "commitment.first_retry_s": "1"}
    settings.update({key.replace("__", "."): value for key, value in more.items()})
    return settings
