"""Updates of metadata at a Google destination: unsupported in so many words unless replacing is chosen; then replaced,
seen by DICOMweb, and put back; through kills at random moments.
usage: replacing_test.py [KILLS]     the seed is printed; SEED=n repeats a run
"""

import os
import random
import sys
import time

from cloud_crash import NEW, GoogleCloud, gateway, killed_while_replacing
from harness import dcmsend, fail, in_temp_folder, make_study
from metadata_client import call, ended, order

KILLS = int(sys.argv[1]) if len(sys.argv) > 1 else 4
SEED = int(os.environ.get("SEED", time.time_ns() % 1_000_000))
BODY = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": NEW.decode()}]}}


def with_study(folder, test, **settings):
    cloud = GoogleCloud(folder)
    try:
        make_study(folder / "study", series=2, instances=2, rows=16, cols=16)
        with gateway(folder, **cloud.settings(updates_per_second=100, **settings), updates__poll_ms=20,
                     updates__busy_s=0.1) as daemon:
            dcmsend(daemon.dimse_port, folder / "study")
            daemon.wait_settled(120)
            test(cloud, daemon, cloud.instances())
    finally:
        cloud.close()


def unsupported_says_so(folder):
    def test(cloud, daemon, places):
        before = [cloud.stored(*place) for place in places]
        update = order(daemon, "PATCH", f"/v1/studies/{places[0][0]}", BODY)
        failed = ended(daemon, update, "failed")
        said = str(failed)
        if "metadata.unsupported" not in said or "metadata_updates" not in said:
            fail(f"it does not say what to do: {failed}")
        if [cloud.stored(*place) for place in places] != before:
            fail("something was changed")
    with_study(folder, test)


def levels_and_instances(folder):
    """Series and instance attributes, sequences and private ones by force, an instance removed and brought back."""
    def test(cloud, daemon, places):
        study, series, sop = places[0]
        path = f"/v1/studies/{study}/series/{series}"
        before = {place: cloud.stored(*place) for place in places}
        first = ended(daemon, order(daemon, "PATCH", path,
                                    {"set": {"SeriesDescription": {"Value": ["CHANGED SERIES"]}}}))
        for place in places:
            if (b"CHANGED SERIES" in cloud.stored(*place)) != (place[1] == series):
                fail(f"the wrong series was changed: {place}")
        ended(daemon, order(daemon, "PATCH", f"{path}/instances/{sop}",
                            {"set": {"ImageComments": {"Value": ["CHANGED IMAGE"]}}}))
        if [place for place in places if b"CHANGED IMAGE" in cloud.stored(*place)] != places[:1]:
            fail("not this instance alone was changed")
        gone = ended(daemon, order(daemon, "PATCH", f"{path}/instances/{sop}",
                                   {"removeInstance": True, "force": ["SOPInstanceUID"]}))
        if cloud.stored(*places[0]) is not None or len(cloud.instances()) != 3:
            fail(f"it is still there: {cloud.instances()}")
        ended(daemon, order(daemon, "POST", f"/v1/metadata-updates/{gone['id']}/revert"))
        if cloud.instances() != places:
            fail(f"it did not come back: {cloud.instances()}")
        status, answer = call(daemon, "POST", f"/v1/metadata-updates/{first['id']}/revert")
        if status == 202:  # others came since: to go back would undo them
            ended(daemon, answer, "conflict")
        if not all(cloud.stored(*place) == before[place] for place in places if place[1] != series):
            fail("an instance of another series was touched")
    with_study(folder, test, metadata_updates="replace")


def killed_at_random(folder):
    killed_while_replacing(folder, random.Random(SEED), KILLS)


print(f"seed {SEED}", flush=True)
for test in (unsupported_says_so, levels_and_instances, killed_at_random):
    in_temp_folder(test)
    print("passed:", test.__name__, flush=True)
