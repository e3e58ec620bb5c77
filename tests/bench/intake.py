"""C-STORE intake beside storescp and Orthanc in one run, with unmodified storescu as sender.

Every receiver starts on an empty folder for every run; each sender has instances of its own. Rates come
from the senders' own logs: instances divided by the time from the first request to the last response.
Isthmus answers after sync and commit; the others as they come. Medians of RUNS runs.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

LOG_CONFIG = """log4cplus.rootLogger = INFO, console
log4cplus.appender.console = log4cplus::ConsoleAppender
log4cplus.appender.console.logToStdErr = true
log4cplus.appender.console.ImmediateFlush = true
log4cplus.appender.console.layout = log4cplus::PatternLayout
log4cplus.appender.console.layout.ConversionPattern = %D{%s.%q} %m%n
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def peak_kib(pid):
    """Of the process and its children that live: VmHWM."""
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


class Receiver:
    """One SCP process on a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        folder.mkdir()

    def start(self):
        self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL,
                                        stderr=open(self.folder / "log", "wb"))
        for _ in range(600):
            done = subprocess.run(["echoscu", "-aec", "BENCH", "-to", "2", "127.0.0.1", str(self.port)],
                                  capture_output=True)
            if done.returncode == 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"{self.name} did not start: {(self.folder / 'log').read_text()[-500:]}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Isthmus(Receiver):
    name = "isthmus"
    bin = None

    def command(self):
        settings = {"data_dir": self.folder / "data", "dimse.address": "127.0.0.1",
                    "dimse.port": self.port, "dimse.admission": "open", "http.port": 0, "datastore.port": 0,
                    "spool.reserve_bytes": "64MiB", "spool.resume_bytes": "80MiB",
                    "log.level": "warn",
                    # What is measured is intake: the pipeline behind it rests until the senders are done.
                    "batch.quiet_s": 600, "batch.max_age_s": 600}
        words = [str(self.bin / "isthmus"), "serve"]
        for name, value in settings.items():
            words += ["--set", f"{name}={value}"]
        return words


class Storescp(Receiver):
    name = "storescp"

    def command(self):
        (self.folder / "out").mkdir()
        return ["storescp", "--fork", "+B", "-od", str(self.folder / "out"), str(self.port)]


class Orthanc(Receiver):
    name = "orthanc"

    def command(self):
        config = {"StorageDirectory": str(self.folder / "store"), "IndexDirectory": str(self.folder / "store"),
                  "DicomPort": self.port, "DicomAet": "BENCH", "DicomCheckCalledAet": False,
                  "DicomAlwaysAllowStore": True, "DicomAlwaysAllowEcho": True, "HttpServerEnabled": False,
                  "RemoteAccessAllowed": False, "SyncStorageArea": True, "StorageCompression": False,
                  "Plugins": []}
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(config))
        program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
        return [program, str(path)]


def make_sets(bin_folder, folder, senders, count, size_kb):
    sets = []
    for sender in range(senders):
        target = folder / f"set-{size_kb}-{sender}"
        subprocess.run([str(bin_folder / "isthmus-dicom-factory"), "make-study", "--out", str(target),
                        "--series", "1", "--instances", str(count), "--size-kb", str(size_kb),
                        "--seed", str(size_kb * 100 + sender)], check=True, stdout=subprocess.DEVNULL)
        sets.append(target)
    return sets


def send(port, sets, log_config):
    """storescu once per set, side by side. Rate, response times in ms, and whether all were stored."""
    logs = [open(tempfile.mkstemp()[1], "w+") for _ in sets]
    senders = [subprocess.Popen(["storescu", "-lc", str(log_config), "-aec", "BENCH", "+sd", "+r",
                                 "127.0.0.1", str(port), str(folder)], stdout=log, stderr=log)
               for folder, log in zip(sets, logs)]
    statuses = [sender.wait(600) for sender in senders]
    first, last, times, stored = None, None, [], 0
    for log in logs:
        log.seek(0)
        asked = None
        for line in log:
            stamp, _, message = line.partition(" ")
            if message.startswith("Sending Store Request"):
                asked = float(stamp)
                first = asked if first is None else min(first, asked)
            elif message.startswith("Received Store Response") and asked is not None:
                at = float(stamp)
                times.append((at - asked) * 1000)
                last = at if last is None else max(last, at)
                stored += "Success" in message
        log.close()
        os.unlink(log.name)
    return stored / (last - first), times, all(status == 0 for status in statuses) and stored


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(kind, sets, work, log_config, runs):
    rates, times, peaks = [], [], []
    for run in range(runs):
        receiver = kind(work / f"{kind.name}-{run}")
        receiver.start()
        rate, response_times, stored = send(receiver.port, sets, log_config)
        peaks.append(peak_kib(receiver.process.pid))
        receiver.stop()
        shutil.rmtree(receiver.folder)
        expected = sum(len(list(folder.rglob("*.dcm"))) for folder in sets)
        if stored != expected:
            raise SystemExit(f"{kind.name}: {stored} of {expected} stored; this run says nothing")
        rates.append(rate)
        times += response_times
    return {"rate": statistics.median(rates), "p50": percentile(times, 0.5),
            "p99": percentile(times, 0.99), "peak_mib": max(peaks) / 1024}


def table(size_kb, results, senders):
    print(f"\n{size_kb} KB instances, unmodified storescu")
    print(f"{'':12}" + "".join(f"{f'x{n}: inst/s':>14}{'p50 ms':>9}{'p99 ms':>9}" for n in senders) +
          f"{'peak MiB':>10}")
    for name, row in results.items():
        line = f"{name:12}"
        for n in senders:
            line += f"{row[n]['rate']:>14.1f}{row[n]['p50']:>9.1f}{row[n]['p99']:>9.1f}"
        print(line + f"{max(row[n]['peak_mib'] for n in senders):>10.1f}")
    for name in results:
        if name != "isthmus":
            ratios = "".join(f"{f'x{n}':>8}: {results['isthmus'][n]['rate'] / results[name][n]['rate']:6.2f}"
                             for n in senders)
            print(f"isthmus / {name:10}{ratios}")


def memory(bin_folder, work, big_mb, associations):
    """Resident memory while one instance of `big_mb` and `associations` senders are received at once."""
    big, small = work / "big", work / "small"
    subprocess.run([str(bin_folder / "isthmus-dicom-factory"), "make-study", "--out", str(big),
                    "--series", "1", "--instances", "1", "--big-mb", str(big_mb)], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run([str(bin_folder / "isthmus-dicom-factory"), "make-study", "--out", str(small),
                    "--series", "1", "--instances", "50", "--size-kb", "512", "--seed", "9"], check=True,
                   stdout=subprocess.DEVNULL)
    receiver = Isthmus(work / "memory")
    receiver.start()
    senders = [subprocess.Popen([str(bin_folder / "isthmus-raw-send"), "--host", "127.0.0.1", "--port",
                                 str(receiver.port), *words], stdout=subprocess.DEVNULL)
               for words in ([str(big)], ["--associations", str(associations - 1), "--repeat", "4",
                                          "--unique-uids", str(small)])]
    statuses = [sender.wait(900) for sender in senders]
    peak = peak_kib(receiver.process.pid) / 1024
    receiver.stop()
    if any(statuses):
        raise SystemExit("memory: a sender was not answered; this run says nothing")
    print(f"\nmemory: peak {peak:.1f} MiB resident while receiving one instance of {big_mb} MB and "
          f"{associations - 1} associations of 512 KB instances")
    return peak


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--bin", type=pathlib.Path, required=True)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--count", type=int, default=100, help="instances per sender")
    options.add_argument("--senders", type=int, nargs="+", default=[1, 4, 8])
    options.add_argument("--sizes", type=int, nargs="*", default=[512, 20], help="KB per instance")
    options.add_argument("--big-mb", type=int, default=2048, help="0 leaves the memory part out")
    options.add_argument("--work", type=pathlib.Path, default=None)
    arguments = options.parse_args()
    Isthmus.bin = arguments.bin.resolve()
    work = pathlib.Path(tempfile.mkdtemp(prefix="isthmus-bench-", dir=arguments.work))
    try:
        log_config = work / "log.cfg"
        log_config.write_text(LOG_CONFIG)
        kinds = [Isthmus, Storescp, Orthanc]
        print(f"medians of {arguments.runs} runs, {arguments.count} instances per sender, "
              f"{os.cpu_count()} cores shared by senders and receiver; isthmus answers after sync and commit")
        for size_kb in arguments.sizes:
            sets = make_sets(Isthmus.bin, work, max(arguments.senders), arguments.count, size_kb)
            results = {}
            for kind in kinds:
                results[kind.name] = {n: measure(kind, sets[:n], work, log_config, arguments.runs)
                                      for n in arguments.senders}
            table(size_kb, results, arguments.senders)
            for folder in sets:
                shutil.rmtree(folder)
        if arguments.big_mb:
            memory(Isthmus.bin, work, arguments.big_mb, 32)
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
