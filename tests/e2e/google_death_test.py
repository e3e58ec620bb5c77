"""SIGKILL under the Google faces: Healthcare imports, resumable uploads, deletions. After the restart what
was begun is done, once, nothing is half there, and blobs and catalogue agree.

usage: google_death_test.py [KILLS]     the seed is printed; SEED=n repeats a run
"""

import hashlib
import http.client
import json
import os
import random
import sys
import threading
import time

from google_client import DATASET, STORE, Google
from harness import Daemon, fail, in_temp_folder, make_study

KILLS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
SEED = int(os.environ.get("SEED", time.time_ns() % 1_000_000))
POINTS = ("datastore.job_accepted:1", "datastore.file_examined:3", "datastore.image_sets_published:1")
DELETION_POINTS = ("datastore.deletion_erasing", "datastore.deletion_committed", "datastore.deletion_freeing")
CHUNK = 256 * 1024


def begun(folder):
    return Daemon(folder, datastore__google_metadata_server="true")


def fill_bucket(google, files):
    google.json("POST", "/storage/v1/b?project=p1", b'{"name":"death-bucket"}')
    for number, path in enumerate(files):
        google.json("POST", f"/upload/storage/v1/b/death-bucket/o?uploadType=media&name=in/{number}.dcm",
                    path.read_bytes())
    google.json("POST", f"/v1/{DATASET.rsplit('/', 1)[0]}?datasetId=ds1", b"{}")
    google.json("POST", f"/v1/{DATASET}/dicomStores?dicomStoreId=st1", b"{}")


def start_import(google):
    return google.json("POST", f"/v1/{STORE}:import", b'{"gcsSource":{"uri":"gs://death-bucket/in/**.dcm"}}')


def sound(daemon):
    found = json.loads(daemon.command("datastore", "verify", "--content").stdout)
    if not found["sound"] or found["unnamed_blobs"]:
        fail(f"blobs and catalogue do not agree: {found}")


def dies_in_an_import(folder, point):
    files = make_study(folder / "study", series=2, instances=4, rows=16, cols=16)
    daemon = begun(folder).start()
    fill_bucket(Google(daemon), files)
    assert daemon.stop() == 0
    daemon.start("--failpoint", point)
    try:
        start_import(Google(daemon))
    except (OSError, http.client.HTTPException):
        pass  # it may die before it answers
    if daemon.reap(60) != -9:
        fail(f"{point} was not reached")

    daemon.start()
    google = Google(daemon)
    [imported] = google.wait_for_imports()
    if imported["metadata"]["counter"] != {"success": str(len(files))} or google.instances() != len(files):
        fail(f"{point}: {imported}, {google.instances()} instances")
    assert daemon.stop() == 0
    sound(daemon)


def imports_at_every_failpoint(_):
    for point in POINTS:
        in_temp_folder(lambda folder: dies_in_an_import(folder, point))


def all_instances(google):
    status, text, _ = google.call("GET", f"/v1/{STORE}/dicomWeb/instances", Accept="application/dicom+json")
    if status == 404:
        return []
    found = json.loads(text) if text else []
    return sorted((one["0020000D"]["Value"][0], one["0020000E"]["Value"][0], one["00080018"]["Value"][0])
                  for one in found)


def deletions(instances):
    """What can be deleted: its address, and the instances that are left."""
    study, series, instance = instances[0]
    in_study = f"{STORE}/dicomWeb/studies/{study}"
    return {
        "instance": (f"{in_study}/series/{series}/instances/{instance}", instances[1:]),
        "series": (f"{in_study}/series/{series}", [one for one in instances if one[1] != series]),
        "study": (in_study, [one for one in instances if one[0] != study]),
        "store": (STORE, []),
        "dataset": (DATASET, []),
    }


def dies_in_a_deletion(folder, point, kind):
    """Before the commit nothing is deleted; behind it all is, and its space is free after the start."""
    files = make_study(folder / "study", series=2, instances=2, rows=16, cols=16)
    files += make_study(folder / "other", series=1, instances=1, rows=16, cols=16, seed=2)
    daemon = begun(folder).start("--failpoint", f"{point}:1")
    google = Google(daemon)
    fill_bucket(google, files)
    start_import(google)
    google.wait_for_imports()
    for number in range(len(files)):  # then the store alone names the bytes
        google.call("DELETE", f"/storage/v1/b/death-bucket/o/in%2F{number}.dcm")
    before = all_instances(google)
    target, left = deletions(before)[kind]
    try:
        google.call("DELETE", f"/v1/{target}")
        fail(f"{point} ({kind}): it answered")
    except (OSError, http.client.HTTPException):
        pass
    if daemon.reap(60) != -9:
        fail(f"{point} ({kind}) was not reached")

    daemon.start()
    google = Google(daemon)
    wanted = before if point == "datastore.deletion_erasing" else left
    if all_instances(google) != wanted:
        fail(f"{point} ({kind}): {len(all_instances(google))} instances of {len(before)}, not {len(wanted)}")
    for study, series, instance in wanted:  # whole, and not in part
        status, got, _ = google.call(
            "GET", f"/v1/{STORE}/dicomWeb/studies/{study}/series/{series}/instances/{instance}",
            Accept="application/dicom; transfer-syntax=*")
        if status != 200 or got not in [path.read_bytes() for path in files]:
            fail(f"{point} ({kind}): what is left cannot be read: {status}")
    if wanted == before:
        google.json("DELETE", f"/v1/{target}")
        if all_instances(google) != left:
            fail(f"{point} ({kind}): it cannot be deleted again")
    assert daemon.stop() == 0
    sound(daemon)
    kept = sum(1 for path in (folder / "data/datastore/blobs").rglob("*") if path.is_file())
    if kept != len(left):
        fail(f"{point} ({kind}): {kept} blobs for {len(left)} instances")


