"""The SCPs that benches compare: each a process of its own on an empty folder and a free port."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def peak_kib(pid):
    """The largest resident memory that the process, or a child of it that lives, ever had (VmHWM)."""
    total = 0
    try:
        pids = [pid] + [int(word) for word in
                        pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        for each in pids:
            for line in pathlib.Path(f"/proc/{each}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    total = max(total, int(line.split()[1]))
    except OSError:
        pass
    return total


def cpu_seconds(pid):
    """Processor time of a process and of its children that ended, so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


class Receiver:
    bin = None  # where our programs are

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        folder.mkdir()

    def start(self, no_delay=False):
        """`no_delay`: programs made of DCMTK leave Nagle's algorithm on unless this variable is set, and then
        wait 40 ms for an ACK at every answer, whoever sends."""
        self.log = open(self.folder / "log", "wb")
        environment = {**os.environ, "TCP_NODELAY": "1"} if no_delay else None
        self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=self.log,
                                        env=environment)
        for _ in range(600):
            done = subprocess.run(["echoscu", "-aec", "BENCH", "-to", "2", "127.0.0.1", str(self.port)],
                                  capture_output=True)
            if done.returncode == 0:
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"{self.name} did not start: {(self.folder / 'log').read_text()[-500:]}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder)
        os.sync()  # what this one left unwritten is not the next one's to wait for


def leave_segments(program, data, count):
    """A spool as it is in operation: segments that were written before and are empty again, to be used anew. A run
    of Isthmus makes them and ends; the receiver that is measured finds them. Nothing makes further ones meanwhile."""
    process = subprocess.Popen([str(program), "serve", "--set", f"data_dir={data}", "--set", "dimse.enabled=false",
                                "--set", "http.port=0", "--set", "datastore.listen=false", "--set", "log.level=warn",
                                "--set", "spool.reserve_bytes=64MiB", "--set", "spool.resume_bytes=80MiB",
                                "--set", f"spool.segments_ahead={count}"], stdout=subprocess.DEVNULL)
    try:
        for _ in range(1200):
            if len(list(data.rglob("segments/*.segment"))) >= count:
                return
            time.sleep(0.1)
        raise SystemExit(f"no {count} segments after two minutes")
    finally:
        process.terminate()
        process.wait(60)
        os.sync()


class Isthmus(Receiver):
    name = "isthmus"
    more = {}  # settings for one measurement
    reused = 0  # segments that are there from before

    def command(self):
        if self.reused:
            leave_segments(self.bin / "isthmus", self.folder / "data", self.reused)
        settings = {"data_dir": self.folder / "data", "dimse.address": "127.0.0.1",
                    "dimse.port": self.port, "dimse.admission": "open", "http.port": 0,
                    "datastore.port": 0, "spool.reserve_bytes": "64MiB",
                    "spool.resume_bytes": "80MiB", "log.level": "warn",
                    # What is measured is intake: the pipeline behind it rests until the senders are done.
                    "batch.quiet_s": 600, "batch.max_age_s": 600, **self.more}
        words = [str(self.bin / "isthmus"), "serve"]
        for name, value in settings.items():
            words += ["--set", f"{name}={value}"]
        return words


class Discard(Receiver):
    """Our receiver over a spool that throws everything away: the ceiling."""
    name = "discard"

    def command(self):
        return [str(self.bin / "isthmus-discard-scp"), str(self.port)]


class Storescp(Receiver):
    name = "storescp"

    def command(self):
        (self.folder / "out").mkdir()
        return ["storescp", "--fork", "+B", "-od", str(self.folder / "out"), str(self.port)]


class Orthanc(Receiver):
    name = "orthanc"

    def command(self):
        config = {"StorageDirectory": str(self.folder / "store"),
                  "IndexDirectory": str(self.folder / "store"), "DicomPort": self.port,
                  "DicomAet": "BENCH", "DicomCheckCalledAet": False, "DicomAlwaysAllowStore": True,
                  "DicomAlwaysAllowEcho": True, "HttpServerEnabled": False,
                  "RemoteAccessAllowed": False, "SyncStorageArea": True, "StorageCompression": False,
                  "Plugins": []}
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(config))
        program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
        return [program, str(path)]
