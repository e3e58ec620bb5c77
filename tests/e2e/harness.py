"""What the e2e suites share: a daemon of one's own, real senders, and the questions asked of it.

Every process is ended by its own id. Everything listens on loopback, on ports the system chose.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("ISTHMUS_BIN", ROOT / "build/dev/bin"))
SKIP = 77  # ctest's SKIP_RETURN_CODE


def shared_or_none():
    """The sibling folder of real files and contracts, when it is there."""
    folder = pathlib.Path(os.environ.get("ISTHMUS_SHARED", ROOT.parent / "shared"))
    return folder if (folder / "dicom/MANIFEST.tsv").exists() else None


def shared():
    """As shared_or_none, but ends the test as skipped without it."""
    folder = shared_or_none()
    if folder is None:
        print("skipped: no ../shared beside the repository")
        sys.exit(SKIP)
    return folder


def fail(message):
    raise AssertionError(message)


class Daemon:
    """`isthmus serve` on a data folder. Kill and start as often as wanted; the folder stays."""

    FAST = {
        "dimse.address": "127.0.0.1",
        "dimse.port": "0",
        "dimse.admission": "open",
        "http.port": "0",
        "datastore.port": "0",
        "spool.reserve_bytes": "16MiB",
        "spool.resume_bytes": "32MiB",
        "batch.quiet_s": "0.5",
        "batch.max_age_s": "5",
        "import.first_poll_ms": "100",
        "import.longest_poll_ms": "500",
        "retry.first_backoff_ms": "100",
        "retry.longest_backoff_ms": "1000",
        "sweeper.interval_s": "1",
        "destinations.main.starts_per_second": "100",
        "log.level": "info",
    }

    def __init__(self, folder, **settings):
        self.folder = pathlib.Path(folder)
        self.settings = dict(self.FAST, data_dir=str(self.folder / "data"))
        self.settings.update({key.replace("__", "."): str(value) for key, value in settings.items()})
        self.log_path = self.folder / "isthmus.log"
        self.process = None
        self.listening = None

    def arguments(self):
        words = []
        for name, value in self.settings.items():
            words += ["--set", f"{name}={value}"]
        return words

    def start(self, *extra, wait=True, timeout=60):
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [str(BIN / "isthmus"), "serve", *self.arguments(), *extra],
            stdout=subprocess.PIPE, stderr=self.log)
        if wait:
            self.wait_listening(timeout)
        return self

    def wait_listening(self, timeout=60):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the daemon ended with {self.process.wait()}: {self.log_tail()}")
        self.listening = json.loads(line)
        self.dimse_port = self.listening["dimse_port"]
        self.http_port = self.listening["http_port"]
        self.datastore_port = self.listening["datastore_port"]

    def log_tail(self, lines=30):
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.alive():
            self.process.send_signal(signal.SIGKILL)
        return self.reap()

    def stop(self, timeout=60):
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        return self.reap(timeout)

    def reap(self, timeout=60):
        if self.process is None:
            return None
        status = self.process.wait(timeout)
        self.process.stdout.close()
        self.log.close()
        self.process = None
        return status

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()

    # --- questions ---------------------------------------------------------------------------------
    def command(self, *words, check=True):
        done = subprocess.run([str(BIN / "isthmus"), *words, *self.arguments()],
                              capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(f"isthmus {words} gave {done.returncode}: {done.stderr}")
        return done

    def status(self):
        return json.loads(self.command("status", "--json").stdout)

    def studies(self):
        return [json.loads(line) for line in self.command("studies", "--json").stdout.splitlines()]

    def totals(self):
        total = {}
        for study in self.studies():
            for key in ("received", "staged", "imported", "rejected", "quarantined", "unaccounted"):
                total[key] = total.get(key, 0) + study[key]
        return total

    def wait_rows(self, timeout=60):
        """Until the ledger has a row for whatever was answered: in segments, rows follow the answers."""
        deadline = time.monotonic() + timeout
        while self.alive() and self.metric("isthmus_spool_rows_behind") > 0:
            if time.monotonic() > deadline:
                raise AssertionError(f"rows are still behind\n{self.log_tail()}")
            time.sleep(0.05)

    def wait_settled(self, timeout=120):
        """Until every delivery is imported or asks for a person, and no batch is on its way."""
        deadline = time.monotonic() + timeout
        self.wait_rows(timeout)  # until then the ledger does not know what is on its way
        while True:
            status = self.status()
            moving = [row for row in status["states"] if row["count"] > 0 and (
                (row["subject"] == "delivery" and row["state"] in ("waiting", "staged")) or
                (row["subject"] == "batch" and row["state"] not in
                 ("reconciled", "abandoned", "stuck")))]
            if not moving:
                return status
            if time.monotonic() > deadline:
                raise AssertionError(f"still on the way: {moving}\n{self.log_tail()}")
            if not self.alive():
                raise AssertionError(f"the daemon ended: {self.log_tail()}")
            time.sleep(0.2)

    def metric(self, name):
        """The sum of a metric over its labels; 0 when there is none."""
        lines = self.get("/metrics").splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines
                   if line.split("{")[0].split(" ")[0].endswith(name))

    def get(self, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}")
        if self.settings.get("api.authentication") == "required":
            token = (self.folder / "data" / "control.token").read_text()
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()

    def access_key(self):
        text = pathlib.Path(self.listening["datastore_access_key_file"]).read_text()
        return json.loads(text)

    def s3(self):
        """A boto3 S3 client of the data store."""
        import boto3
        from botocore.config import Config
        key = self.access_key()
        return boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{self.datastore_port}", region_name="us-east-1",
            aws_access_key_id=key["access_key_id"], aws_secret_access_key=key["secret_access_key"],
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}))

    def imaging(self, models):
        """A boto3 HealthImaging client; `models` is a folder made by imaging_models()."""
        import boto3
        from botocore.config import Config
        os.environ["AWS_DATA_PATH"] = str(models)
        key = self.access_key()
        # A session of its own: boto3's default one may have looked for models before.
        return boto3.session.Session().client(
            "medical-imaging", endpoint_url=f"http://127.0.0.1:{self.datastore_port}",
            region_name="us-east-1", aws_access_key_id=key["access_key_id"],
            aws_secret_access_key=key["secret_access_key"],
            config=Config(inject_host_prefix=False, retries={"max_attempts": 1}))

    def resident_kib(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def peak_resident_kib(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
        return 0


def imaging_models(folder):
    """Lays the service model out the way botocore's loader wants it."""
    source = shared() / "contracts/healthimaging"
    target = pathlib.Path(folder) / "models/medical-imaging/2023-07-19"
    target.mkdir(parents=True, exist_ok=True)
    for name in ("service-2.json", "paginators-1.json", "waiters-2.json", "endpoint-rule-set-1.json"):
        shutil.copy(source / name, target / name)
    return target.parents[1]


