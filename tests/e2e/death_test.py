"""SIGKILL at random moments while dcmsend sends: what was acknowledged is imported exactly once. With
"deletions": while DeleteImageSet is called, again and again; what was answered is deleted after the restart,
everything else is whole. With "changes": while image sets are updated and copied; what was answered is done
after the restart, what was not is done or is not there, and nothing is half visible.

usage: death_test.py [KILLS [segments|files|deletions|changes]]     the seed is printed; SEED=n repeats a run
"""

import json
import os
import random
import re
import subprocess
import sys
import threading
import time

from harness import Daemon, fail, imaging_models, in_temp_folder, make_study
from image_set_changes import Store
from truth import imported_exactly_once

ARGUMENTS = sys.argv[1:] if __name__ == "__main__" else []  # others use what is below
KILLS = int(ARGUMENTS[0]) if ARGUMENTS else 25
KIND = ARGUMENTS[1] if len(ARGUMENTS) > 1 else "segments"
SEED = int(os.environ.get("SEED", time.time_ns() % 1_000_000))


def acknowledged_in(report):
    """UIDs that a dcmsend report says were answered with success."""
    uids = set()
    for block in re.split(r"\n(?=Number\s*:)", report):
        uid = re.search(r"SOP Instance\s*:\s*([0-9.]+)", block)
        if uid and re.search(r"Status\s*:.*Success", block):
            uids.add(uid.group(1))
    return uids


class Moment:
    """When to kill: at random within a span that grows while nothing is acknowledged before the kill, and
    shrinks when everything is. What fits the machine is found within a few kills."""

    def __init__(self, chance, span_s):
        self.chance, self.span_s = chance, span_s

    def wait(self):
        time.sleep(self.chance.uniform(0.0, self.span_s))

    def learn(self, acknowledged, sent):
        if not acknowledged:
            self.span_s = min(self.span_s * 1.6, 20)
        elif len(acknowledged) == sent:
            self.span_s = max(self.span_s / 1.6, 0.1)


