"""Two destinations, two clouds. One is down: the other is not delayed, what waits is seen with its age, nothing is
given up; when it is back it catches up at its own pace, and nothing is imported twice."""

import json
import os
import time

from harness import Daemon, dcmsend, fail, imaging_models, in_temp_folder, make_study


def start_cloud(folder, models):
    folder.mkdir()
    cloud = Daemon(folder, datastore__access_key_id="ISTHMUSTESTKEY")
    os.environ["ISTHMUS_DATASTORE_SECRET_ACCESS_KEY"] = "a-secret-of-both-clouds"
    cloud.start()
    os.environ.pop("ISTHMUS_DATASTORE_SECRET_ACCESS_KEY")
    return cloud


def secret(cloud):
    import boto3
    from botocore.config import Config
    keys = dict(region_name="us-east-1", aws_access_key_id="ISTHMUSTESTKEY",
                aws_secret_access_key="a-secret-of-both-clouds",
                endpoint_url=f"http://127.0.0.1:{cloud.datastore_port}")
    session = boto3.session.Session()
    return (session.client("s3", config=Config(s3={"addressing_style": "path"}), **keys),
            session.client("medical-imaging", config=Config(inject_host_prefix=False), **keys))


def of(daemon, name):
    items = json.loads(daemon.get("/v1/destinations"))["items"]
    return next(item for item in items if item["name"] == name)


def imported(daemon, name):
    return sum(study["imported"] for study in daemon.studies() if study["destination"] == name)


def wait_for(daemon, what, truth, timeout=60):
    deadline = time.monotonic() + timeout
    while not truth():
        if time.monotonic() > deadline:
            fail(f"{what}: {daemon.log_tail()}")
        time.sleep(0.1)


def run(folder):
    models = imaging_models(folder)
    os.environ["AWS_DATA_PATH"] = str(models)
    os.environ.update(AWS_CONFIG_FILE=str(folder / "none"),
                      AWS_SHARED_CREDENTIALS_FILE=str(folder / "none"))
    near, far = start_cloud(folder / "near", models), start_cloud(folder / "far", models)
    far_port = far.datastore_port
    settings = {}
    for name, cloud in [("near", near), ("far", far)]:
        s3, imaging = secret(cloud)
        s3.create_bucket(Bucket="staging")
        store = imaging.create_datastore(datastoreName="cloud")["datastoreId"]
        endpoint = f"http://127.0.0.1:{cloud.datastore_port}"
        for key, value in {"kind": "aws", "region": "us-east-1", "datastore_id": store,
                           "bucket": "staging", "endpoint": endpoint, "s3_endpoint": endpoint,
                           "starts_per_second": 100}.items():
            settings[f"destinations__{name}__{key}"] = value
    os.environ.update(AWS_ACCESS_KEY_ID="ISTHMUSTESTKEY",
                      AWS_SECRET_ACCESS_KEY="a-secret-of-both-clouds")
    (folder / "gateway").mkdir()
    daemon = Daemon(folder / "gateway", datastore__listen="false", staging__attempts=3,
                    import__attempts=2, **settings)
    daemon.settings.pop("destinations.main.starts_per_second")
    far.kill()
    with daemon:
        for number in range(3):
            make_study(folder / f"study{number}", series=1, instances=8, seed=300 + number)
            dcmsend(daemon.dimse_port, folder / f"study{number}")
        wait_for(daemon, "the near cloud waits for the far one", lambda: imported(daemon, "near") == 24)

        wait_for(daemon, "that it is out is not seen", lambda: of(daemon, "far")["health"] == "out")
        time.sleep(5)  # many times the longest backoff: attempts of three would be used up
        state = of(daemon, "far")
        if state["oldest_age_s"] < 4 or state["scheduler"]["bucket_circuit"] == "closed":
            fail(f"what waits is not seen: {state}")
        if state["queue"]["batches"] < 1 or state["queue"]["oldest_age_s"] < 4:
            fail(f"nor in the queue: {state['queue']}")
        told = {one["name"]: one for one in daemon.status()["destinations"]}
        if told["far"]["scheduler"]["bucket_circuit"] == "closed" or told["near"]["queue"]["batches"]:
            fail(f"the status says otherwise: {told}")
        spoken = daemon.command("status").stdout
        if "near: nothing waits" not in spoken or "the bucket answers" not in spoken:
            fail(f"not said to people: {spoken}")
        if of(daemon, "near")["health"] != "ok":
            fail("the near cloud is called out")
        asking = daemon.status()["asks_for_person"]
        if asking:
            fail(f"given up: {asking}")

        os.environ["ISTHMUS_DATASTORE_SECRET_ACCESS_KEY"] = "a-secret-of-both-clouds"
        far.settings["datastore.port"] = str(far_port)
        far.start()
        os.environ.pop("ISTHMUS_DATASTORE_SECRET_ACCESS_KEY")
        wait_for(daemon, "it does not catch up", lambda: imported(daemon, "far") == 24)
        wait_for(daemon, "it is still called out", lambda: of(daemon, "far")["health"] == "ok")
        if imported(daemon, "near") != 24:
            fail("the near cloud was given something twice")
        for cloud in (near, far):
            found = secret(cloud)[1].search_image_sets(
                datastoreId=settings[f"destinations__{'near' if cloud is near else 'far'}__datastore_id"])
            if len(found["imageSetsMetadataSummaries"]) != 3:
                fail(f"{len(found['imageSetsMetadataSummaries'])} image sets")
    near.kill()
    far.kill()
    print("destinations: one of two was down, the other did not notice, and it caught up")


in_temp_folder(run)
