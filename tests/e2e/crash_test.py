"""Death at every failpoint, restart, invariants I1 to I6. usage: crash_test.py [FAILPOINT …]"""

import http.client
import pathlib
import re
import subprocess
import sys
import time

from cloud_crash import dies_in_an_upload, imported_by_one_operation, replaced_nevertheless
from commitment_scu import Closed, CommitmentScu, new_uid, references_of
from commitment_scu import settings_for as commitment_settings_for
from harness import ROOT, Daemon, fail, imaging_models, in_temp_folder, make_study, raw_send, shared_or_none
from metadata_client import ended as metadata_ended, order as metadata_order
from image_set_changes import KINDS, ONLY, dies_in_a_change
from stow_client import related, store
from truth import imported_exactly_once, rows

POINTS = re.findall(r'ISTHMUS_FAILPOINT\(\w+, "([^"]+)"',
                    (ROOT / "bridge/base/failpoints.def").read_text())


# Of the way of files: reached by what does not go into segments.
OF_FILES = {"spool.begun", "spool.bytes_written", "spool.file_synced", "spool.renamed",
            "ledger.group_synced"}
# Reached only by a start that finds something of an earlier life.
OF_RESTARTS = {"segment.recycled", "segment.replayed", "segment.copied", "segment.moved"}


def settings_for(point):
    settings = {"spool__kind": "segments", "spool__segment_bytes": "1MiB",
                # Swept at once, so that the sweeper's points are reached too.
                "spool__retention_s": 0, "sweeper__interval_s": 0.1}
    if point in OF_FILES:
        settings["spool__segment_max_bytes"] = 0
    if point in ("segment.copied", "segment.moved"):
        settings["spool__retention_s"] = 100000  # they hold their segment
        settings["spool__compact_after_s"] = 0
    return settings


def live_before(daemon, folder, point):
    """What the point needs to find: promises without rows, a segment to use again, one to empty."""
    if point == "segment.replayed":
        daemon.start("--failpoint", "segment.promised:1", wait=False)
        daemon.wait_listening(30)
        raw_send(daemon.dimse_port, folder / "study", timeout=60)
        assert daemon.reap(60) == -9
        return
    daemon.start()
    raw_send(daemon.dimse_port, folder / "study", check=True)
    daemon.wait_settled(120)
    if point == "segment.recycled":
        deadline = time.monotonic() + 30
        while rows(daemon, "SELECT count(*) FROM instance WHERE freed_at IS NULL") != [(0,)]:
            assert time.monotonic() < deadline, daemon.log_tail()
            time.sleep(0.1)
    assert daemon.stop() == 0


def dies_there_and_goes_on(folder, point, nth):
    make_study(folder / "study", series=2, instances=3, rows=32, cols=32)
    daemon = Daemon(folder, **settings_for(point))
    if point in OF_RESTARTS:
        live_before(daemon, folder, point)
    daemon.start("--failpoint", f"{point}:{nth}", wait=False)
    acknowledged = set()
    try:
        daemon.wait_listening(30)
        for line in raw_send(daemon.dimse_port, folder / "study", timeout=60):
            if line.get("status") == "0000":
                acknowledged.add(line["sop_instance_uid"])
    except AssertionError:
        pass  # it died while starting: some points are reached by provisioning
    status = daemon.reap(60)
    if status != -9:
        fail(f"{point}:{nth} was not reached: ended with {status}")
    daemon.start()
    # What was not acknowledged the sender sends again, as senders do.
    for line in raw_send(daemon.dimse_port, folder / "study", check=True):
        assert line.get("status", "0000") == "0000", line
        if "sop_instance_uid" in line:
            acknowledged.add(line["sop_instance_uid"])
    assert len(acknowledged) == 6, acknowledged
    daemon.wait_settled(120)
    imported_exactly_once(daemon, acknowledged, folder)
    leftovers = [path for path in (folder / "data/spool").rglob("*.part")]
    assert not leftovers, leftovers
    # A report of a sanitizer, leaks included, is an exit status of its own.
    status = daemon.stop()
    if status != 0:
        fail(f"{point}:{nth}: the daemon ended with {status}:\n{daemon.log_tail(150)}")


def dies_in_every_change(point, kinds):
    """Image sets are changed by callers of the data store, not by what is received."""
    if shared_or_none() is None:
        print("skipped: no ../shared beside the repository, with the service model in it")
        return
    for kind in kinds:
        def one(folder):
            imaging_models(folder)
            dies_in_a_change(folder, point, kind)
        in_temp_folder(one)


