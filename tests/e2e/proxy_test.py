"""A gateway and a cloud with a misbehaving proxy between them: everything is imported, once, whatever is dropped,
delayed, cut, refused, asked twice, told wrongly or told late. And an object of 2 GB gets there through ten cuts
and a kill without starting over."""

import os
import sys
import time

from cloud_crash import GoogleCloud
from cloud_crash import gateway as gateway_to
from harness import Daemon, dcmsend, fail, imaging_models, in_temp_folder, make_study, raw_send
from proxy import Faults, Proxy


def environment(folder, cloud):
    key = cloud.access_key()
    os.environ.update(AWS_ACCESS_KEY_ID=key["access_key_id"],
                      AWS_SECRET_ACCESS_KEY=key["secret_access_key"],
                      AWS_CONFIG_FILE=str(folder / "none"),
                      AWS_SHARED_CREDENTIALS_FILE=str(folder / "none"))


def gateway(folder, store, s3_port, imaging_port, **settings):
    folder.mkdir(exist_ok=True)
    main = {"kind": "aws", "region": "us-east-1", "datastore_id": store, "bucket": "staging",
            "endpoint": f"http://127.0.0.1:{imaging_port}",
            "s3_endpoint": f"http://127.0.0.1:{s3_port}"}
    return Daemon(folder, datastore__listen="false",
                  **{f"destinations__main__{name}": value for name, value in main.items()}, **settings)


def clouds(folder, **settings):
    (folder / "cloud").mkdir()
    cloud = Daemon(folder / "cloud", **settings).start()
    store = cloud.imaging(imaging_models(folder)).create_datastore(datastoreName="cloud")["datastoreId"]
    cloud.s3().create_bucket(Bucket="staging")
    environment(folder, cloud)
    return cloud, store


def batches_of(daemon):
    return sum(row["count"] for row in daemon.status()["states"]
               if row["subject"] == "batch" and row["state"] == "reconciled")


def storm(folder, name, seed, studies=4, **odds):
    """Studies through a proxy with these faults: all imported, and each batch by one job."""
    cloud, store = clouds(folder)
    try:
        proxy = Proxy(cloud.datastore_port, Faults(seed=seed, **odds))
        with gateway(folder / "gateway", store, proxy.port, proxy.port,
                     import__attempts=100, staging__attempts=100) as daemon:
            for number in range(studies):
                make_study(folder / f"study{number}", series=1, instances=5, seed=100 + number)
                dcmsend(daemon.dimse_port, folder / f"study{number}")
            daemon.wait_settled(timeout=180)
            totals = daemon.totals()
            if totals["imported"] != 5 * studies or totals["quarantined"] or totals["rejected"]:
                fail(f"{name}: {totals} {daemon.log_tail()}")
            batches = batches_of(daemon)
        found = cloud.imaging(imaging_models(folder)).list_dicom_import_jobs(datastoreId=store)
        jobs = len(found["jobSummaries"])
        if jobs != batches:
            fail(f"{name}: {jobs} jobs for {batches} batches")
        faults = {what: count for what, count in proxy.faults.done.items() if count}
        if not faults:
            fail(f"{name}: no fault happened, the test proves nothing")
        print(f"{name}: {totals['imported']} imported by {jobs} jobs, through {faults}", flush=True)
        proxy.close()
    finally:
        cloud.kill()


def google_storm(folder, name, seed, studies=4, **odds):
    """The same towards Google. Starts themselves arrive as they are sent: dicomStores.import takes no token, and one
    that arrives twice is two operations, the second of which the service ignores."""
    cloud = GoogleCloud(folder)
    faults = Faults(seed=seed, matches=lambda method, path: ":import" not in path, **odds)
    proxy = Proxy(cloud.daemon.datastore_port, faults)
    try:
        url = f"http://127.0.0.1:{proxy.port}"
        with gateway_to(folder, **cloud.settings(proxy.port, storage_endpoint=url, starts_per_second=100),
                        import__attempts=100, staging__attempts=100) as daemon:
            for number in range(studies):
                make_study(folder / f"study{number}", series=1, instances=5, seed=400 + number)
                dcmsend(daemon.dimse_port, folder / f"study{number}")
            daemon.wait_settled(timeout=180)
            totals = daemon.totals()
            if totals["imported"] != 5 * studies or totals["quarantined"] or totals["rejected"]:
                fail(f"{name}: {totals} {daemon.log_tail()}")
            batches = batches_of(daemon)
        if len(cloud.instances()) != 5 * studies:
            fail(f"{name}: the store has {len(cloud.instances())} instances")
        imports = len(cloud.imports())
        if imports != batches:
            fail(f"{name}: {imports} imports for {batches} batches")
        happened = {what: count for what, count in faults.done.items() if count}
        if set(happened) != set(odds):
            fail(f"{name}: only {happened} happened, the test proves too little")
        print(f"{name}: {totals['imported']} imported by {imports} imports, through {happened}", flush=True)
    finally:
        proxy.close()
        cloud.close()