def deletions_at_every_failpoint(_):
    for point in DELETION_POINTS:
        for kind in ("instance", "series", "study", "store", "dataset"):
            in_temp_folder(lambda folder: dies_in_a_deletion(folder, point, kind))


def killed_soon(daemon, chance, act):
    """Lets `act` run until the daemon is killed under it; what it was in the middle of may fail."""
    def tolerant():
        try:
            act()
        except (OSError, http.client.HTTPException, AssertionError, ValueError):
            pass
    worker = threading.Thread(target=tolerant)
    worker.start()
    time.sleep(chance.uniform(0.0, 0.4))
    daemon.kill()
    worker.join(60)


def imports_and_deletions_at_random(folder):
    chance = random.Random(SEED)
    files = make_study(folder / "study", series=2, instances=20, rows=64, cols=64)
    daemon = begun(folder).start()
    fill_bucket(Google(daemon), files)
    seen = set()
    for _ in range(KILLS):
        google = Google(daemon)
        killed_soon(daemon, chance, lambda: start_import(google))
        daemon.start()
        google = Google(daemon)
        if google.operations() and any("Import" in one["metadata"]["apiMethodName"]
                                       for one in google.operations()):
            google.wait_for_imports()
        count = google.instances()
        if count not in (0, len(files)):
            fail(f"an import is half visible: {count} of {len(files)}")
        if count == 0:
            start_import(google)
            google.wait_for_imports()
        [study] = json.loads(google.call("GET", f"/v1/{STORE}/dicomWeb/studies",
                                         Accept="application/dicom+json")[1])
        target = f"/v1/{STORE}/dicomWeb/studies/{study['0020000D']['Value'][0]}"
        killed_soon(daemon, chance, lambda: google.call("DELETE", target))
        daemon.start()
        google = Google(daemon)
        count = google.instances()
        seen.add(count)
        if count not in (0, len(files)):
            fail(f"a deletion is half done: {count} of {len(files)}")
        if count:
            google.json("DELETE", target)
    assert daemon.stop() == 0
    sound(daemon)
    print(f"{KILLS} kills in imports and in deletions; after a deletion there were {sorted(seen)}")


def offset_of(google, session):
    """How much of the session's bytes is kept; nothing once the object is there."""
    status, text, headers = google.call("PUT", session, Content_Range="bytes */*", Content_Length="0")
    if status == 200:
        return None
    if status != 308:
        fail(f"the session has {status}: {text[:200]}")
    return int(headers["Range"].split("-")[1]) + 1 if "Range" in headers else 0


def send_from(google, session, content, at):
    while at < len(content):
        end = min(at + CHUNK, len(content))
        google.call("PUT", session, content[at:end],
                    Content_Range=f"bytes {at}-{end - 1}/{len(content)}")
        at = end


def resumable_uploads_at_random(folder):
    chance = random.Random(SEED + 1)
    content = chance.randbytes(12 * 1024 * 1024 + 17)
    daemon = begun(folder).start()
    google = Google(daemon)
    google.json("POST", "/storage/v1/b?project=p1", b'{"name":"death-bucket"}')
    _, _, headers = google.call(
        "POST", "/upload/storage/v1/b/death-bucket/o?uploadType=resumable&name=large", b"{}")
    session = "/" + headers["Location"].split("/", 3)[3]
    at, offsets = 0, []
    for _ in range(KILLS):
        killed_soon(daemon, chance, lambda: send_from(google, session, content, at))
        daemon.start()
        google = Google(daemon)
        kept = offset_of(google, session)
        if kept is None:
            break
        if kept < at:
            fail(f"{at} bytes were told to be kept, now there are {kept}")
        at = kept
        offsets.append(at)
    if offset_of(google, session) is not None:
        send_from(google, session, content, at)
    got = google.call("GET", "/storage/v1/b/death-bucket/o/large?alt=media")[1]
    if hashlib.sha256(got).digest() != hashlib.sha256(content).digest():
        fail(f"the object is not what was sent: {len(got)} of {len(content)} bytes, kept at {offsets}")
    assert daemon.stop() == 0
    sound(daemon)
    print(f"a resumable upload went on at {offsets} of {len(content)}")


print(f"seed {SEED}", flush=True)
for test in (imports_at_every_failpoint, deletions_at_every_failpoint, imports_and_deletions_at_random, resumable_uploads_at_random):
    in_temp_folder(test)
    print("passed:", test.__name__, flush=True)
