"""What the plugin costs an Orthanc: instances per second and peak memory with and without it, in one run.

Both are Debian's Orthanc on an empty folder, files synced (SyncStorageArea), told not to wait for acknowledgements;
they take turns, and in going first: a file system is slower after many files were removed. Segments of the spool are there from before (--reused), as in operation: when what they held is
imported and freed they are used again; making them anew doubles what is written. The pipeline behind the plugin
rests meanwhile (batch.quiet_s): what is measured is intake. The figures of the issue stand beside as "ok" or
"above": at most 15 % fewer at x4, at most 64 MB more.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile

from kit.receivers import Orthanc, Receiver, cpu_seconds, leave_segments, peak_kib
from kit.senders import Raw

MOST_FEWER_PERCENT = 15
MOST_MORE_MIB = 64


class WithPlugin(Orthanc):
    name = "with plugin"
    spool, reused = "segments", 0

    def command(self):
        if self.spool == "segments" and self.reused:
            leave_segments(self.bin / "isthmus", self.folder / "data", self.reused)
        words = super().command()
        path = pathlib.Path(words[-1])
        config = json.loads(path.read_text())
        config["Plugins"] = [str(self.bin / "libOrthancIsthmus.so")]
        config["Isthmus"] = {
            "data_dir": str(self.folder / "data"), "log": {"level": "warn"},
            "spool": {"kind": self.spool, "reserve_bytes": "64MiB", "resume_bytes": "80MiB"},
            "batch": {"quiet_s": 600, "max_age_s": 600}}
        path.write_text(json.dumps(config))
        return words


class Measured:
    def __init__(self):
        self.rates, self.p50s, self.cpus, self.peaks = [], [], [], []

    def add(self, kind, work, sender, folders):
        receiver = kind(work / "data-of-receiver").start(no_delay=True)
        try:
            before = cpu_seconds(receiver.process.pid)
            sent = sender.send(receiver.port, folders)
            self.cpus.append((cpu_seconds(receiver.process.pid) - before) / sent.stored * 1e6)
            self.rates.append(sent.rate)
            self.p50s.append(sent.p50)
            self.peaks.append(peak_kib(receiver.process.pid) / 1024)
        finally:
            receiver.remove()


def verdict(value, most):
    return "ok" if value <= most else "above"


def make_set(work, count, size_kb, seed):
    target = work / f"set-{size_kb}-{seed}"
    subprocess.run([str(Receiver.bin / "isthmus-dicom-factory"), "make-study", "--out", str(target),
                    "--series", "1", "--instances", str(count), "--size-kb", str(size_kb),
                    "--seed", str(seed)], check=True, stdout=subprocess.DEVNULL)
    return target


def measure(arguments, work):
    sender = Raw(Receiver.bin, arguments.seconds)
    kinds = [Orthanc, WithPlugin]
    print(f"{'':14}{'orthanc':>9}{'with':>9}{'fewer':>9}{'p50 ms':>9}{'with':>9}{'us/inst':>9}{'with':>9}"
          f"{'MiB':>9}{'with':>9}{'more':>9}")
    for size_kb in arguments.sizes:
        folders = [make_set(work, arguments.count, size_kb, seed) for seed in range(max(arguments.senders))]
        for associations in arguments.senders:
            found = {kind: Measured() for kind in kinds}
            for run in range(arguments.runs):
                for kind in kinds if run % 2 == 0 else reversed(kinds):
                    found[kind].add(kind, work, sender, folders[:associations])
            plain, ours = found[Orthanc], found[WithPlugin]
            median = statistics.median
            fewer = 100 * (1 - median(ours.rates) / median(plain.rates))
            more = max(ours.peaks) - max(plain.peaks)
            print(f"{size_kb:>4} KB x{associations:<7}{median(plain.rates):>9,.0f}{median(ours.rates):>9,.0f}"
                  f"{fewer:>8.1f}%{median(plain.p50s):>9.1f}{median(ours.p50s):>9.1f}"
                  f"{median(plain.cpus):>9.0f}{median(ours.cpus):>9.0f}"
                  f"{max(plain.peaks):>9.1f}{max(ours.peaks):>9.1f}{more:>9.1f}", flush=True)
            if associations == 4:
                print(f"      x4: {fewer:.1f} % fewer, at most {MOST_FEWER_PERCENT}: "
                      f"{verdict(fewer, MOST_FEWER_PERCENT)}; {more:.1f} MiB more, at most "
                      f"{MOST_MORE_MIB}: {verdict(more, MOST_MORE_MIB)}", flush=True)
        for folder in folders:
            shutil.rmtree(folder)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--bin", type=pathlib.Path, required=True)
    options.add_argument("--quick", action="store_true", help="one short run of each: is it about right?")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--count", type=int, default=40, help="instances of a sender's folder")
    options.add_argument("--seconds", type=float, default=4, help="how long our own sender sends")
    options.add_argument("--senders", type=int, nargs="+", default=[1, 4, 8])
    options.add_argument("--sizes", type=int, nargs="+", default=[512, 20], help="KB per instance")
    options.add_argument("--spool", choices=["segments", "files"], default="segments")
    options.add_argument("--reused", type=int, default=12,
                         help="segments of 64 MiB that are there from before; 0: as on the first day")
    options.add_argument("--work", type=pathlib.Path, default=None)
    if options.parse_known_args()[0].quick:
        options.set_defaults(runs=1, count=15, seconds=1, senders=[1, 4])
    arguments = options.parse_args()
    Receiver.bin = arguments.bin.resolve()
    WithPlugin.spool, WithPlugin.reused = arguments.spool, arguments.reused
    work = pathlib.Path(tempfile.mkdtemp(prefix="isthmus-bench-", dir=arguments.work))
    try:
        print(f"instances per second of raw-send, medians of {arguments.runs} runs; {os.cpu_count()} cores shared by "
              f"sender and receiver, load {os.getloadavg()[0]:.1f} at the start; spool {arguments.spool}, "
              f"{arguments.reused} segments there from before")
        measure(arguments, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
