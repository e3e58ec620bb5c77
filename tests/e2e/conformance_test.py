"""The conformance statement, read from its page, held against what the SCP really negotiates and answers."""

import struct

from harness import ROOT, Daemon, fail, in_temp_folder
from upper_layer import (ABORTED, EXPLICIT, IMPLICIT, REJECTED, VERIFICATION, Association, Refused,
                         item)

PAGE = (ROOT / "bridge/docs/CONFORMANCE.md").read_text()
CT = "1.2.840.10008.5.1.4.1.1.2"
COMMITMENT = "1.2.840.10008.1.20.1"
BASELINE, LOSSLESS = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"
ACCEPTED, NO_CLASS, NO_SYNTAX = 0, 3, 4  # PS3.8 table 9-18
MOST_CONTEXTS = 128


def table(heading):
    """The rows of the first table behind a heading, as dictionaries by column."""
    begin = PAGE.index(heading)
    rows = []
    for line in PAGE[begin:].splitlines():
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            break
    return [dict(zip(rows[0], row)) for row in rows[2:]]


SYNTAXES = table("### N.9.2 ")
CLASSES = [row["UID"] for row in table("### N.9.3 ")]
STATUSES = {int(row["status"], 16) for row in table("### N.9.4 ")}
IDENTITY = {row["parameter"]: row["value"] for row in table("### N.9.1 ")}


def expect(what, got, wanted):
    if got != wanted:
        fail(f"{what}: {got}, and the statement says {wanted}")


def decisions(port, offers, **options):
    """What becomes of each (abstract syntax, [transfer syntaxes]), over as few associations as fit."""
    results = []
    for begin in range(0, len(offers), MOST_CONTEXTS):
        some = offers[begin:begin + MOST_CONTEXTS]
        contexts = [(2 * i + 1, abstract, transfers) for i, (abstract, transfers) in enumerate(some)]
        with Association(port, contexts, **options) as association:
            results += [association.results[2 * i + 1] for i in range(len(some))]
            association.release()
    return results


def storage_contexts(port):
    expect("storage SOP classes listed", len(CLASSES) > 150, True)
    offers, wanted = [], []
    for sop_class in CLASSES:
        for syntax in SYNTAXES:
            offers.append((sop_class, [syntax["UID"]]))
            never = syntax["accepted"] == "never"
            wanted.append((NO_SYNTAX, None) if never else (ACCEPTED, syntax["UID"]))
    for offer, got, want in zip(offers, decisions(port, offers), wanted):
        expect(f"{offer}", got if want[1] else (got[0], None), want)
    print(f"{len(offers)} pairs of SOP class and transfer syntax")


def other_contexts(port):
    refused = table("### N.5.3 ")
    expect("services that are refused", len(refused) > 8, True)
    for row, got in zip(refused, decisions(port, [(row["UID"], [IMPLICIT]) for row in refused])):
        expect(row["abstract syntax"], got[0], NO_CLASS)
    for syntax in SYNTAXES:
        wanted = ACCEPTED if syntax["UID"] in (IMPLICIT, EXPLICIT) else NO_SYNTAX
        for service in (VERIFICATION, COMMITMENT):
            [got] = decisions(port, [(service, [syntax["UID"]])])
            expect(f"{service} with {syntax['transfer syntax']}", got[0], wanted)
    chosen = [([IMPLICIT, EXPLICIT], EXPLICIT), ([BASELINE, LOSSLESS], LOSSLESS),
              ([BASELINE, IMPLICIT], IMPLICIT), ([LOSSLESS, EXPLICIT], LOSSLESS),
              ([BASELINE], BASELINE), (["1.2.840.10008.1.2.4.94", BASELINE], BASELINE)]
    for (offered, wanted), got in zip(chosen, decisions(port, [(CT, list(o)) for o, _ in chosen])):
        expect(f"the choice among {offered}", got, (ACCEPTED, wanted))


