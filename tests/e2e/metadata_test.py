"""Metadata updates out: by the gateway's routes, read back through the data store by the stock AWS SDK.
usage: metadata_test.py [TEST …]"""

import re
import sys
import time
from datetime import datetime

from harness import Daemon, in_temp_folder, make_study, raw_send
from metadata_client import Reader, call, ended, need_clients, order, wait_for

FAST = {"destinations__main__updates_per_second": 100, "updates__poll_ms": 20, "updates__busy_s": 0.1}


def name(text):
    return {"vr": "PN", "Value": [{"Alphabetic": text}]}


def daemon_for(folder, **settings):
    return Daemon(folder, **dict(FAST, **settings))


def imported(daemon, folder, seeds=(1,), series=2, instances=2, **options):
    """Studies, imported; each as `isthmus studies` shows it, by its seed."""
    for seed in seeds:
        extra = [word for key, value in options.items() for word in ("--" + key.replace("_", "-"), value)]
        make_study(folder / f"study{seed}", series=series, instances=instances, rows=16, cols=16, seed=seed,
                   extra=extra)
        raw_send(daemon.dimse_port, folder / f"study{seed}", check=True)
    daemon.wait_settled(120)
    return {study["study_instance_uid"]: study for study in daemon.studies()}


def every_kind_of_change(folder):
    with daemon_for(folder) as daemon:
        [(study, summary)] = imported(daemon, folder).items()
        sets = summary["image_sets"]
        assert len(sets) == 2, summary
        with Reader(daemon) as reader:
            # Set and replace, at patient and study level, of all image sets at once.
            body = {"set": {"00100010": name("SYNTHETIC^OTHER"), "PatientComments": {"Value": ["seen"]},
                            "00081030": {"vr": "LO", "Value": ["Another description"]}}}
            status, dry = call(daemon, "PATCH", f"/v1/studies/{study}?dryRun=true", body)
            assert status == 200 and len(dry["updates"][0]["image_sets"]) == 2, dry
            assert dry["updates"][0]["image_sets"][0]["attributes"][0]["wanted"] is not None
            assert "PatientComments" not in reader.patient(sets[0])
            update = order(daemon, "PATCH", f"/v1/studies/{study}", body)
            assert update["requested_by"] == "local", update
            update = ended(daemon, update)
            assert {one["version_after"] for one in update["image_sets"]} == {2}, update
            for image_set in sets:
                patient = reader.patient(image_set)
                assert patient["PatientName"] == "SYNTHETIC^OTHER", patient
                assert patient["PatientComments"] == "seen", patient
                assert reader.document(image_set)["Study"]["DICOM"]["StudyDescription"] == "Another description"
            # Remove: the stored value is quoted.
            ended(daemon, order(daemon, "PATCH", f"/v1/studies/{study}", {"remove": ["PatientComments"]}))
            assert all("PatientComments" not in reader.patient(one) for one in sets)
            # Series.
            uid, series = reader.series(sets[0])
            ended(daemon, order(daemon, "PATCH", f"/v1/studies/{study}/series/{uid}",
                                {"0008103E": {"vr": "LO", "Value": ["thin"]}}))
            assert reader.series(sets[0])[1]["DICOM"]["SeriesDescription"] == "thin"
            # A sequence and a private element with its VR: guarded, and only when named.
            instance = sorted(series["Instances"])[0]
            path = f"/v1/studies/{study}/series/{uid}/instances/{instance}"
            guarded = {"set": {
                "00082112": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["2.25.7"]}}]},
                "001910F9": {"vr": "DS", "Value": [97]}}}
            status, problem = call(daemon, "PATCH", path, guarded)
            assert status == 409 and problem["code"] == "metadata.needs_force", problem
            ended(daemon, order(daemon, "PATCH", path, dict(guarded, force=["00082112", "001910F9"])))
            stored = reader.series(sets[0])[1]["Instances"][instance]
            assert stored["DICOM"]["SourceImageSequence"] == [{"ReferencedSOPInstanceUID": "2.25.7"}], stored
            assert stored["DICOM"]["001910F9"] == "97" and stored["DICOMVRs"]["001910F9"] == "DS", stored
            # An instance goes, and comes back by revert.
            status, problem = call(daemon, "PATCH", path, {"removeInstance": True})
            assert status == 409 and problem["code"] == "metadata.needs_force", problem
            gone = ended(daemon, order(daemon, "PATCH", path,
                                       {"removeInstance": True, "force": ["SOPInstanceUID"]}))
            assert instance not in reader.series(sets[0])[1]["Instances"]
            back = order(daemon, "POST", f"/v1/metadata-updates/{gone['id']}/revert")
            ended(daemon, back)
            ended(daemon, gone, "reverted")
            assert instance in reader.series(sets[0])[1]["Instances"]
        refusals(daemon, study, uid)


