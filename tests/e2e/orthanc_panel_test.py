"""The plugin's button and panel in Orthanc Explorer, clicked in headless Chromium; the screenshot is kept in
build/viewer/shots. And what the plugin writes into Orthanc: user metadata."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error

from harness import ROOT, SKIP, dcmsend, fail, in_temp_folder, make_study
from orthanc import Orthanc, need_orthanc
from truth import rows

VIEWER = ROOT / "build/viewer"
DESCRIPTION = "CORRECTED IN EXPLORER"
METADATA = {"UserMetadata": {"isthmus-state": 4700, "isthmus-image-set": 4701, "isthmus-import-job": 4702}}


def metadata_of(orthanc, resource, name, wanted, timeout=30):
    deadline = time.monotonic() + timeout
    while True:
        try:
            value = orthanc.rest(f"{resource}/metadata/{name}").decode()
        except urllib.error.HTTPError:
            value = None
        if value == wanted or (wanted is None and value):
            return value
        if time.monotonic() > deadline:
            fail(f"{resource} {name} is {value}, not {wanted}: {orthanc.log_tail()}")
        time.sleep(0.1)


def clicked(folder):
    if not (VIEWER / "node_modules/puppeteer-core").exists() or not shutil.which("chromium"):
        print("skipped: puppeteer-core and chromium are not installed (./dev test --all installs them)")
        sys.exit(SKIP)
    shot = VIEWER / "shots/orthanc-panel.png"
    shot.parent.mkdir(parents=True, exist_ok=True)
    make_study(folder / "study", series=1, instances=3)
    with Orthanc(folder, orthanc=METADATA) as orthanc:
        dcmsend(orthanc.dimse_port, folder / "study")
        orthanc.wait_settled()
        [study] = orthanc.json("/studies")
        metadata_of(orthanc, f"/studies/{study}", "isthmus-state", "imported")
        [instance] = orthanc.json("/instances")[:1]
        metadata_of(orthanc, f"/instances/{instance}", "isthmus-state", "imported")
        image_set = metadata_of(orthanc, f"/instances/{instance}", "isthmus-image-set", None)
        metadata_of(orthanc, f"/instances/{instance}", "isthmus-import-job", None)
        if image_set not in orthanc.studies()[0]["image_sets"]:
            fail(f"image set {image_set} is not one of {orthanc.studies()}")
        # One of the study that the service refuses.
        uid = orthanc.json(f"/studies/{study}")["MainDicomTags"]["StudyInstanceUID"]
        broken = folder / "broken.dcm"
        make_broken(folder, broken, uid)
        orthanc.rest("/instances", "POST", broken.read_bytes())
        orthanc.wait_settled()
        states = dict(rows(orthanc, "SELECT state, count(*) FROM delivery GROUP BY state"))
        if states != {"imported": 3, "rejected": 1}:
            fail(f"states: {states}")
        metadata_of(orthanc, f"/studies/{study}", "isthmus-state", "rejected")
        done = subprocess.run(
            ["node", str(ROOT / "tests/e2e/viewer/orthanc_panel_test.mjs")], capture_output=True,
            text=True, timeout=300, env=dict(
                os.environ, URL=f"http://127.0.0.1:{orthanc.http_port}/", STUDY=study, SHOT=str(shot),
                DESCRIPTION=DESCRIPTION,
                IMPORTED="Imported: 3 of 4", CHROMIUM=shutil.which("chromium"), MODULES=str(VIEWER)))
        if done.returncode != 0:
            fail(done.stdout + done.stderr[-3000:])
        print(done.stdout.strip(), shot)
        update = done.stdout.strip().rsplit(" ", 1)[1]
        deadline = time.monotonic() + 60
        while orthanc.json(f"/isthmus/v1/metadata-updates/{update}")["state"] != "applied":
            if time.monotonic() > deadline:
                fail(f"the update of the panel: {orthanc.get(f'/v1/metadata-updates/{update}')}")
            time.sleep(0.2)


def make_broken(folder, target, study_uid):
    """An instance of that study whose SOP class (Verification) is none that can be imported."""
    [source] = make_study(folder / "other", series=1, instances=1, seed=9)
    target.write_bytes(source.read_bytes())
    subprocess.run(["dcmodify", "-nb", "-m", f"(0020,000d)={study_uid}",
                    "-m", "(0008,0016)=1.2.840.10008.1.1", str(target)], check=True,
                   capture_output=True)


if __name__ == "__main__":
    need_orthanc()
    in_temp_folder(clicked)
    print("passed: clicked")