def private_classes(folder, port):
    private = "1.3.6.1.4.1.99999.1.2.3"
    expect("a private class", decisions(port, [(private, [EXPLICIT])])[0][0], ACCEPTED)
    uid = private.encode()
    service = b"1.2.840.10008.4.2"
    named = item(0x57, struct.pack(">H", len(uid)) + uid + struct.pack(">H", len(service)) + service +
                 b"\0\0")
    (folder / "strict").mkdir()
    with Daemon(folder / "strict", dimse__accept_unknown_sop_classes="false") as daemon:
        port = daemon.dimse_port
        expect("a private class when set so", decisions(port, [(private, [EXPLICIT])])[0][0], NO_CLASS)
        expect("the same, named as storage by the requester",
               decisions(port, [(private, [EXPLICIT])], user_items=named)[0][0], ACCEPTED)


def identity(port):
    uid = CT.encode()
    extended = item(0x56, struct.pack(">H", len(uid)) + uid + b"\2\0\0\0\0\0")
    role = item(0x54, struct.pack(">H", len(uid)) + uid + b"\1\1")
    window = item(0x53, struct.pack(">HH", 5, 5))
    identity_item = item(0x58, b"\1\1" + struct.pack(">H4sH", 4, b"user", 0))
    with Association(port, [(1, CT, [EXPLICIT])],
                     user_items=window + role + extended + identity_item) as association:
        said = dict(association.user_items)
        expect("maximum length", struct.unpack(">I", said[0x51])[0],
               int(IDENTITY["maximum PDU received (`dimse.max_pdu_bytes`)"]))
        expect("implementation class UID", said[0x52].decode(), IDENTITY["implementation class UID"])
        expect("implementation version name", said[0x55].decode(),
               IDENTITY["implementation version name"])
        for kind, name in ((0x53, "asynchronous operations"), (0x54, "role selection for storage"),
                           (0x59, "user identity")):
            expect(f"{name} answered", kind in said, False)
        answered = said[0x56]
        expect("extended negotiation is of the class", answered[2:2 + len(uid)], uid)
        level, _, signatures, _, coercion, _ = answered[2 + len(uid):]
        expect("level, signature level, coercion", (level, signatures, coercion), (2, 1, 0))


def commitment_roles(port):
    """N.5.5: the requestor is SCU; one that wants to be none has its context refused."""
    uid = COMMITMENT.encode()
    for scu, accepted in ((1, True), (0, False)):
        role = item(0x54, struct.pack(">H", len(uid)) + uid + bytes([scu, 1]))
        with Association(port, [(1, COMMITMENT, [IMPLICIT])], user_items=role) as association:
            expect(f"SCU role {scu}: accepted", association.results[1][0] == ACCEPTED, accepted)
            if accepted:
                expect("the roles answered", association.user_item(0x54)[-2:], bytes([1, 0]))


def rejections(folder):
    """Each row of N.7.2 by a request that meets its condition."""
    (folder / "policy").mkdir()
    with Daemon(folder / "policy", dimse__ae_titles='["ISTHMUS"]',
                dimse__admission="known",
                senders__conformance__calling_ae_titles='["CONFORMANCE"]', dimse__max_associations="1") as daemon:
        port = daemon.dimse_port

        def asked(**options):
            with Association(port, [(1, VERIFICATION, [IMPLICIT])], **options):
                pass

        provocations = {
            "protocol version without bit 0": {"version": 2},
            "application context name is another": {"application_context": "1.2.3"},
            "called AE title is not one of ours": {"called": "ANOTHER"},
            "sender is not known, or blocked": {"calling": "STRANGER"},
            "as many associations as allowed": {},
        }
        # Need a daemon that is going down, or a disk that is full: tests/contract/dimse, disk_full_test.py.
        untested = {"stopping", "free space is below `spool.refuse_bytes`"}
        rows = {row["condition"]: row for row in table("### N.7.2 ")}
        expect("conditions of N.7.2", set(rows), set(provocations) | untested)
        for condition, options in provocations.items():
            row = rows[condition]
            wanted = (REJECTED, int(row["result"]), int(row["source"]), int(row["reason"]))
            holder = None
            if not options:
                holder = Association(port, [(1, VERIFICATION, [IMPLICIT])])
            try:
                asked(**options)
                fail(f"{condition}: accepted")
            except Refused as refused:
                expect(condition, refused.args, wanted)
            finally:
                if holder:
                    holder.release()
                    holder.socket.close()
        for contexts in ([(2, VERIFICATION, [IMPLICIT])], [(1, VERIFICATION, [IMPLICIT])] * 2):
            try:
                with Association(port, contexts):
                    fail(f"{contexts}: accepted")
            except Refused as refused:
                expect("A-ABORT of the provider", (refused.args[0], refused.args[2]), (ABORTED, 2))