def make_study(folder, series=2, instances=3, rows=64, cols=64, seed=1, extra=()):
    subprocess.run([str(BIN / "isthmus-dicom-factory"), "make-study", "--out", str(folder),
                    "--series", str(series), "--instances", str(instances), "--rows", str(rows),
                    "--cols", str(cols), "--seed", str(seed), *extra], check=True,
                   stdout=subprocess.DEVNULL)
    return sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())


def dcmsend(port, folder, *extra, check=True):
    return subprocess.run(["dcmsend", "-aec", "ISTHMUS", "127.0.0.1", str(port), "+sd", "+r",
                           *extra, str(folder)], check=check, capture_output=True, text=True,
                          timeout=300)


def raw_send(port, *words, check=False, timeout=300):
    """Sends files byte for byte in any transfer syntax; gives the JSON lines it printed."""
    done = subprocess.run([str(BIN / "isthmus-raw-send"), "--host", "127.0.0.1", "--port", str(port),
                           *[str(word) for word in words]], capture_output=True,
                          encoding="utf-8", errors="replace", timeout=timeout)
    if check and done.returncode != 0:
        raise AssertionError(f"raw-send gave {done.returncode}: {done.stderr}\n{done.stdout[-2000:]}")
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for answer in answers:  # "0xa700" → "a700"
        if isinstance(answer.get("status"), str):
            answer["status"] = answer["status"].removeprefix("0x")
    return answers


def echo(port, timeout=5):
    """Seconds a C-ECHO took; raises when it fails."""
    begun = time.monotonic()
    subprocess.run(["echoscu", "-aec", "ISTHMUS", "-ta", str(timeout), "-td", str(timeout),
                    "127.0.0.1", str(port)], check=True, capture_output=True, timeout=timeout + 5)
    return time.monotonic() - begun


def in_temp_folder(test):
    """Runs a test with a folder of its own; keeps it when the test fails and KEEP is set."""
    folder = tempfile.mkdtemp(prefix="isthmus-e2e-")
    try:
        test(pathlib.Path(folder))
    finally:
        if not os.environ.get("KEEP"):
            shutil.rmtree(folder, ignore_errors=True)