def asked_and_told_nevertheless(folder, point):
    """Death on the way of a commitment request: it is told once or, before its row said so, twice."""
    files = make_study(folder / "study", series=1, instances=2, rows=32, cols=32)
    references = references_of(files)
    scu = CommitmentScu().listen()
    daemon = Daemon(folder, **commitment_settings_for(scu)).start("--failpoint", f"{point}:1")
    transaction = new_uid()
    try:
        raw_send(daemon.dimse_port, folder / "study", check=True)
        scu.ask(daemon.dimse_port, references, transaction)
        answered = True
    except (AssertionError, OSError, Closed):
        answered = False  # then the requester asks again, under the same Transaction UID
    if daemon.reap(60) != -9:
        fail(f"{point} was not reached")
    told_before = len(scu.events)
    daemon.start()
    if not answered:
        raw_send(daemon.dimse_port, folder / "study", check=True)
        assert scu.ask(daemon.dimse_port, references, transaction)[1] == 0
    daemon.wait_settled(120)
    # A report that was acknowledged is known to be, or is told once more; never a third time.
    acknowledged_by_row = point == "reporter.delivered"
    wanted = told_before + (0 if acknowledged_by_row else 1)
    events = scu.wait_events(wanted, timeout=30, transaction=transaction)
    for event in events:
        assert event.event_type == 1 and event.count == 2, vars(event)
    deadline = time.monotonic() + 20
    while rows(daemon, "SELECT state FROM commitment") != [("delivered",)]:
        assert time.monotonic() < deadline, daemon.log_tail()
        time.sleep(0.1)
    time.sleep(0.5)
    # Asked again after it was told already, it is told again.
    most = wanted + (0 if answered else 1)
    assert wanted <= len(scu.events) <= most, f"told {len(scu.events)} times, {told_before} before"
    assert not scu.problems, scu.problems
    imported_exactly_once(daemon, [uid for _, uid in references], folder)
    status = daemon.stop()
    scu.shut()
    if status != 0:
        fail(f"{point}: the daemon ended with {status}:\n{daemon.log_tail(150)}")


def dies_before_a_stow_answer(folder):
    """Stored and not told: the sender sends again, and each instance is there once."""
    files = make_study(folder / "study", series=1, instances=3, rows=32, cols=32)
    daemon = Daemon(folder, **settings_for("stow.before_answer")).start(
        "--failpoint", "stow.before_answer:1")
    content = related([path.read_bytes() for path in files])
    try:
        store(daemon, content)
        fail("it answered")
    except (OSError, http.client.HTTPException):
        pass
    if daemon.reap(60) != -9:
        fail("stow.before_answer was not reached")
    daemon.start()
    uids = store(daemon, content)
    assert len(uids) == len(files), uids
    daemon.wait_settled(120)
    imported_exactly_once(daemon, uids, folder)
    status = daemon.stop()
    if status != 0:
        fail(f"stow.before_answer: the daemon ended with {status}:\n{daemon.log_tail(150)}")


def updated_nevertheless(folder, point):
    """Death on the way of a metadata update: after the restart it is applied, by one call per image set."""
    make_study(folder / "study", series=2, instances=1, rows=16, cols=16)
    daemon = Daemon(folder, destinations__main__updates_per_second=100, updates__poll_ms=20,
                    updates__busy_s=0.1).start("--failpoint", f"{point}:1")
    raw_send(daemon.dimse_port, folder / "study", check=True)
    daemon.wait_settled(120)
    [study] = [one["study_instance_uid"] for one in daemon.studies()]
    body = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "SYNTHETIC^CRASH"}]}}
    try:
        metadata_order(daemon, "PATCH", f"/v1/studies/{study}", body)
    except (AssertionError, OSError, http.client.HTTPException):
        pass  # not answered: the row is there, or the caller asks again
    if daemon.reap(60) != -9:
        fail(f"{point} was not reached")
    daemon.start()
    [[identity]] = rows(daemon, "SELECT id FROM metadata_update")
    update = metadata_ended(daemon, {"id": identity})
    assert len(update["image_sets"]) == 2, update
    if shared_or_none() is not None:
        import gzip
        imaging = daemon.imaging(imaging_models(folder))
        [found] = imaging.list_datastores()["datastoreSummaries"]
        for one in update["image_sets"]:
            place = dict(datastoreId=found["datastoreId"], imageSetId=one["image_set_id"])
            assert imaging.get_image_set(**place)["versionId"] == "2", one
            blob = imaging.get_image_set_metadata(**place)["imageSetMetadataBlob"].read()
            assert b"SYNTHETIC^CRASH" in gzip.decompress(blob)
    assert daemon.command("check-ledger").returncode == 0
    status = daemon.stop()
    if status != 0:
        fail(f"{point}: the daemon ended with {status}:\n{daemon.log_tail(150)}")


for point in sys.argv[1:] or POINTS:
    if point == "stow.before_answer":
        in_temp_folder(dies_before_a_stow_answer)
    elif point.startswith("upload."):
        for kind in ("aws", "google"):
            in_temp_folder(lambda folder: dies_in_an_upload(folder, point, kind))
    elif point.startswith("replace."):
        in_temp_folder(lambda folder: replaced_nevertheless(folder, point))
    elif point.startswith("datastore.change_"):
        dies_in_every_change(point, ONLY.get(point, KINDS))
    elif point.startswith("datastore.deletion_"):
        dies_in_every_change(point, ["delete"])  # of Google's: google_death_test.py
    elif point.startswith(("metadata.", "updater.")):
        in_temp_folder(lambda folder: updated_nevertheless(folder, point))
    elif point.startswith(("commitment.", "reporter.")):
        in_temp_folder(lambda folder: asked_and_told_nevertheless(folder, point))
    else:
        in_temp_folder(lambda folder: dies_there_and_goes_on(folder, point, 1))
        if point.startswith(("submitter.", "watcher.", "reconciler.")):
            in_temp_folder(lambda folder: imported_by_one_operation(folder, point))
    print("passed:", point, flush=True)
