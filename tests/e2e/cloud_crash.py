"""Death where the gateway deals with a cloud: in the middle of a large upload to either bucket, and of replacing
instances in a DICOM store. The cloud is another process, which lives on. Used by crash_test.py for its failpoints."""

import http.client
import json
import os
import time
import urllib.error
import urllib.request

from harness import Daemon, dcmsend, fail, imaging_models, make_study, raw_send, shared_or_none
from metadata_client import call, ended
from proxy import Proxy

STORE = "projects/p1/locations/l1/datasets/ds1/dicomStores/st1"
TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"
OLD, NEW = b"Synthetic^Number", b"SYNTHETIC^CRASH"
LARGE_MB = 70  # several parts at S3, several pieces at Cloud Storage


class GoogleCloud:
    """Cloud Storage, the Healthcare API and a metadata server, with a bucket and a DICOM store."""

    def __init__(self, folder):
        (folder / "cloud").mkdir()
        self.daemon = Daemon(folder / "cloud", datastore__google_metadata_server="true").start()
        self.url = f"http://127.0.0.1:{self.daemon.datastore_port}"
        for name in ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "GCE_METADATA_HOST"):
            os.environ.pop(name, None)
        os.environ["CLOUDSDK_CONFIG"] = str(folder / "none")
        self.token = json.loads(self.send("GET", TOKEN, headers={"Metadata-Flavor": "Google"}))["access_token"]
        self.send("POST", "/storage/v1/b?project=p1", {"name": "staging"})
        datasets = "/v1/projects/p1/locations/l1/datasets"
        self.send("POST", f"{datasets}?datasetId=ds1", {})
        self.send("POST", f"{datasets}/ds1/dicomStores?dicomStoreId=st1", {})

    def send(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if hasattr(self, "token"):
            headers["Authorization"] = "Bearer " + self.token
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def settings(self, port=None, **more):
        url = f"http://127.0.0.1:{port}" if port else self.url
        main = dict({"kind": "google", "bucket": "staging", "dicom_store": STORE, "endpoint": url,
                     "storage_endpoint": self.url, "metadata_endpoint": self.url}, **more)
        return {f"destinations__main__{name}": value for name, value in main.items()}

    def instances(self):
        text = self.send("GET", f"/v1/{STORE}/dicomWeb/instances", headers={"Accept": "application/dicom+json"})
        return sorted((one["0020000D"]["Value"][0], one["0020000E"]["Value"][0], one["00080018"]["Value"][0])
                      for one in json.loads(text or b"[]"))

    def count(self):
        return len(self.instances())

    def stored(self, study, series, sop):
        """The file as the DICOM store has it; None when it has none."""
        path = f"/v1/{STORE}/dicomWeb/studies/{study}/series/{series}/instances/{sop}"
        try:
            return self.send("GET", path, headers={"Accept": "application/dicom; transfer-syntax=*"})
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def objects(self, prefix):
        listed = json.loads(self.send("GET", f"/storage/v1/b/staging/o?prefix={prefix}"))
        return [one["name"] for one in listed.get("items", [])]

    def object(self, name):
        return self.send("GET", f"/storage/v1/b/staging/o/{urllib.request.quote(name, safe='')}?alt=media")

    def imports(self):
        listed = json.loads(self.send("GET", "/v1/projects/p1/locations/l1/datasets/ds1/operations"))
        return [one for one in listed.get("operations", []) if "Import" in one["metadata"]["apiMethodName"]]

    def close(self):
        self.daemon.kill()


class AwsCloud:
    """S3 and HealthImaging."""

    def __init__(self, folder, **settings):
        (folder / "cloud").mkdir()
        self.daemon = Daemon(folder / "cloud", **settings).start()
        self.models = imaging_models(folder)
        imaging = self.daemon.imaging(self.models)
        self.store = imaging.create_datastore(datastoreName="cloud")["datastoreId"]
        self.daemon.s3().create_bucket(Bucket="staging")
        key = self.daemon.access_key()
        os.environ.update(AWS_ACCESS_KEY_ID=key["access_key_id"],
                          AWS_SECRET_ACCESS_KEY=key["secret_access_key"],
                          AWS_CONFIG_FILE=str(folder / "none"),
                          AWS_SHARED_CREDENTIALS_FILE=str(folder / "none"))

    def settings(self, port=None, s3_port=None):
        url = f"http://127.0.0.1:{port or self.daemon.datastore_port}"
        s3_url = f"http://127.0.0.1:{s3_port}" if s3_port else url
        main = {"kind": "aws", "region": "us-east-1", "datastore_id": self.store, "bucket": "staging",
                "endpoint": url, "s3_endpoint": s3_url}
        return {f"destinations__main__{name}": value for name, value in main.items()}

    def instances(self):
        imaging = self.daemon.imaging(self.models)
        # One instance is one image set; a second import of it would be a second version.
        sets = imaging.search_image_sets(datastoreId=self.store)["imageSetsMetadataSummaries"]
        return [one for one in sets for _ in range(one["version"])]

    def count(self):
        sets = self.daemon.imaging(self.models).search_image_sets(datastoreId=self.store)
        return sum(one["DICOMTags"]["DICOMNumberOfStudyRelatedInstances"]
                   for one in sets["imageSetsMetadataSummaries"])

    def imports(self):
        imaging = self.daemon.imaging(self.models)
        return imaging.list_dicom_import_jobs(datastoreId=self.store)["jobSummaries"]

    def close(self):
        self.daemon.kill()


def gateway(folder, **settings):
    (folder / "gateway").mkdir()
    return Daemon(folder / "gateway", datastore__listen="false", **settings)


def dies_in_an_upload(folder, point, kind):
    """The object is there once, and imported by one job; what the bucket had is not sent again."""
    if kind == "aws" and shared_or_none() is None:
        print("skipped: no ../shared beside the repository, with the service model in it")
        return
    cloud = AwsCloud(folder) if kind == "aws" else GoogleCloud(folder)
    try:
        make_study(folder / "study", series=1, instances=1, extra=("--big-mb", str(LARGE_MB)))
        daemon = gateway(folder, **cloud.settings())
        nth = 2 if point == "upload.part_sent" and kind == "aws" else 1
        daemon.start("--failpoint", f"{point}:{nth}", wait=False)
        daemon.wait_listening(30)
        raw_send(daemon.dimse_port, folder / "study", check=True)
        if daemon.reap(120) != -9:
            fail(f"{kind} {point} was not reached: {daemon.log_tail()}")
        daemon.start()
        daemon.wait_settled(180)
        if daemon.totals()["imported"] != 1 or len(cloud.instances()) != 1 or len(cloud.imports()) != 1:
            fail(f"{kind} {point}: {daemon.totals()}, {len(cloud.instances())} instances, "
                 f"{len(cloud.imports())} imports: {daemon.log_tail()}")
        uploads = list((folder / "gateway/data/uploads").rglob("*"))
        if [path for path in uploads if path.is_file()]:
            fail(f"{kind} {point}: an upload is still kept: {uploads}")
        known = "store.upload_resumed" in daemon.log_path.read_text()
        # S3 forgets an upload that it has put together: the object is put there once more.
        anew = point == "upload.begun" or (kind == "aws" and point == "upload.completed")
        if known == anew:
            fail(f"{kind} {point}: it went on: {known}; {daemon.log_tail()}")
        status = daemon.stop()
        if status != 0:
            fail(f"{kind} {point}: the daemon ended with {status}:\n{daemon.log_tail(150)}")
    finally:
        cloud.close()


def imported_by_one_operation(folder, point):
    """Death around the start of an import at Google, which takes no token: the operation is found, not started again."""
    cloud = GoogleCloud(folder)
    try:
        make_study(folder / "study", series=2, instances=3, rows=16, cols=16)
        daemon = gateway(folder, **cloud.settings())
        daemon.start("--failpoint", f"{point}:1")
        dcmsend(daemon.dimse_port, folder / "study")
        if daemon.reap(120) != -9:
            fail(f"{point} was not reached: {daemon.log_tail()}")
        daemon.start()
        daemon.wait_settled(120)
        if daemon.totals()["imported"] != 6 or len(cloud.instances()) != 6 or len(cloud.imports()) != 1:
            fail(f"google {point}: {daemon.totals()}, {len(cloud.instances())} instances, "
                 f"{len(cloud.imports())} imports: {daemon.log_tail()}")
        status = daemon.stop()
        if status != 0:
            fail(f"{point}: the daemon ended with {status}:\n{daemon.log_tail(150)}")
    finally:
        cloud.close()


# Of the way back: reached when the store will not have a changed instance.
OF_UNDOING = ("replace.refused", "replace.restored")
REFUSAL = json.dumps([{"00081198": {"vr": "SQ", "Value": [
    {"00081155": {"vr": "UI", "Value": ["1.2"]}, "00081197": {"vr": "US", "Value": [272]}}]}}]).encode()


def look_at_all(cloud, wanted):
    """Every instance is there as it was or as it is to be, or its original is in the bucket."""
    originals = [cloud.object(name) for name in cloud.objects("originals/")]
    for place in wanted:
        now = cloud.stored(*place)
        if now is None and not any(place[2].encode() in one and OLD in one for one in originals):
            fail(f"{place} is nowhere")
        if now is not None and OLD not in now and NEW not in now:
            fail(f"{place} is neither old nor new")


def replaced_nevertheless(folder, point):
    """Death on the way of replacing: every instance is old or new at any time, and all are one of it at the end."""
    cloud = GoogleCloud(folder)
    stows = []

    def refuse_the_second(method, path, _headers):
        if method != "POST" or not path.endswith("/dicomWeb/studies"):
            return None
        stows.append(path)
        return (409, REFUSAL) if point in OF_UNDOING and len(stows) == 2 else None

    proxy = Proxy(cloud.daemon.datastore_port, guard=refuse_the_second)
    try:
        make_study(folder / "study", series=2, instances=2, rows=16, cols=16)
        daemon = gateway(folder, **cloud.settings(proxy.port, metadata_updates="replace", updates_per_second=100),
                         updates__poll_ms=20, updates__busy_s=0.1)
        daemon.start("--failpoint", f"{point}:1")
        dcmsend(daemon.dimse_port, folder / "study")
        daemon.wait_settled(120)
        wanted = cloud.instances()
        if len(wanted) != 4:
            fail(f"{wanted}")
        before = {place: cloud.stored(*place) for place in wanted}
        body = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": NEW.decode()}]}}
        try:
            call(daemon, "PATCH", f"/v1/studies/{wanted[0][0]}", body)
        except (OSError, http.client.HTTPException):
            pass
        if daemon.reap(120) != -9:
            fail(f"{point} was not reached: {daemon.log_tail()}")
        look_at_all(cloud, wanted)
        daemon.start()
        [update] = call(daemon, "GET", "/v1/metadata-updates")[1]["updates"]
        undone = point in OF_UNDOING
        ended(daemon, update, "failed" if undone else "applied", timeout=120)
        if cloud.instances() != wanted:
            fail(f"{point}: {cloud.instances()} of {wanted}")
        for place in wanted:
            now = cloud.stored(*place)
            if undone and now != before[place]:
                fail(f"{point}: {place} is not what it was")
            if not undone and (NEW not in now or OLD in now):
                fail(f"{point}: {place} is not changed")
        status = daemon.stop()
        if status != 0:
            fail(f"{point}: the daemon ended with {status}:\n{daemon.log_tail(150)}")
    finally:
        proxy.close()
        cloud.close()


def killed_while_replacing(folder, chance, kills):
    """SIGKILL at random moments of updates and their reverts, until so many kills have been survived."""
    cloud = GoogleCloud(folder)
    try:
        make_study(folder / "study", series=3, instances=6, rows=64, cols=64)
        daemon = gateway(folder, **cloud.settings(metadata_updates="replace", updates_per_second=100),
                         updates__poll_ms=20, updates__busy_s=0.1)
        daemon.start()
        dcmsend(daemon.dimse_port, folder / "study")
        daemon.wait_settled(120)
        wanted = cloud.instances()
        before = {place: cloud.stored(*place) for place in wanted}
        died = 0

        def until_applied(identity, state):
            nonlocal died
            while died < kills:
                time.sleep(chance.uniform(0.05, 0.5))
                if call(daemon, "GET", f"/v1/metadata-updates/{identity}")[1]["state"] == state:
                    break
                daemon.kill()
                died += 1
                look_at_all(cloud, wanted)
                daemon.start()
            ended(daemon, {"id": identity}, state, timeout=180)

        body = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": NEW.decode()}]}}
        rounds = 0
        while died < kills:
            rounds += 1
            status, update = call(daemon, "PATCH", f"/v1/studies/{wanted[0][0]}", body)
            assert status == 202, (status, update)
            until_applied(update["id"], "applied")
            if cloud.instances() != wanted or not all(NEW in cloud.stored(*place) for place in wanted):
                fail(f"not all are new: {daemon.log_tail()}")
            status, revert = call(daemon, "POST", f"/v1/metadata-updates/{update['id']}/revert")
            assert status == 202, (status, revert)
            until_applied(revert["id"], "applied")
            if {place: cloud.stored(*place) for place in cloud.instances()} != before:
                fail(f"the revert is not what was there: {daemon.log_tail()}")
        print(f"{len(wanted)} instances replaced and put back {rounds} times through {died} kills")
        assert daemon.stop() == 0
    finally:
        cloud.close()