def element(tag, vr, value):
    value += (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xffff, vr.encode(), len(value)) + value


def dataset(sop_class=CT, sop_instance="2.25.1", study="2.25.3", series="2.25.2"):
    fields = [(0x00080016, sop_class), (0x00080018, sop_instance), (0x0020000D, study),
              (0x0020000E, series)]
    return b"".join(element(tag, "UI", uid.encode()) for tag, uid in fields if uid is not None)


def statuses(port):
    """Every status that a stranger can bring about, and nothing outside the table."""
    seen = set()
    find = {0x0100: struct.pack("<H", 0x0020), 0x0002: CT.encode()}
    store = {0x0100: struct.pack("<H", 1), 0x0002: CT.encode(), 0x1000: b"2.25.1"}
    with Association(port, [(1, CT, [EXPLICIT]), (3, VERIFICATION, [IMPLICIT])]) as association:
        operations = [
            ("C-ECHO", 0x0000, lambda: association.echo(3)),
            ("C-ECHO on a storage context", 0x0122, lambda: association.echo(1)),
            ("C-ECHO of what DCMTK takes for a name", 0x0122, lambda: association.echo(3, "=x")),
            ("an instance", 0x0000, lambda: association.store(1, CT, "2.25.1", dataset())),
            ("the same again", 0x0000, lambda: association.store(1, CT, "2.25.1", dataset())),
            ("other bytes of it", 0x0000,
             lambda: association.store(1, CT, "2.25.1", dataset(study="2.25.4"))),
            ("another instance than announced", 0xA900,
             lambda: association.store(1, CT, "2.25.9", dataset())),
            ("another class than announced", 0xA900,
             lambda: association.store(1, CT, "2.25.1", dataset(sop_class=CLASSES[0]))),
            ("no data set", 0x0212, lambda: association.status(1, store)),
            ("no DICOM", 0xC000, lambda: association.store(1, CT, "2.25.1", b"\x08\x00\x05\x00LO\xff\x00" * 3)),
            ("no study", 0xC001, lambda: association.store(1, CT, "2.25.1", dataset(study=None))),
            ("a study that is no UID", 0xC002,
             lambda: association.store(1, CT, "2.25.1", dataset(study="1.2.x"))),
            ("an instance that is no UID", 0x0117,
             lambda: association.store(1, CT, "../etc", dataset())),
            ("C-FIND", 0x0211, lambda: association.status(1, find, b"\0" * 8)),
            ("C-STORE on the Verification context", 0x0122,
             lambda: association.store(3, CT, "2.25.1", dataset())),
        ]
        for what, wanted, operation in operations:
            status = operation()
            expect(what, f"{status:04x}", f"{wanted:04x}")
            expect(f"{what}: in the table", status in STATUSES, True)
            seen.add(status)
        association.release()
    # Not to be had from outside: nothing is full, forbidden or broken here, and no id is in use.
    expect("statuses", STATUSES - seen, {0x0110, 0x0124, 0x0210, 0xA700})


def main(folder):
    (folder / "open").mkdir()
    with Daemon(folder / "open") as daemon:
        storage_contexts(daemon.dimse_port)
        other_contexts(daemon.dimse_port)
        identity(daemon.dimse_port)
        commitment_roles(daemon.dimse_port)
        statuses(daemon.dimse_port)
        private_classes(folder, daemon.dimse_port)
    rejections(folder)
    print("the statement holds")


in_temp_folder(main)