def refusals(daemon, study, series):
    for path, body, status, code in (
            ("/v1/studies/1.2.3", {"set": {"00100010": name("A")}}, 404, "metadata.not_found"),
            ("/v1/studies/nonsense", {"set": {"00100010": name("A")}}, 400, "api.bad_request"),
            (f"/v1/studies/{study}", {"set": {"NoKeyword": name("A")}}, 400, "api.bad_request"),
            (f"/v1/studies/{study}", {"set": {"00100010": {"Value": [7]}}}, 400, "api.bad_attribute"),
            (f"/v1/studies/{study}", {}, 400, "api.bad_request"),
            (f"/v1/studies/{study}", {"remove": ["StudyInstanceUID"]}, 409, "metadata.not_changeable"),
            (f"/v1/studies/{study}", {"set": {"00080060": {"Value": ["MR"]}}}, 409, "metadata.wrong_level"),
            (f"/v1/studies/{study}/series/{series}", {"set": {"00100010": name("A")}}, 409,
             "metadata.wrong_level")):
        found, problem = call(daemon, "PATCH", path, body)
        assert (found, problem["code"]) == (status, code), (path, body, found, problem)
    assert call(daemon, "GET", "/v1/metadata-updates/" + "0" * 32)[0] == 404


def before_import(folder):
    """Ordered while the study is on its way: applied by itself right after its import."""
    with daemon_for(folder, batch__quiet_s=2) as daemon:
        make_study(folder / "study", series=1, instances=2, rows=16, cols=16)
        raw_send(daemon.dimse_port, folder / "study", check=True)
        deadline = time.monotonic() + 20
        while not daemon.studies():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        study = daemon.studies()[0]["study_instance_uid"]
        update = order(daemon, "PATCH", f"/v1/studies/{study}", {"00100010": name("SYNTHETIC^EARLY")})
        assert update["state"] == "pending" and update["image_sets"] == [], update
        ended(daemon, update)
        reconciled = metadata_lines(daemon, "batch.reconciled")[-1]
        applied = metadata_lines(daemon, "metadata.applied")[-1]
        print(f"applied {applied - reconciled:.2f} s after its batch was reconciled")
        assert applied - reconciled < 5
        with Reader(daemon) as reader:
            [image_set] = daemon.studies()[0]["image_sets"]
            assert reader.patient(image_set)["PatientName"] == "SYNTHETIC^EARLY"


def metadata_lines(daemon, event):
    """When each line of this event was written, in seconds."""
    times = []
    for line in daemon.log_path.read_text(errors="replace").splitlines():
        if event in line:
            stamp = re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?", line).group(0)
            times.append(datetime.fromisoformat(stamp).timestamp())
    return times


def conflict_and_stale_version(folder):
    """Between plan and call, which the quota keeps apart, somebody else changes the image sets."""
    with daemon_for(folder, destinations__main__updates_per_second=0.25) as daemon:
        studies = imported(daemon, folder, seeds=(1, 2, 3), series=1, instances=1)
        (first, _), (second, two), (third, three) = studies.items()
        [set_two], [set_three] = two["image_sets"], three["image_sets"]
        with Reader(daemon) as reader:
            order(daemon, "PATCH", f"/v1/studies/{first}", {"00100010": name("SYNTHETIC^A")})
            touched = order(daemon, "PATCH", f"/v1/studies/{second}", {"00100010": name("SYNTHETIC^B")})
            beside = order(daemon, "PATCH", f"/v1/studies/{third}", {"00100010": name("SYNTHETIC^C")})
            for one in (touched, beside):
                wait_for(daemon, one["id"], ("applying",))
            reader.change(set_two, {"Patient": {"DICOM": {"PatientName": "SYNTHETIC^THIRD"}}})
            reader.change(set_three, {"Patient": {"DICOM": {"PatientSex": "O"}}})
            conflict = ended(daemon, touched, "conflict")
            [attribute] = conflict["image_sets"][0]["attributes"]
            assert attribute["wanted"] == "SYNTHETIC^B", attribute
            assert attribute["found"] == "SYNTHETIC^THIRD", attribute
            assert reader.patient(set_two)["PatientName"] == "SYNTHETIC^THIRD"
            ended(daemon, beside)
            patient = reader.patient(set_three)
            assert patient["PatientName"] == "SYNTHETIC^C" and patient["PatientSex"] == "O", patient
            asks = [one["id"] for one in daemon.status()["asks_for_person"]]
            assert asks == [touched["id"]], asks
            assert "conflict" in daemon.command("updates").stdout
            shown = daemon.command("updates", "show", touched["id"]).stdout
            assert "values_differ" in shown and "SYNTHETIC" not in shown, shown
            for name_of_it in (second, touched["id"]):
                story = daemon.command("history", name_of_it).stdout
                assert "values_differ" in story and "SYNTHETIC" not in story, story
            order(daemon, "POST", f"/v1/metadata-updates/{touched['id']}/retry")
            refused = daemon.command("updates", "retry", touched["id"], check=False)
            assert refused.returncode != 0, "it is on its way already"
            ended(daemon, touched)
            assert reader.patient(set_two)["PatientName"] == "SYNTHETIC^B"
            # The mirror of UpdateImageSetMetadata takes its version by the word.
            version = reader.ask("state", imageSetId=set_two)["versionId"]
            path = f"/v1/image-sets/{set_two}/metadata"
            stale = order(daemon, "POST", f"{path}?latestVersion=1", {"revertToVersionId": "1"})
            ended(daemon, stale, "conflict")
            ended(daemon, order(daemon, "POST", f"{path}?latestVersion={version}", {"revertToVersionId": "1"}))
            assert reader.patient(set_two)["PatientName"] != "SYNTHETIC^B"
        assert "SYNTHETIC^" not in daemon.log_path.read_text(errors="replace")