def deaths(folder):
    moment = Moment(random.Random(SEED), 0.35)
    print(f"seed {SEED}, {KILLS} kills, {KIND}", flush=True)
    daemon = Daemon(folder, spool__kind=KIND, staging__object_retention_s=0)
    acknowledged = set()
    # One port for the whole test, so that senders find the daemon again.
    daemon.start()
    daemon.settings["dimse.port"] = str(daemon.dimse_port)
    for kill in range(KILLS):
        study = folder / f"study-{kill}"
        files = make_study(study, series=2, instances=15, rows=128, cols=128, seed=SEED * 1000 + kill)
        report = folder / f"report-{kill}.txt"
        sender = subprocess.Popen(
            ["dcmsend", "-aec", "ISTHMUS", "127.0.0.1", str(daemon.dimse_port), "+sd", "+r",
             "+crf", str(report), str(study)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        moment.wait()
        daemon.kill()
        sender.wait(60)
        answered = acknowledged_in(report.read_text(errors="replace")) if report.exists() else set()
        moment.learn(answered, len(files))
        acknowledged |= answered
        daemon.start()
    daemon.wait_settled(300)
    if not acknowledged:
        fail("no instance was acknowledged in the whole test: it proved nothing")
    total = imported_exactly_once(daemon, acknowledged, folder)
    print(f"{len(acknowledged)} acknowledged, {total} imported, each exactly once")
    daemon.stop()


def delete_until_it_dies(store, image_sets, answered):
    for one in image_sets:
        try:
            store.imaging.delete_image_set(datastoreId=store.id, imageSetId=one)
        except Exception:  # noqa: BLE001 — the daemon was killed
            return
        answered.add(one)


def deaths_in_deletions(folder):
    chance = random.Random(SEED)
    print(f"seed {SEED}, {KILLS} kills in deletions", flush=True)
    imaging_models(folder)
    files = make_study(folder / "study", series=15 * KILLS, instances=2, rows=16, cols=16, seed=SEED)
    daemon = Daemon(folder).start()
    store = Store(daemon, folder).fill(files)
    for number in range(len(files)):  # then the image sets alone name the bytes
        store.s3.delete_object(Bucket="crash-bucket", Key=f"in/{number}")
    everything, answered, data_store = sorted(store.every_set()), set(), store.id
    for _ in range(KILLS):
        left = [one for one in everything if one not in answered]
        worker = threading.Thread(target=delete_until_it_dies, args=(store, left, answered))
        worker.start()
        time.sleep(chance.uniform(0.0, 0.3))
        daemon.kill()
        worker.join(120)
        daemon.start()
        store = Store(daemon, folder)
        store.id = data_store
        states = {one: store.settle(one)["imageSetState"] for one in everything}
        gone = {one for one, state in states.items() if state == "DELETED"}
        if not answered <= gone:
            fail(f"answered, and still there: {answered - gone}")
        if store.every_set() != set(everything) - gone:
            fail("searching finds others than are there")
        for one in set(everything) - gone:
            [series] = store.document(one)["Study"]["Series"].values()
            if len(series["Instances"]) != 2:
                fail(f"an image set is there by half: {series['Instances'].keys()}")
        answered |= gone
    if not answered:
        fail("nothing was deleted in the whole test: it proved nothing")
    assert daemon.stop() == 0
    found = json.loads(daemon.command("datastore", "verify", "--content").stdout)
    kept = sum(1 for path in (folder / "data/datastore/blobs").rglob("*") if path.is_file())
    if not found["sound"] or found["unnamed_blobs"] or kept > len(files) - 2 * len(answered) + 4:
        fail(f"blobs and catalogue do not agree: {found}, {kept} blobs")
    print(f"{len(answered)} of {len(everything)} image sets deleted, {kept} blobs left")


class Changed:
    """What image sets are: of each the version and the patient's name, and what the last call may have made."""

    def __init__(self, store):
        self.sets = {one: (1, self.name(store, one)) for one in store.every_set()}
        self.unanswered = None  # ("update", set, name) or ("copy", set)
        self.updates = self.copies = 0

    @staticmethod
    def name(store, one):
        document = store.document(one)
        [series] = document["Study"]["Series"].values()
        assert len(series["Instances"]) == 2, (one, series["Instances"].keys())
        return document["Patient"]["DICOM"]["PatientName"]

    def update(self, store, one, name):
        self.unanswered = ("update", one, name)
        version = self.sets[one][0]
        document = json.dumps({"SchemaVersion": 1.1, "Patient": {"DICOM": {"PatientName": name}}})
        store.imaging.update_image_set_metadata(
            datastoreId=store.id, imageSetId=one, latestVersionId=str(version),
            updateImageSetMetadataUpdates={"DICOMUpdates": {"updatableAttributes": document.encode()}})
        self.sets[one] = (version + 1, name)
        self.unanswered, self.updates = None, self.updates + 1

    def copy(self, store, one):
        self.unanswered = ("copy", one)
        made = store.imaging.copy_image_set(
            datastoreId=store.id, sourceImageSetId=one,
            copyImageSetInformation={"sourceImageSet": {"latestVersionId": str(self.sets[one][0])}})
        self.sets[made["destinationImageSetProperties"]["imageSetId"]] = (1, self.sets[one][1])
        self.unanswered, self.copies = None, self.copies + 1

    def hold(self, store):
        for one in self.sets:
            store.settle(one)
        more = store.every_set() - set(self.sets)
        if more and (len(more) > 1 or not self.unanswered or self.unanswered[0] != "copy"):
            fail(f"image sets that nobody asked for: {more}, {self.unanswered}")
        for one in more:  # a copy whose answer was lost
            store.settle(one)
            self.sets[one] = (1, self.sets[self.unanswered[1]][1])
        if store.every_set() != set(self.sets):
            fail(f"image sets are missing: {set(self.sets) - store.every_set()}")
        for one, wanted in self.sets.items():
            state = store.state(one)
            found = (int(state["versionId"]), self.name(store, one))
            if found != wanted and self.unanswered == ("update", one, found[1]):
                wanted = self.sets[one] = (wanted[0] + 1, found[1])
            if found != wanted or state["imageSetState"] != "ACTIVE":
                fail(f"{one} is {found}, wanted {wanted}: {state}")
        self.unanswered = None


def change_until_it_dies(store, changed, order, kill):
    try:
        for number, one in enumerate(order):
            if number % 3 == 2:
                changed.copy(store, one)
            else:
                changed.update(store, one, f"KILL{kill}^{number}")
    except Exception:  # noqa: BLE001 — the daemon was killed
        return


def deaths_in_changes(folder):
    chance = random.Random(SEED)
    print(f"seed {SEED}, {KILLS} kills in updates and copies", flush=True)
    imaging_models(folder)
    files = make_study(folder / "study", series=20, instances=2, rows=16, cols=16, seed=SEED)
    daemon = Daemon(folder).start()
    store = Store(daemon, folder).fill(files)
    changed, data_store = Changed(store), store.id
    for kill in range(KILLS):
        order = chance.sample(sorted(changed.sets), len(changed.sets))
        worker = threading.Thread(target=change_until_it_dies, args=(store, changed, order, kill))
        worker.start()
        time.sleep(chance.uniform(0.0, 0.3))
        daemon.kill()
        worker.join(120)
        daemon.start()
        store = Store(daemon, folder)
        store.id = data_store
        changed.hold(store)
    if not changed.updates or not changed.copies:
        fail("nothing was changed in the whole test: it proved nothing")
    assert daemon.stop() == 0
    found = json.loads(daemon.command("datastore", "verify", "--content").stdout)
    if not found["sound"] or found["unnamed_blobs"]:
        fail(f"blobs and catalogue do not agree: {found}")
    print(f"{changed.updates} updates and {changed.copies} copies were answered, {len(changed.sets)} image sets")


if __name__ == "__main__":
    in_temp_folder({"deletions": deaths_in_deletions, "changes": deaths_in_changes}.get(KIND, deaths))
