"""Death while image sets change: whatever kind of change it is, after the restart it is done, or is not
there at all, and no image set is half visible. Used by crash_test.py for its failpoints."""

import gzip
import json
import time

from harness import Daemon, fail, make_study

NEW_NAME = "CRASH^TEST"


class Store:
    """A data store with one study of two series in a running daemon."""

    def __init__(self, daemon, folder):
        self.imaging = daemon.imaging(folder / "models")
        self.s3 = daemon.s3()

    def fill(self, files):
        self.s3.create_bucket(Bucket="crash-bucket")
        for number, path in enumerate(files):
            self.s3.put_object(Bucket="crash-bucket", Key=f"in/{number}", Body=path.read_bytes())
        self.id = self.imaging.create_datastore(datastoreName="crash")["datastoreId"]
        job = self.imaging.start_dicom_import_job(
            datastoreId=self.id, dataAccessRoleArn="arn:aws:iam::123456789012:role/in",
            inputS3Uri="s3://crash-bucket/in/", outputS3Uri="s3://crash-bucket/out/")["jobId"]
        self.wait(lambda: self.imaging.get_dicom_import_job(
            datastoreId=self.id, jobId=job)["jobProperties"]["jobStatus"] == "COMPLETED")
        return self

    def wait(self, condition):
        deadline = time.monotonic() + 60
        while not condition():
            if time.monotonic() > deadline:
                fail("the data store did not get there")
            time.sleep(0.05)

    def sets(self):
        found = self.imaging.search_image_sets(datastoreId=self.id, searchCriteria={})
        return {one["imageSetId"]: one for one in found["imageSetsMetadataSummaries"]}

    def every_set(self):
        """Ids of all image sets that searching finds."""
        found, token = set(), {}
        while True:
            page = self.imaging.search_image_sets(datastoreId=self.id, searchCriteria={}, maxResults=50,
                                                  **token)
            found |= {one["imageSetId"] for one in page["imageSetsMetadataSummaries"]}
            if not page.get("nextToken"):
                return found
            token = {"nextToken": page["nextToken"]}

    def state(self, image_set):
        return self.imaging.get_image_set(datastoreId=self.id, imageSetId=image_set)

    def document(self, image_set):
        answer = self.imaging.get_image_set_metadata(datastoreId=self.id, imageSetId=image_set)
        return json.loads(gzip.decompress(answer["imageSetMetadataBlob"].read()))

    def settle(self, image_set):
        self.wait(lambda: self.state(image_set)["imageSetState"] != "LOCKED")
        return self.state(image_set)


def update(store, image_set):
    document = json.dumps({"SchemaVersion": 1.1, "Patient": {"DICOM": {"PatientName": NEW_NAME}}})
    store.imaging.update_image_set_metadata(
        datastoreId=store.id, imageSetId=image_set, latestVersionId="1", includeStudyImageSets=True,
        updateImageSetMetadataUpdates={"DICOMUpdates": {"updatableAttributes": document.encode()}})


def refused(store, image_set):
    """Accepted, and then it cannot be done: an instance is named that is not there."""
    [series] = store.document(image_set)["Study"]["Series"]
    document = json.dumps({"SchemaVersion": 1.1, "Study": {"Series": {series: {"Instances": {
        "2.25.4711": {"DICOM": {"InstanceNumber": "9"}}}}}}})
    store.imaging.update_image_set_metadata(
        datastoreId=store.id, imageSetId=image_set, latestVersionId="1", includeStudyImageSets=True,
        updateImageSetMetadataUpdates={"DICOMUpdates": {"updatableAttributes": document.encode()}})


def copy(store, image_set):
    store.imaging.copy_image_set(
        datastoreId=store.id, sourceImageSetId=image_set,
        copyImageSetInformation={"sourceImageSet": {"latestVersionId": "1"}})


def delete(store, image_set):
    store.imaging.delete_image_set(datastoreId=store.id, imageSetId=image_set)


def check_updated(store, before, image_set):
    names = set()
    for one in before:
        assert store.settle(one)["imageSetWorkflowStatus"] == "UPDATED", store.state(one)
        names.add(store.document(one)["Patient"]["DICOM"]["PatientName"])
    assert names == {NEW_NAME}, names


def check_refused(store, before, image_set):
    for one in before:
        state = store.settle(one)
        assert (state["imageSetState"], state["imageSetWorkflowStatus"]) == ("ACTIVE", "UPDATE_FAILED"), state
        assert store.document(one)["Patient"]["DICOM"]["PatientName"] != NEW_NAME


def check_copied(store, before, image_set):
    assert store.settle(image_set)["imageSetWorkflowStatus"] == "COPIED"
    [made] = set(store.sets()) - set(before)
    series = store.document(made)["Study"]["Series"].values()
    assert [len(one["Instances"]) for one in series] == [3], series


def check_deleted(store, before, image_set):
    assert store.settle(image_set)["imageSetState"] == "DELETED"
    assert set(store.sets()) == set(before) - {image_set}


KINDS = {"update": (update, check_updated), "copy": (copy, check_copied), "delete": (delete, check_deleted),
         "refused": (refused, check_refused)}
# Reached only by some kinds; every other point of a change by all.
ONLY = {"datastore.change_planned": ["update", "copy", "delete"], "datastore.change_given_up": ["refused"]}


def as_before(store, before):
    """What died before it was accepted has left nothing: the same sets, free, in their first version."""
    assert set(store.sets()) == set(before), (store.sets(), before)
    for one in before:
        state = store.state(one)
        assert (state["imageSetState"], state["versionId"]) == ("ACTIVE", "1"), state


def dies_in_a_change(folder, point, kind):
    change, check = KINDS[kind]
    files = make_study(folder / "study", series=2, instances=3, rows=16, cols=16)
    daemon = Daemon(folder)
    daemon.start("--failpoint", f"{point}:1")
    store = Store(daemon, folder).fill(files)
    before = store.sets()
    image_set = sorted(before)[0]
    if kind == "delete":  # then the image sets alone name the bytes
        for number in range(len(files)):
            store.s3.delete_object(Bucket="crash-bucket", Key=f"in/{number}")
    answered = True
    try:
        change(store, image_set)
    except Exception:  # noqa: BLE001 — it may die before it answers
        answered = False
    status = daemon.reap(60)
    if status != -9:
        fail(f"{point} ({kind}) was not reached: ended with {status}")

    daemon.start()
    again = Store(daemon, folder)
    again.id = store.id
    if point in ("datastore.change_ordered", "datastore.change_accepted"):
        assert not answered, point
    if point == "datastore.change_ordered":  # nobody was told, and nothing is there: asked again
        as_before(again, before)
        change(again, image_set)
    check(again, before, image_set)
    status = daemon.stop()
    if status != 0:
        fail(f"{point} ({kind}): the daemon ended with {status}:\n{daemon.log_tail(80)}")
    found = json.loads(daemon.command("datastore", "verify", "--content").stdout)
    assert found["sound"] and found["unnamed_blobs"] == 0, found
