"""Peers that are not DCMTK: dcmjs-dimse (JavaScript) and odil (C++) echo and store; statuses, every field
of every response, transfer syntaxes and what became of the instances are looked at."""

import json
import os
import socket
import subprocess
import sys

from harness import ROOT, SKIP, Daemon, fail, in_temp_folder, make_study
from pki import Authority
from truth import imported_exactly_once, rows

CLIENTS = ROOT / "build/clients"
HERE = ROOT / "tests/e2e/clients"
PYTHON = "/usr/bin/python3"
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
ENCAPSULATED = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5")
VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT, WELL_KNOWN = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"


def dcmjs(port, scenario, *files, **environment):
    return lines_of(["node", str(HERE / "dimse_test.mjs"), str(port), scenario, *map(str, files)], environment)


def odil(port, scenario, *files):
    return lines_of([PYTHON, str(HERE / "odil_peer.py"), str(port), scenario, *map(str, files)])


def lines_of(command, environment=None):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120,
                          env=dict(os.environ, CLIENTS=str(CLIENTS), **(environment or {})))
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        fail(f"{command[:2]} said nothing: {done.returncode} {done.stderr[-2000:]}")
    return lines


def studies(folder, syntaxes):
    """One study per transfer syntax, and which syntax each file has."""
    made = {}
    for number, syntax in enumerate(syntaxes):
        for path in make_study(folder / f"study-{number}", series=1, instances=3, seed=50 + number,
                               extra=("--transfer-syntax", syntax)):
            made[str(path)] = syntax
    return made


def equal(what, got, expected):
    if got != expected:
        fail(f"{what}: {got!r} instead of {expected!r}")


def check_kept(daemon, stored, expected_aet):
    """`stored`: SOP Instance UID → transfer syntax that the peer sent it in."""
    daemon.wait_rows()
    known = dict(rows(daemon, "SELECT sop_instance_uid, transfer_syntax_uid FROM instance"))
    equal("transfer syntaxes kept", known, stored)
    senders = {title for title, in rows(daemon, "SELECT DISTINCT calling_ae_title FROM instance")}
    equal("calling AE title", senders, {expected_aet})


def dcmjs_stores(folder):
    files = studies(folder, (IMPLICIT, EXPLICIT, BIG_ENDIAN, *ENCAPSULATED))
    with Daemon(folder, dimse__ae_titles="ISTHMUS") as daemon:
        # It offers Explicit VR beside Implicit VR in one context, we take Explicit (CONFORMANCE.md), and it
        # transcodes; beside other contexts of the class it drops such files, so they go alone.
        implicit = [file for file, syntax in files.items() if syntax == IMPLICIT]
        alone = dcmjs(daemon.dimse_port, "store", *implicit)
        equal("statuses of the implicit ones", [line.get("status") for line in alone], [0, 0, 0, 0, None])
        stored = {line["sopInstanceUid"]: EXPLICIT for line in alone if "file" in line}

        lines = dcmjs(daemon.dimse_port, "store", *(set(files) - set(implicit)))
        equal("released", lines[-1], {"released": True})
        message_ids = set()
        for line in lines[:-1]:
            fields = line["fields"]
            equal("status", line["status"], 0)
            equal("CommandDataSetType", fields["CommandDataSetType"], 0x0101)
            message_ids.add(fields["MessageIDBeingRespondedTo"])
            if line.get("echo"):
                equal("CommandField", fields["CommandField"], 0x8030)
                equal("AffectedSOPClassUID", fields["AffectedSOPClassUID"], VERIFICATION)
                continue
            equal("CommandField", fields["CommandField"], 0x8001)
            equal("AffectedSOPClassUID", fields["AffectedSOPClassUID"], line["sopClassUid"])
            equal("AffectedSOPInstanceUID", fields["AffectedSOPInstanceUID"], line["sopInstanceUid"])
            equal("its transfer syntax", line["transferSyntaxUid"], files[line["file"]])
            stored[line["sopInstanceUid"]] = files[line["file"]]
        equal("answers, each to its own request", len(message_ids), len(files) - len(implicit) + 1)
        equal("instances answered", len(stored), len(files))
        check_kept(daemon, stored, "DCMJS")

        # What is wrong is told apart: the instance is another one than the command says.
        [answer] = [line for line in dcmjs(daemon.dimse_port, "mismatch", next(iter(files)))
                    if "status" in line]
        equal("status of a mismatch", answer["status"], 0xA900)
        equal("AffectedSOPInstanceUID", answer["fields"]["AffectedSOPInstanceUID"], "1.2.3.4")
        if not answer["fields"].get("ErrorComment"):
            fail(f"a refusal without Error Comment: {answer}")
        equal("rejection", dcmjs(daemon.dimse_port, "wrong-title")[0], {"rejected": [1, 1, 7]})

        daemon.wait_settled()
        imported_exactly_once(daemon, list(stored), folder)
        print(f"dcmjs-dimse: {len(stored)} stored and imported in {len(set(stored.values()))} syntaxes")