def quota(folder):
    """UpdateImageSetMetadata at 0.25 calls a second: measured over six calls."""
    with daemon_for(folder, destinations__main__updates_per_second=0.25) as daemon:
        studies = imported(daemon, folder, seeds=range(1, 7), series=1, instances=1)
        updates = [order(daemon, "PATCH", f"/v1/studies/{study}", {"00100010": name("SYNTHETIC^PACED")})
                   for study in studies]
        for update in updates:
            ended(daemon, update, timeout=90)
        sent = metadata_lines(daemon, "metadata.sent")
        assert len(sent) == 6, sent
        gaps = [after - before for before, after in zip(sent, sent[1:])]
        print(f"{len(sent)} calls in {sent[-1] - sent[0]:.2f} s, least gap {min(gaps):.2f} s")
        assert min(gaps) >= 3.9 and sent[-1] - sent[0] >= 19.5, gaps


def merge_of_two_patients(folder):
    """Twelve studies, six of each patient, become one patient's: one update per study, one parent."""
    with daemon_for(folder) as daemon:
        imported(daemon, folder, seeds=range(1, 7), series=1, instances=1, patient_id="SYN-KEPT")
        studies = imported(daemon, folder, seeds=range(7, 13), series=2, instances=1, patient_id="SYN-MERGED")
        assert len(studies) == 12
        body = {"surviving": {"PatientID": "SYN-KEPT", "PatientName": "SYNTHETIC^KEPT"},
                "merged": {"PatientID": "SYN-MERGED"}}
        status, dry = call(daemon, "POST", "/v1/patients/merge?dryRun=true", body)
        assert status == 200 and len(dry["updates"]) == 6, dry
        parent = order(daemon, "POST", "/v1/patients/merge", body)
        assert parent["kind"] == "merge" and len(parent["updates"]) == 6, parent
        parent = ended(daemon, parent)
        assert {one["state"] for one in parent["updates"]} == {"applied"}
        with Reader(daemon) as reader:
            def patients():
                return [reader.patient(one) for study in daemon.studies() for one in study["image_sets"]]
            found = [patient["PatientID"].strip() for patient in patients()]
            assert found == ["SYN-KEPT"] * 18, found
            # Nobody of the merged one is left; the whole merge goes back by its parent.
            assert call(daemon, "POST", "/v1/patients/merge", body)[0] == 404
            ended(daemon, order(daemon, "POST", f"/v1/metadata-updates/{parent['id']}/revert"))
            ended(daemon, parent, "reverted")
            found = sorted(patient["PatientID"].strip() for patient in patients())
            assert found == ["SYN-KEPT"] * 6 + ["SYN-MERGED"] * 12, found
        log = daemon.log_path.read_text(errors="replace")
        assert "SYN-MERGED" not in log and "SYN-KEPT" not in log


TESTS = (every_kind_of_change, before_import, conflict_and_stale_version, quota, merge_of_two_patients)

need_clients()
for test in TESTS:
    if len(sys.argv) == 1 or test.__name__ in sys.argv[1:]:
        in_temp_folder(test)
        print("passed:", test.__name__, flush=True)
