"""What the plugin has not seen, or could not take at once, it fetches: SIGKILL, a plugin that was off,
what was there before it, copies that Orthanc changed, overwrote or deleted.

usage: orthanc_repair_test.py [TEST …]     SEED=n repeats a run, KILLS=n changes how many
"""

import json
import os
import random
import subprocess
import sys
import time
import urllib.error

from acknowledged import Acknowledged
from commitment_scu import CommitmentScu, new_uid, references_of
from harness import dcmsend, fail, in_temp_folder, make_study
from orthanc import Orthanc, need_orthanc
from orthanc_test import uids_of
from truth import imported_exactly_once, rows

KILLS = int(os.environ.get("KILLS", 25))
SEED = int(os.environ.get("SEED", time.time_ns() % 1_000_000))


def killed_in_mid_store(folder):
    """Each kill comes at a random moment after a random number of answers, while others are on their way."""
    chance = random.Random(SEED)
    print(f"seed {SEED}, {KILLS} kills", flush=True)
    orthanc = Orthanc(folder, **{"staging__object_retention_s": 0})
    acknowledged, cut_short = set(), 0
    orthanc.start()
    for kill in range(KILLS):
        study = folder / f"study-{kill}"
        files = make_study(study, series=2, instances=30, rows=128, cols=128, seed=SEED * 1000 + kill)
        sender = Acknowledged(orthanc.dimse_port, study, called="ORTHANC", associations=3)
        sender.wait_for(chance.randrange(len(files) * 3 // 4))
        time.sleep(chance.uniform(0, 0.02))
        orthanc.kill()
        answered = sender.wait()
        cut_short += 0 < len(answered) < len(files)
        acknowledged |= answered
        orthanc.start()
    orthanc.wait_settled(300)
    if len(acknowledged) < 10 * KILLS or cut_short < KILLS * 3 // 4:
        fail(f"{len(acknowledged)} acknowledged, {cut_short} of {KILLS} in mid-store: that proves little")
    total = imported_exactly_once(orthanc, acknowledged, folder)
    fetched = orthanc.metric("isthmus_orthanc_fetched_total")
    print(f"{len(acknowledged)} acknowledged, {cut_short} of {KILLS} kills in mid-store; {total} imported, each "
          f"exactly once; {fetched:.0f} fetched since the last kill")
    if orthanc.stop() != 0:
        fail(f"Orthanc did not end cleanly: {orthanc.log_tail()}")


def the_plugin_was_off(folder):
    before = make_study(folder / "before", series=1, instances=3, seed=1)
    between = make_study(folder / "between", series=2, instances=10, seed=2)
    with Orthanc(folder) as orthanc:
        dcmsend(orthanc.dimse_port, folder / "before")
        orthanc.wait_settled()
        orthanc.stop()
        orthanc.plugin = False
        orthanc.start()
        dcmsend(orthanc.dimse_port, folder / "between")
        orthanc.stop()
        orthanc.plugin = True
        orthanc.start()

        orthanc.wait_settled()

        if orthanc.metric("isthmus_orthanc_fetched_total") < len(between):
            fail("nothing was fetched")
        total = imported_exactly_once(orthanc, uids_of(before + between), folder)
        if total != len(before + between):
            fail(f"{total} imported")
        print(f"{len(between)} caught up")


def what_was_there_before(folder):
    old = make_study(folder / "old", series=2, instances=6, seed=1)
    orthanc = Orthanc(folder, plugin=False)
    with orthanc:
        dcmsend(orthanc.dimse_port, folder / "old")
        make_study(folder / "older", series=1, instances=4, seed=2)
        dcmsend(orthanc.dimse_port, folder / "older")
        orthanc.stop()
        orthanc.plugin = True

        orthanc.start()
        orthanc.wait_followed()
        if orthanc.totals().get("received", 0) != 0:
            fail("none was asked for")
        orthanc.stop()

        orthanc.settings["orthanc.import_existing"] = "since"
        orthanc.settings["orthanc.import_existing_since"] = "29990101"
        orthanc.start()
        orthanc.wait_followed()
        if orthanc.plugin_status()["import_existing"]["instances"] != 0:
            fail("they are not of the future")
        orthanc.stop()

        # A slow walk, killed on its way, goes on where it was.
        orthanc.settings["orthanc.import_existing"] = "all"
        orthanc.settings["orthanc.import_existing_since"] = ""
        orthanc.settings["orthanc.import_existing_per_second"] = 10
        orthanc.start()
        while orthanc.plugin_status()["import_existing"]["studies"] < 1:
            time.sleep(0.05)
        orthanc.kill()
        orthanc.start()
        orthanc.wait_settled()

        walked = orthanc.plugin_status()["import_existing"]
        if walked["state"] != "done" or walked["studies"] != 2 or walked["studies_in_all"] != 2:
            fail(f"the walk: {walked}")
        if imported_exactly_once(orthanc, uids_of(old), folder) != 16:
            fail("not all were imported")
        orthanc.stop()
        orthanc.start()
        orthanc.wait_followed()
        if orthanc.metric("isthmus_orthanc_fetched_total") != 0:
            fail("a walk that was done was done again")
        print(f"walked: {walked}")


def other_copies(folder):
    """Overwritten, transcoded, deleted: each is an instance of its own, or told of."""
    files = make_study(folder / "study", series=1, instances=2)
    extra = {"OverwriteInstances": True}
    with Orthanc(folder, orthanc=extra) as orthanc:
        dcmsend(orthanc.dimse_port, folder / "study")
        orthanc.wait_settled()
        # The same UID with other bytes: both are kept, flagged, and delivered.
        changed = folder / "changed.dcm"
        changed.write_bytes(files[0].read_bytes())
        subprocess.run(["dcmodify", "-nb", "-i", "(0008,103e)=ANOTHER", str(changed)], check=True)
        orthanc.rest("/instances", "POST", changed.read_bytes())
        orthanc.wait_settled()
        uid = uids_of(files[:1])[0]
        held = rows(orthanc, "SELECT conflicts_with IS NOT NULL, d.state FROM instance i JOIN delivery d "
                             "ON d.instance_id = i.id WHERE sop_instance_uid = ? ORDER BY 1", uid)
        if held != [(0, "imported"), (1, "imported")]:
            fail(f"overwritten: {held}")
        # Deleted in Orthanc: nothing of ours is taken back.
        for study in orthanc.json("/studies"):
            orthanc.rest(f"/studies/{study}", "DELETE")
        orthanc.wait_settled()
        if orthanc.totals()["imported"] != 3:
            fail(f"after a deletion: {orthanc.totals()}")
        # Stored and deleted while the plugin was off: there is nothing to take, and that is told.
        orthanc.stop()
        orthanc.plugin = False
        orthanc.start()
        orthanc.rest("/instances", "POST", files[1].read_bytes())
        for study in orthanc.json("/studies"):
            orthanc.rest(f"/studies/{study}", "DELETE")
        orthanc.stop()
        orthanc.plugin = True
        # Orthanc re-encodes what comes in: what it keeps is what is taken.
        orthanc.extra["IngestTranscoding"] = "1.2.840.10008.1.2.4.70"
        orthanc.start()
        make_study(folder / "other", series=1, instances=1, seed=7)
        dcmsend(orthanc.dimse_port, folder / "other")
        orthanc.wait_settled()
        syntaxes = rows(orthanc, "SELECT transfer_syntax_uid FROM instance ORDER BY received_at DESC "
                                 "LIMIT 1")
        if syntaxes != [("1.2.840.10008.1.2.4.70",)] or orthanc.totals()["imported"] != 4:
            fail(f"transcoded: {syntaxes} {orthanc.totals()}")


def sent_again(folder):
    """Orthanc answers success and keeps what it had (OverwriteInstances false): other bytes are ours alone."""
    files = make_study(folder / "study", series=1, instances=1)
    other = folder / "other.dcm"
    other.write_bytes(files[0].read_bytes())
    subprocess.run(["dcmodify", "-nb", "-i", "(0008,103e)=ANOTHER", str(other)], check=True)
    with Orthanc(folder) as orthanc:
        statuses = [json.loads(orthanc.rest("/instances", "POST", path.read_bytes()))["Status"]
                    for path in (files[0], files[0], other)]
        orthanc.wait_settled()
        held = rows(orthanc, "SELECT conflicts_with IS NOT NULL, d.state FROM instance i JOIN delivery d "
                             "ON d.instance_id = i.id ORDER BY 1")
        if statuses != ["Success", "AlreadyStored", "AlreadyStored"] or \
                held != [(0, "imported"), (1, "imported")]:
            fail(f"{statuses}: {held}")
        if len(orthanc.json("/instances")) != 1:
            fail("Orthanc keeps more than one")
        print(f"{statuses}: {held}")


def commitment_through_orthanc(folder):
    files = make_study(folder / "study", series=1, instances=3)
    absent = ("1.2.840.10008.5.1.4.1.1.2", new_uid())
    scu = CommitmentScu()
    modalities = {"DicomModalities": {"modality": {
        "AET": scu.title, "Host": "127.0.0.1", "Port": scu.port, "AllowStorageCommitment": True}}}
    with Orthanc(folder, orthanc=modalities, orthanc__commitment_wait_s=20, batch__quiet_s=2) as orthanc:
        scu.listen()
        dcmsend(orthanc.dimse_port, folder / "study")
        good = references_of(files)
        instances = set(uids_of(files))
        transaction, status = scu.ask(orthanc.dimse_port, good)
        asked = time.monotonic()
        if status != 0:
            fail(f"N-ACTION was answered {status:#x}")
        [event] = scu.wait_events(transaction=transaction)
        # Not before the manifest said so: the batch alone is quiet for two seconds.
        if event.failed or set(event.committed) != instances or time.monotonic() - asked < 1:
            fail(f"committed {event.committed}, failed {event.failed}")
        if orthanc.totals()["imported"] != 3:
            fail("committed, but not imported")
        orthanc.stop()
        orthanc.settings["orthanc.commitment_wait_s"] = 1
        orthanc.start()
        step = ("1.2.840.10008.3.1.2.3.3", new_uid())  # a procedure step: nobody stores it
        transaction, status = scu.ask(orthanc.dimse_port, good + [absent, step])
        [event] = scu.wait_events(transaction=transaction)
        if set(event.committed) != instances or event.failed != {absent[1]: 0x0112, step[1]: 0x0122}:
            fail(f"committed {event.committed}, failed {event.failed}")
        print(f"committed {len(good)} after the import; {event.failed}")


def deleted_after_import(folder):
    kept = make_study(folder / "kept", series=1, instances=1, seed=1)
    files = make_study(folder / "study", series=1, instances=3, seed=2)
    with Orthanc(folder, orthanc__after_import="delete", orthanc__delete_after_s=1) as orthanc:
        orthanc.rest("/instances", "POST", kept[0].read_bytes())
        [patient] = orthanc.json("/patients")
        orthanc.rest(f"/patients/{patient}/protected", "PUT", b"1")
        dcmsend(orthanc.dimse_port, folder / "study")
        orthanc.wait_settled()
        orthanc.wait_metric("isthmus_orthanc_deleted_total", len(files))
        orthanc.wait_metric("isthmus_orthanc_kept_total", 1)
        left = orthanc.json("/instances")
        if len(left) != 1 or orthanc.json(f"/instances/{left[0]}/patient")["ID"] != patient:
            fail(f"left in Orthanc: {left}")
        if imported_exactly_once(orthanc, uids_of(kept + files), folder) != 4:
            fail("not all were imported")
        print(f"{len(files)} deleted after their import, the protected patient kept")


def protected_until_imported(folder):
    """Orthanc keeps one patient: the one whose images are on their way, although another comes."""
    def wait_protected(orthanc, patient, wanted):
        deadline = time.monotonic() + 60
        while orthanc.rest(f"/patients/{patient}/protected").decode() != wanted:
            if time.monotonic() > deadline:
                fail(f"protected is not {wanted}: {orthanc.log_tail()}")
            time.sleep(0.1)

    first = make_study(folder / "first", series=1, instances=2, seed=1)
    second = make_study(folder / "second", series=1, instances=1, seed=2)
    # The cloud is out, as far as this batch knows, until the setting changes.
    with Orthanc(folder, orthanc={"MaximumPatientCount": 1}, orthanc__protect_on_way="true",
                 batch__quiet_s=600, batch__max_age_s=600) as orthanc:
        for path in first:
            orthanc.rest("/instances", "POST", path.read_bytes())
        [patient] = orthanc.json("/patients")
        wait_protected(orthanc, patient, "1")
        try:
            orthanc.rest("/instances", "POST", second[0].read_bytes())
        except urllib.error.HTTPError as error:
            print(f"while it is protected the next patient is answered {error.code}")
        if patient not in orthanc.json("/patients"):
            fail("recycled while on its way")
        orthanc.kill()
        orthanc.settings["batch.quiet_s"] = "0.3"
        orthanc.settings["batch.max_age_s"] = "5"
        orthanc.start()
        orthanc.wait_settled()
        wait_protected(orthanc, patient, "0")
        orthanc.rest("/instances", "POST", second[0].read_bytes())
        if orthanc.json("/patients") == [patient] or len(orthanc.json("/patients")) != 1:
            fail("Orthanc did not recycle the patient that is through")
        orthanc.wait_settled()
        if imported_exactly_once(orthanc, uids_of(first + second), folder) != 3:
            fail("not all were imported")
        print("protected until imported, over a kill; then recycled by Orthanc itself")


TESTS = (deleted_after_import, protected_until_imported, sent_again, the_plugin_was_off, what_was_there_before, other_copies, commitment_through_orthanc,
         killed_in_mid_store)

if __name__ == "__main__":
    need_orthanc()
    for test in TESTS:
        if len(sys.argv) == 1 or test.__name__ in sys.argv[1:]:
            in_temp_folder(test)
            print("passed:", test.__name__, flush=True)
