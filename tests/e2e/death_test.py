"""SIGKILL at random moments while dcmsend sends: what was acknowledged is imported exactly once. With
"deletions": while DeleteImageSet is called, again and again; what was answered is deleted after the restart,
everything else is whole.

usage: death_test.py [KILLS [segments|files|deletions]]     the seed is printed; SEED=n repeats a run
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


if __name__ == "__main__":
    in_temp_folder(deaths_in_deletions if KIND == "deletions" else deaths)