def one_call_a_batch(folder):
    """Where nothing fails on the way of the import calls, they are as many as the batches."""
    cloud, store = clouds(folder)
    try:
        s3 = Proxy(cloud.datastore_port, Faults(seed=5, drop=0.1, slow_down=0.1, cut=0.1))
        imaging = Proxy(cloud.datastore_port)
        with gateway(folder / "gateway", store, s3.port, imaging.port, staging__attempts=100) as daemon:
            for number in range(6):
                make_study(folder / f"study{number}", series=1, instances=3, seed=200 + number)
                dcmsend(daemon.dimse_port, folder / f"study{number}")
            daemon.wait_settled(timeout=120)
            batches = batches_of(daemon)
        starts = imaging.count("POST", "startDICOMImportJob")
        if starts != batches or daemon_imported(daemon) != 18:
            fail(f"{starts} StartDICOMImportJob calls for {batches} batches")
        print(f"{starts} StartDICOMImportJob calls for {batches} batches", flush=True)
    finally:
        cloud.kill()


def daemon_imported(daemon):
    return daemon.totals()["imported"]


def large(folder, size_bytes, cuts):
    """One large object, cut off `cuts` times, the gateway killed once in between: not twice uploaded."""
    cloud, store = clouds(folder, spool__reserve_bytes="16MiB")
    try:
        path = folder / "large.dcm"
        make_large(folder, path, size_bytes)
        proxy = Proxy(cloud.datastore_port)
        daemon = gateway(folder / "gateway", store, proxy.port, proxy.port, staging__attempts=100,
                         spool__retention_s=0, destinations__main__bytes_per_job=10**10)
        daemon.start()
        proxy.cuts = [size_bytes * (n + 1) // (cuts + 2) for n in range(cuts)]
        answers = raw_send(daemon.dimse_port, path, check=True, timeout=600)
        if not all(one.get("status", "0000") == "0000" for one in answers):
            fail(f"{answers}")
        deadline = time.monotonic() + 600
        while len(proxy.cuts) > cuts // 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        daemon.kill()
        before = proxy.received_bytes
        daemon.start()
        staged = 0
        while not staged and time.monotonic() < deadline:
            staged = sum(study["staged"] for study in daemon.studies())
            time.sleep(0.5)
        if not staged or proxy.cuts:
            fail(f"not staged, {len(proxy.cuts)} cuts left: {daemon.log_tail()}")
        if "store.upload_resumed" not in daemon.log_path.read_text():
            fail(f"it started over after the kill: {daemon.log_tail()}")
        parts = 16 * 1024 * 1024
        allowed = size_bytes + (cuts + 2) * 2 * parts
        if proxy.received_bytes > allowed:
            fail(f"{proxy.received_bytes} bytes for an object of {size_bytes}")
        print(f"an object of {size_bytes} bytes: {cuts} cuts and a kill at {before}, "
              f"{proxy.received_bytes} bytes sent in all", flush=True)
        daemon.kill()
    finally:
        cloud.kill()


def make_large(folder, path, size_bytes):
    """A Part 10 file of nearly this size: a made one, whose pixel data is made longer."""
    small = make_study(folder / "seed", series=1, instances=1, seed=7)[0].read_bytes()
    # (7FE0,0010) explicit: tag, VR, two bytes, length of four.
    at = small.rindex(b"\xe0\x7f\x10\x00")
    if small[at + 4:at + 6] not in (b"OW", b"OB"):
        fail("the made file is not explicit little endian")
    length = size_bytes - at - 12 & ~1
    with open(path, "wb") as out:
        out.write(small[:at + 8] + length.to_bytes(4, "little"))
        block = bytes(range(256)) * 4096
        left = length
        while left > 0:
            out.write(block[:min(left, len(block))])
            left -= min(left, len(block))


if "--large" in sys.argv:
    in_temp_folder(lambda folder: large(folder, 2 * 1024**3, 10))
elif "--storms" in sys.argv:
    for seed in range(10, 20):
        in_temp_folder(lambda folder: storm(folder, f"everything, seed {seed}", seed, studies=8, drop=.05,
                                            cut=.05, delay=.05, storm=.05, slow_down=.05, twice=.05,
                                            lose_answer=.05, wrong_checksum=.03, stale_listing=.3))
else:
    in_temp_folder(lambda folder: storm(folder, "drops, cuts and lost answers", 1, drop=.1, cut=.1,
                                        lose_answer=.1, delay=.05))
    in_temp_folder(lambda folder: storm(folder, "refusals", 2, storm=.15, slow_down=.15))
    in_temp_folder(lambda folder: storm(folder, "lies", 3, twice=.2, wrong_checksum=.1,
                                        stale_listing=.5))
    in_temp_folder(lambda folder: google_storm(folder, "Google: drops, cuts and lost answers", 4, drop=.1,
                                               cut=.1, lose_answer=.1))
    in_temp_folder(lambda folder: google_storm(folder, "Google: refusals and lies", 5, storm=.15, twice=.15,
                                               wrong_checksum=.1, stale_listing=.3))
    in_temp_folder(one_call_a_batch)
    in_temp_folder(lambda folder: large(folder, 200 * 1024**2, 3))
