"""Staging (the way into the bucket) beside rclone and awscli in one run: the same files to the same S3 endpoint, a process of its own.

Isthmus receives the files first, with uploads paused; the clock runs from `resume` until the bucket has them all. What it does
meanwhile besides uploading is part of it: digests, a row and a sync for each instance. The others copy a folder, as they come
(rclone: 4 files at a time, awscli: 10 requests). Medians of --runs; what the issue asks for stands beside as "ok" or "below".
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402
from kit.receivers import cpu_seconds, peak_kib  # noqa: E402

AT_LEAST = 1.5
MOST_MIB = 128


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--small", type=int, default=2000, help="instances of --small-kb")
    parser.add_argument("--small-kb", type=int, default=512)
    parser.add_argument("--large", type=int, default=20, help="instances of --large-mb")
    parser.add_argument("--large-mb", type=int, default=200)
    parser.add_argument("--folder", default="/var/tmp", help="where files, spool and data store are for the time being")
    parser.add_argument("--ceph", action="store_true", help="Ceph's RADOS gateway, by ../shared/tools, instead of our data store")
    parser.add_argument("--uploads", type=int, default=0, help="staging.uploads of Isthmus; 0: as it comes")
    parser.add_argument("--uploaders", default="isthmus,rclone,awscli")
    return parser.parse_args()


# --- the endpoint

class DataStore:
    name = "the data store's S3"

    def __init__(self, folder):
        (folder / "endpoint").mkdir()
        # Threads wait for syncs: with the default of 4 whoever sends more at a time would wait for those.
        self.daemon = harness.Daemon(folder / "endpoint", dimse__enabled="false", log__level="warn", http__threads=16,
                                     spool__reserve_bytes="1MiB", spool__resume_bytes="2MiB")
        self.daemon.start()
        self.url, self.region = f"http://127.0.0.1:{self.daemon.datastore_port}", "us-east-1"
        key = self.daemon.access_key()
        self.key, self.secret = key["access_key_id"], key["secret_access_key"]
        self.pids = [self.daemon.process.pid]

    def stop(self):
        self.daemon.stop()


class Ceph:
    name = "Ceph's RADOS gateway"

    def __init__(self, folder):
        tools = harness.shared() / "tools"
        self.folder, self.stopper = folder / "ceph", tools / "stop-ceph-rgw.sh"
        done = subprocess.run([tools / "start-ceph-rgw.sh", "-d", self.folder], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"Ceph did not start: {done.stderr[-500:]}")
        values = dict(line.split("=", 1) for line in (self.folder / "env").read_text().splitlines() if "=" in line)
        self.url, self.region = values["RGW_ENDPOINT"], values["RGW_REGION"]
        self.key, self.secret = values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"]
        self.pids = [int(word) for word in (self.folder / "pids").read_text().split()]

    def stop(self):
        subprocess.run([self.stopper, self.folder], check=True, capture_output=True)


def client(endpoint):
    import boto3
    from botocore.config import Config
    return boto3.client("s3", endpoint_url=endpoint.url, region_name=endpoint.region,
                        aws_access_key_id=endpoint.key, aws_secret_access_key=endpoint.secret,
                        config=Config(s3={"addressing_style": "path"}))


def objects(s3, bucket):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    found = [one for page in pages for one in page.get("Contents", [])]
    return len(found), sum(one["Size"] for one in found)


def empty(s3, bucket):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    for page in pages:
        for one in page.get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=one["Key"])
    s3.delete_bucket(Bucket=bucket)


# --- who uploads

def of_a_process(words, environment):
    """Seconds, peak MiB and processor seconds of a program from its start to its end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}
    begun = time.perf_counter()
    process = subprocess.Popen(words, env={**clean, **environment}, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - begun
    if status != 0:
        raise SystemExit(f"{words[0]}: {process.stderr.read()[-800:]}")
    return took, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def by_rclone(endpoint, bucket, files, *_):
    variables = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": endpoint.url, "REGION": endpoint.region,
                 "ACCESS_KEY_ID": endpoint.key, "SECRET_ACCESS_KEY": endpoint.secret}
    variables = {f"CONFIG_BENCH_{name}": text for name, text in variables.items()}
    return of_a_process(["rclone", "copy", "--config=/dev/null", "--no-traverse", "--s3-no-check-bucket",
                         str(files), f"bench:{bucket}/in"],
                        {f"RCLONE_{name}": text for name, text in variables.items()})


def by_awscli(endpoint, bucket, files, folder, _):
    config = folder / "awscli"
    config.write_text("[default]\ns3 =\n  addressing_style = path\n")
    # Debian's own, whatever else stands first on the path.
    return of_a_process(["/usr/bin/aws", "--endpoint-url", endpoint.url, "s3", "cp", "--recursive",
                         "--only-show-errors", str(files), f"s3://{bucket}/in"],
                        {"AWS_CONFIG_FILE": str(config), "AWS_DEFAULT_REGION": endpoint.region,
                         "AWS_ACCESS_KEY_ID": endpoint.key, "AWS_SECRET_ACCESS_KEY": endpoint.secret})


