"""A gateway and a cloud with a misbehaving proxy between them: everything is imported, once, whatever is dropped,
delayed, cut, refused, asked twice, told wrongly or told late. And an object of 2 GB gets there through ten cuts
and a kill without starting over."""

import sys
import time

from cloud_crash import AwsCloud, GoogleCloud, gateway
from harness import dcmsend, fail, in_temp_folder, make_study, raw_send
from proxy import Faults, Proxy


def batches_of(daemon):
    return sum(row["count"] for row in daemon.status()["states"]
               if row["subject"] == "batch" and row["state"] == "reconciled")


def send_studies(daemon, folder, studies, instances):
    for number in range(studies):
        make_study(folder / f"study{number}", series=1, instances=instances, seed=100 + number)
        dcmsend(daemon.dimse_port, folder / f"study{number}")
    daemon.wait_settled(timeout=180)


def aws_through(cloud, port):
    return cloud.settings(port)


def google_through(cloud, port):
    return cloud.settings(port, storage_endpoint=f"http://127.0.0.1:{port}", starts_per_second=100)


def storm(folder, name, kind, through, faults, studies=4):
    """Studies through a proxy with these faults: all imported once, and each batch by one job."""
    cloud = kind(folder)
    proxy = Proxy(cloud.daemon.datastore_port, faults)
    try:
        with gateway(folder, **through(cloud, proxy.port), import__attempts=100, staging__attempts=100) as daemon:
            send_studies(daemon, folder, studies, instances=5)
            totals = daemon.totals()
            if totals["imported"] != 5 * studies or totals["quarantined"] or totals["rejected"]:
                fail(f"{name}: {totals} {daemon.log_tail()}")
            batches = batches_of(daemon)
        if cloud.count() != 5 * studies:
            fail(f"{name}: the store has {cloud.count()} instances")
        jobs = len(cloud.imports())
        if jobs != batches:
            fail(f"{name}: {jobs} jobs for {batches} batches")
        happened = {what: count for what, count in faults.done.items() if count}
        if not happened or faults.missing():
            fail(f"{name}: {faults.missing()} did not happen, the test proves too little")
        print(f"{name}: {totals['imported']} imported by {jobs} jobs, through {happened}", flush=True)
    finally:
        proxy.close()
        cloud.close()


def aws_storm(name, seed, studies=4, **odds):
    in_temp_folder(lambda folder: storm(folder, name, AwsCloud, aws_through, Faults(seed=seed, **odds), studies))


def google_storm(name, seed, **odds):
    """Starts themselves arrive as they are sent: dicomStores.import takes no token, and one that arrives twice is two
    operations, the second of which the service ignores."""
    faults = Faults(seed=seed, matches=lambda method, path: ":import" not in path, **odds)
    in_temp_folder(lambda folder: storm(folder, "Google: " + name, GoogleCloud, google_through, faults))


def one_call_a_batch(folder):
    """Where nothing fails on the way of the import calls, they are as many as the batches."""
    cloud = AwsCloud(folder)
    try:
        s3 = Proxy(cloud.daemon.datastore_port, Faults(seed=5, drop=0.1, slow_down=0.1, cut=0.1))
        imaging = Proxy(cloud.daemon.datastore_port)
        with gateway(folder, **cloud.settings(imaging.port, s3.port), staging__attempts=100) as daemon:
            send_studies(daemon, folder, studies=6, instances=3)
            batches, imported = batches_of(daemon), daemon.totals()["imported"]
        starts = imaging.count("POST", "startDICOMImportJob")
        if starts != batches or imported != 18:
            fail(f"{starts} StartDICOMImportJob calls for {batches} batches, {imported} imported")
        print(f"{starts} StartDICOMImportJob calls for {batches} batches", flush=True)
    finally:
        cloud.close()


def large(folder, size_bytes, cuts):
    """One large object, cut off `cuts` times, the gateway killed once in between: not twice uploaded."""
    cloud = AwsCloud(folder, spool__reserve_bytes="16MiB")
    try:
        path = folder / "large.dcm"
        make_large(folder, path, size_bytes)
        proxy = Proxy(cloud.daemon.datastore_port)
        daemon = gateway(folder, **cloud.settings(proxy.port), staging__attempts=100,
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
        cloud.close()


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
        aws_storm(f"everything, seed {seed}", seed, studies=8, drop=.05, cut=.05, delay=.05, storm=.05,
                  slow_down=.05, twice=.05, lose_answer=.05, wrong_checksum=.03, stale_listing=.3)
else:
    aws_storm("drops, cuts and lost answers", 1, drop=.1, cut=.1, lose_answer=.1, delay=.05)
    aws_storm("refusals", 2, storm=.15, slow_down=.15)
    aws_storm("lies", 3, twice=.2, wrong_checksum=.1, stale_listing=.5)
    google_storm("drops, cuts and lost answers", 4, drop=.1, cut=.1, lose_answer=.1)
    google_storm("refusals and lies", 5, storm=.15, twice=.15, wrong_checksum=.1, stale_listing=.3)
    in_temp_folder(one_call_a_batch)
    in_temp_folder(lambda folder: large(folder, 200 * 1024**2, 3))