def odil_stores(folder):
    files = studies(folder, (IMPLICIT, EXPLICIT, BIG_ENDIAN))
    with Daemon(folder, dimse__ae_titles="ISTHMUS") as daemon:
        answers = []
        for syntax in sorted(set(files.values())):  # it chooses contexts by their class alone
            lines = odil(daemon.dimse_port, "store", *[file for file in files if files[file] == syntax])
            equal("released", lines[-1], {"released": True})
            answers += lines[:-1]
        stored = {}
        for line in answers:
            equal("status", line["status"], 0)
            equal("Message ID Being Responded To", line["message_id"], line["asked"])
            equal("Command Data Set Type", line["data_set_type"], 0x0101)
            if line.get("echo"):
                equal("Command Field", line["field"], 0x8030)
                equal("Affected SOP Class UID", line["sop_class_uid"], VERIFICATION)
                continue
            equal("Command Field", line["field"], 0x8001)
            equal("Affected SOP Class UID", line["sop_class_uid"], line["asked_class"])
            equal("Affected SOP Instance UID", line["sop_instance_uid"], line["asked_instance"])
            stored[line["asked_instance"]] = line["transfer_syntax"]
        equal("instances answered", len(stored), len(files))
        check_kept(daemon, stored, "ODIL")
        [refused] = odil(daemon.dimse_port, "wrong-title")
        if "refused" not in refused:
            fail(f"a wrong AE title was let in: {refused}")

        daemon.wait_settled()
        imported_exactly_once(daemon, list(stored), folder)
        print(f"odil: {len(stored)} stored and imported")


def odil_asks_for_commitment(folder):
    files = studies(folder, (EXPLICIT,))
    with Daemon(folder, senders__odil__calling_ae_titles="ODIL",
                senders__odil__report_on_its_associations="true",
                senders__odil__report_on_same_association_ms="120000") as daemon:
        stored = sorted(line["asked_instance"] for line in odil(daemon.dimse_port, "store", *files)
                        if "asked_instance" in line)
        asked, told, released = odil(daemon.dimse_port, "commitment", *files)
        equal("Command Field of the answer", asked["field"], 0x8130)
        equal("status of the request", asked["status"], 0)
        equal("report", told, {"field": 0x0100, "event": 1, "transaction": "2.25.78",
                               "committed": stored, "failed": False})
        equal("released", released, {"released": True})
        within = daemon.command("commitments", "--json").stdout
        equal("acknowledged", json.loads(within)["state"], "delivered")
        imported_exactly_once(daemon, stored, folder)
        print(f"odil: {len(stored)} asked for, reported on its own association and imported")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def dcmjs_asks_for_commitment(folder):
    files = make_study(folder / "study", series=1, instances=3)
    port = free_port()
    daemon = Daemon(folder, commitment__first_retry_s=1)
    daemon.settings.update({"senders.dcmjs.calling_ae_titles": "DCMJS",
                            "senders.dcmjs.report_to": f"127.0.0.1:{port}"})
    with daemon:
        lines = dcmjs(daemon.dimse_port, "commitment", *files, REPORT_PORT=str(port), TRANSACTION="2.25.77")
        [asked] = [line for line in lines if line.get("asked")]
        equal("status of the request", asked["status"], 0)
        equal("AffectedSOPInstanceUID", asked["fields"]["AffectedSOPInstanceUID"], WELL_KNOWN)
        # On an association of its own, on which we are the provider: SCP role for who accepts none other.
        [offered] = [line for line in lines if "offered" in line]
        equal("what is offered, with which roles", offered, {"offered": COMMITMENT, "roles": [False, True]})
        stored = [line["fields"]["AffectedSOPInstanceUID"] for line in lines
                  if line.get("fields", {}).get("CommandField") == 0x8001]
        [event] = [line for line in lines if "event" in line]
        equal("report", event, {"event": 1, "transaction": "2.25.77", "committed": stored, "failed": []})
        imported_exactly_once(daemon, stored, folder)
        print(f"dcmjs-dimse: {len(stored)} asked for, reported as committed and imported")


def dcmjs_stores_by_tls(folder):
    authority = Authority(folder / "authority")
    server, client = authority.issue("localhost"), authority.issue("dcmjs")
    files = studies(folder, (EXPLICIT,))
    with Daemon(folder, dimse__tls__enabled="true", dimse__tls__port=0,
                dimse__tls__certificate=server.certificate, dimse__tls__key=server.key,
                dimse__tls__ca=authority.certificate) as daemon:
        lines = dcmjs(daemon.listening["dimse_tls_port"], "store", *files, TLS_CA=str(authority.certificate),
                      TLS_KEY=str(client.key), TLS_CERTIFICATE=str(client.certificate))
        equal("statuses", [line.get("status") for line in lines], [0] * (len(files) + 1) + [None])
        stored = {line["sopInstanceUid"]: EXPLICIT for line in lines if "file" in line}
        check_kept(daemon, stored, "DCMJS")
        daemon.wait_settled()
        imported_exactly_once(daemon, list(stored), folder)
        print(f"dcmjs-dimse: {len(stored)} stored by TLS and imported")


def has_dcmjs():
    return (CLIENTS / "node_modules/dcmjs-dimse").exists()


def has_odil():
    return subprocess.run([PYTHON, "-c", "import odil"], capture_output=True).returncode == 0


PEERS = {
    dcmjs_stores: (has_dcmjs, "npm dcmjs-dimse"),
    odil_stores: (has_odil, "Debian python3-odil"),
    odil_asks_for_commitment: (has_odil, "Debian python3-odil"),
    dcmjs_asks_for_commitment: (has_dcmjs, "npm dcmjs-dimse"),
    dcmjs_stores_by_tls: (has_dcmjs, "npm dcmjs-dimse"),
}

ran = 0
for test, (is_there, package) in PEERS.items():
    if not is_there():
        print(f"skipped {test.__name__}: {package} is not installed (./dev setup)")
        continue
    in_temp_folder(test)
    ran += 1
    print("passed:", test.__name__, flush=True)
sys.exit(0 if ran else SKIP)