def by_isthmus(endpoint, bucket, files, folder, arguments):
    """The daemon has received everything when the clock starts; its peak is from its start."""
    home = folder / "gateway"
    home.mkdir()
    values = {"kind": "aws", "region": endpoint.region, "bucket": bucket, "s3_endpoint": endpoint.url,
              "endpoint": "http://127.0.0.1:1",  # nobody is there: imports are not what is measured
              "datastore_id": "0" * 32, "preflight": "off"}
    settings = {f"destinations__main__{name}": value for name, value in values.items()}
    if arguments.uploads:
        settings["staging__uploads"] = arguments.uploads
    count, _ = inventory(files)
    os.environ.update(AWS_ACCESS_KEY_ID=endpoint.key, AWS_SECRET_ACCESS_KEY=endpoint.secret)
    daemon = harness.Daemon(home, datastore__listen="false", batch__quiet_s=1,
                            batch__max_age_s=60, log__level="warn", **settings)
    try:
        with daemon:
            order(daemon, "pause")
            harness.dcmsend(daemon.dimse_port, files)
            daemon.wait_rows(600)
            until(lambda: sealed(daemon), "the batches are not sealed")
            before, begun = cpu_seconds(daemon.process.pid), time.perf_counter()
            order(daemon, "resume")
            # Seldom enough that looking costs nothing of what is looked at (it did at 50 times a second).
            until(lambda: daemon.metric("isthmus_deliveries_staged_total") >= count, "not all is staged", 0.1)
            took = time.perf_counter() - begun
            result = took, peak_kib(daemon.process.pid) / 1024, cpu_seconds(daemon.process.pid) - before
    finally:
        daemon.kill()
        os.environ.pop("AWS_ACCESS_KEY_ID"), os.environ.pop("AWS_SECRET_ACCESS_KEY")
        shutil.rmtree(home)
    return result


def order(daemon, what):
    request = urllib.request.Request(f"http://127.0.0.1:{daemon.http_port}/v1/destinations/main/{what}",
                                     method="POST")
    urllib.request.urlopen(request, timeout=30).read()


def sealed(daemon):
    counts = {(row["subject"], row["state"]): row["count"] for row in daemon.status()["states"]}
    return counts.get(("batch", "open"), 0) == 0 and counts.get(("batch", "sealed"), 0) > 0


def until(holds, why, every_s=0.2):
    deadline = time.monotonic() + 1800
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(why)
        time.sleep(every_s)


# --- the run

def inventory(files):
    sizes = [path.stat().st_size for path in files.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def make(folder, count, seed, *size):
    """Large ones are multi-frame, one of a study."""
    if size[0] == "--big-mb":
        for number in range(count):
            harness.make_study(folder / str(number), series=1, instances=1, seed=seed + number, extra=size)
    else:
        harness.make_study(folder, series=1, instances=count, seed=seed, extra=size)
    return folder


def compare(endpoint, title, files, arguments, folder):
    s3 = client(endpoint)
    count, size = inventory(files)
    results = {name: [] for name in arguments.uploaders.split(",")}
    number = 0
    for run in range(arguments.runs):
        names = list(results)
        for name in names[run % len(names):] + names[:run % len(names)]:  # nobody is always the first
            number += 1
            bucket = f"bench-{title.split()[0].lower()}-{number}"
            s3.create_bucket(Bucket=bucket)
            # Everybody reads from the page cache.
            subprocess.run(["grep", "-rqa", "no such text in it", str(files)], check=False)
            spent = sum(cpu_seconds(pid) for pid in endpoint.pids)
            one = {"isthmus": by_isthmus, "rclone": by_rclone, "awscli": by_awscli}[name](
                endpoint, bucket, files, folder, arguments)
            one += (sum(cpu_seconds(pid) for pid in endpoint.pids) - spent,)
            found = objects(s3, bucket)
            if found[0] != count or found[1] < size:
                raise SystemExit(f"{name}: {found} in the bucket instead of {(count, size)}")
            empty(s3, bucket)
            os.sync()
            results[name].append(one)
    print(f"\n{title}: {count} files, {size / 1e6:.0f} MB, to {endpoint.name}")
    print("uploader    seconds   files/s     MB/s   peak MiB   processor s   the endpoint's")
    rates = {}
    for name, runs in results.items():
        took, peak, cpu, theirs = (statistics.median(one[i] for one in runs) for i in range(4))
        rates[name] = count / took
        print(f"{name:<10}{took:>9.2f}{count / took:>10.1f}{size / took / 1e6:>9.0f}{peak:>11.1f}{cpu:>14.1f}{theirs:>17.1f}", flush=True)
    if "isthmus" not in rates:
        return
    peak = max(one[1] for one in results["isthmus"])
    others = {name: rate for name, rate in rates.items() if name != "isthmus"}
    if others:
        ratio = rates["isthmus"] / max(others.values())
        print(f"isthmus / the faster: {ratio:.2f} (at least {AT_LEAST}: {'ok' if ratio >= AT_LEAST else 'below'})")
    print(f"memory: {peak:.1f} MiB (at most {MOST_MIB}: {'ok' if peak <= MOST_MIB else 'above'})")


def main():
    arguments = parse_arguments()
    harness.BIN = pathlib.Path(arguments.bin).resolve()
    print(f"load {os.getloadavg()[0]:.1f} at the start; medians of {arguments.runs}")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = pathlib.Path(name)
        endpoint = (Ceph if arguments.ceph else DataStore)(folder)
        try:
            if arguments.small:
                compare(endpoint, "Small instances",
                        make(folder / "small", arguments.small, 1, "--size-kb", str(arguments.small_kb)), arguments, folder)
                shutil.rmtree(folder / "small")
            if arguments.large:
                compare(endpoint, "Large instances",
                        make(folder / "large", arguments.large, 2, "--big-mb", str(arguments.large_mb)), arguments, folder)
        finally:
            endpoint.stop()


main()
