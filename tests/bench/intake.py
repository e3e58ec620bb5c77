"""C-STORE intake beside storescp, Orthanc and a receiver that discards everything, in one run.

Every receiver starts on an empty folder for every measurement, after what the one before left unwritten is on
the disk; receivers take turns within a run. Isthmus answers after sync and commit; the others as they come, but
that with raw-send, which waits for nothing, they are told not to wait either (TCP_NODELAY=1). Medians of --runs.
What the issue asks for stands beside the ratios as "ok" or "below".
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile

from kit import protection
from kit.ledger_rows import filled_ledger
from kit.receivers import Discard, Isthmus, Orthanc, Receiver, Storescp, cpu_seconds, peak_kib
from kit.senders import Raw, Stock

KINDS = [Isthmus, Discard, Storescp, Orthanc]
# (sender, KB per instance, associations, beside whom, at least)
TARGETS = [
    ("raw-send", 512, 8, "storescp", 3), ("raw-send", 512, 8, "orthanc", 5),
    ("raw-send", 512, 8, "discard", 0.5), ("raw-send", 20, 8, "storescp", 4),
    ("raw-send", 20, 8, "orthanc", 8), ("raw-send", 20, 8, "discard", 0.5),
    ("raw-send", 512, 1, "storescp", 1.5), ("dcmsend", 512, 1, "storescp", 20),
    ("dcmsend", 512, 4, "storescp", 10), ("dcmsend", 20, 1, "storescp", 20),
    ("dcmsend", 20, 4, "storescp", 10),
]
MOST_MIB = 64
FOR_STOCK_SENDERS = 6  # segments: they send their folders once


def make_sets(folder, senders, count, size_kb):
    sets = []
    for sender in range(senders):
        target = folder / f"set-{size_kb}-{sender}"
        subprocess.run([str(Receiver.bin / "isthmus-dicom-factory"), "make-study", "--out", str(target),
                        "--series", "1", "--instances", str(count), "--size-kb", str(size_kb),
                        "--seed", str(size_kb * 100 + sender)], check=True, stdout=subprocess.DEVNULL)
        sets.append(target)
    return sets


class Row:
    """One sender, one size, so many associations: what each receiver made of it."""

    def __init__(self, sender, size_kb, associations):
        self.sender, self.size_kb, self.associations = sender, size_kb, associations
        self.runs = {}

    def add(self, receiver, sent, cpu_us, peak_mib):
        self.runs.setdefault(receiver, []).append((sent, cpu_us, peak_mib))

    def median(self, receiver, of):
        return statistics.median(of(*run) for run in self.runs[receiver])

    def rate(self, receiver):
        return self.median(receiver, lambda sent, cpu, peak: sent.rate)

    def line(self):
        text = f"{self.sender:9}{self.size_kb:>4} KB x{self.associations}"
        for kind in KINDS:
            text += f"{self.rate(kind.name):>10,.0f}" if kind.name in self.runs else f"{'-':>10}"
        text += f"{self.median('isthmus', lambda sent, cpu, peak: sent.p50):>8.1f}"
        text += f"{self.median('isthmus', lambda sent, cpu, peak: sent.p99):>8.1f}"
        for kind in KINDS[1:]:
            has = kind.name in self.runs
            text += f"{self.rate('isthmus') / self.rate(kind.name):>10.2f}" if has else f"{'-':>10}"
        text += f"{self.median('isthmus', lambda sent, cpu, peak: cpu):>9.0f}"
        ceiling = "discard" if "discard" in self.runs else "isthmus"
        text += f"{self.median(ceiling, lambda sent, cpu, peak: sent.cpu_us):>9.0f}"
        return text + f"{max(run[2] for run in self.runs['isthmus']):>9.1f}"


HEAD = (f"{'':18}" + "".join(f"{kind.name:>10}" for kind in KINDS) + f"{'p50 ms':>8}{'p99 ms':>8}" +
        "".join(f"{'/' + kind.name:>10}" for kind in KINDS[1:]) + f"{'us/inst':>9}{'sender':>9}{'MiB':>9}")


def measure(kind, sender, folders, work, row, reused):
    Isthmus.reused = reused if sender.no_delay else min(reused, FOR_STOCK_SENDERS)
    receiver = kind(work / f"{kind.name}-data").start(sender.no_delay)
    Isthmus.reused = 0
    try:
        before = cpu_seconds(receiver.process.pid)
        sent = sender.send(receiver.port, folders)
        cpu_us = (cpu_seconds(receiver.process.pid) - before) / sent.stored * 1e6
        row.add(kind.name, sent, cpu_us, peak_kib(receiver.process.pid) / 1024)
    finally:
        receiver.remove()


def rates(arguments, work):
    """All rows, printed as they come."""
    raw = Raw(Receiver.bin, arguments.seconds)
    plan = [(raw, arguments.senders, KINDS),
            (Stock("storescu", work), arguments.senders, [Isthmus, Storescp, Orthanc]),
            (Stock("dcmsend", work), [n for n in arguments.senders if n <= 4], [Isthmus, Storescp])]
    rows = []
    print(f"\ninstances per second; us/inst: processor time of Isthmus, and of our sender\n{HEAD}")
    for size_kb in arguments.sizes:
        folders = make_sets(work, max(arguments.senders), arguments.count, size_kb)
        for sender, associations, kinds in [row for row in plan if row[0].name in arguments.tools]:
            for count in associations:
                row = Row(sender.name, size_kb, count)
                for _ in range(arguments.runs):
                    for kind in kinds:
                        measure(kind, sender, folders[:count], work, row, arguments.reused)
                print(row.line(), flush=True)
                rows.append(row)
        for folder in folders:
            shutil.rmtree(folder)
    return rows


def verdict(what, value, least, unit=""):
    print(f"{what:58}{value:>8.2f}{unit}  target {least:g}{unit}  {'ok' if value >= least else 'below'}")


def targets(rows):
    print("\ntargets of the issue")
    for sender, size_kb, associations, beside, least in TARGETS:
        for row in rows:
            if (row.sender, row.size_kb, row.associations) == (sender, size_kb, associations):
                verdict(f"{sender} {size_kb} KB x{associations}: isthmus / {beside}",
                        row.rate("isthmus") / row.rate(beside), least)


def memory(work, big_mb):
    """Resident memory at 64 associations, and while one instance of `big_mb` is received."""
    folders = make_sets(work, 1, 64, 512)
    Isthmus.more = {"dimse.max_associations": 64}
    receiver = Isthmus(work / "memory").start()
    Raw(Receiver.bin, 5).send(receiver.port, folders * 64)
    peak = peak_kib(receiver.process.pid) / 1024
    receiver.remove()
    print(f"\npeak memory at 64 associations of 512 KB instances: {peak:.1f} MiB, target {MOST_MIB}: "
          f"{'ok' if peak <= MOST_MIB else 'above'}")
    shutil.rmtree(folders[0])
    if not big_mb:
        return
    big = work / "big"
    subprocess.run([str(Receiver.bin / "isthmus-dicom-factory"), "make-study", "--out", str(big),
                    "--series", "1", "--instances", "1", "--big-mb", str(big_mb)], check=True,
                   stdout=subprocess.DEVNULL)
    Isthmus.more = {"dimse.max_instance_bytes": "8GiB"}
    receiver = Isthmus(work / "memory").start()
    sent = Stock("storescu", work).send(receiver.port, [big])
    peak = peak_kib(receiver.process.pid) / 1024
    receiver.remove()
    Isthmus.more = {}
    shutil.rmtree(big)
    print(f"peak memory with one instance of {big_mb} MB ({sent.rate * big_mb:.0f} MB/s from storescu): "
          f"{peak:.1f} MiB, target {MOST_MIB}: {'ok' if peak <= MOST_MIB else 'above'}")


def ledger(arguments, work):
    """Intake with so many instances in the ledger against intake with none."""
    source = filled_ledger(Receiver.bin, arguments.ledger_rows, arguments.ledger_cache)
    folders = make_sets(work, 8, arguments.count, 20)
    raw = Raw(Receiver.bin, arguments.seconds)
    medians = {}
    for name in ("empty", "filled"):
        directory = work / f"ledger-{name}"
        if name == "filled":
            shutil.copytree(source, directory)
            os.sync()
        Isthmus.more = {"ledger.directory": directory}
        receiver = Isthmus(work / "with-ledger").start()
        sent = [raw.send(receiver.port, folders).rate for _ in range(arguments.runs)]
        receiver.remove()
        shutil.rmtree(directory, ignore_errors=True)
        medians[name] = statistics.median(sent)
        print(f"20 KB x8, ledger {name}: {medians[name]:,.0f} instances per second", flush=True)
    Isthmus.more = {}
    verdict(f"intake with {arguments.ledger_rows:,} instances in the ledger / with none",
            100 * medians["filled"] / medians["empty"], 90, " %")


def protected(arguments, work):
    """TLS beside plain, and commitment."""
    raw = Raw(Receiver.bin, arguments.seconds)
    print("\nTLS 1.3 beside plain, one receiver; and storage commitment")
    for size_kb in arguments.sizes:
        folders = make_sets(work, max(arguments.senders), 15, size_kb)
        for count in arguments.senders:
            protection.tls(raw, work, folders, size_kb, count, arguments.runs)
        for folder in folders:
            shutil.rmtree(folder)
    folder = make_sets(work, 1, 1000, 20)[0]
    protection.commitment(raw, work, folder, arguments.runs)
    shutil.rmtree(folder)


def parse():
    options = argparse.ArgumentParser()
    options.add_argument("--bin", type=pathlib.Path, required=True)
    options.add_argument("--quick", action="store_true", help="one short run of each: is it about right?")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--count", type=int, default=40, help="instances of a sender's folder")
    options.add_argument("--seconds", type=float, default=2, help="how long our own sender sends")
    options.add_argument("--senders", type=int, nargs="+", default=[1, 4, 8])
    options.add_argument("--sizes", type=int, nargs="*", default=[512, 20], help="KB per instance")
    options.add_argument("--tools", nargs="+", choices=["raw-send", "storescu", "dcmsend"],
                         default=["raw-send", "storescu", "dcmsend"])
    options.add_argument("--reused", type=int, default=32,
                         help="segments of 64 MiB that Isthmus has from before; 0: as on the first day")
    options.add_argument("--only-protected", action="store_true", help="only TLS and commitment")
    options.add_argument("--big-mb", type=int, default=4000, help="0 leaves that instance out")
    options.add_argument("--ledger-rows", type=int, default=0, help="10000000 is what the issue asks for")
    options.add_argument("--ledger-cache", type=pathlib.Path, default=pathlib.Path("/var/tmp/isthmus-bench"),
                         help="where filled ledgers are kept for the next time")
    options.add_argument("--work", type=pathlib.Path, default=None)
    if options.parse_known_args()[0].quick:
        options.set_defaults(runs=1, count=15, seconds=1, senders=[1, 8], big_mb=500)
    return options.parse_args()


def main():
    arguments = parse()
    Receiver.bin = arguments.bin.resolve()
    work = pathlib.Path(tempfile.mkdtemp(prefix="isthmus-bench-", dir=arguments.work))
    try:
        print(f"medians of {arguments.runs} runs, {os.cpu_count()} cores shared by senders and receiver, load "
              f"{os.getloadavg()[0]:.1f} at the start; isthmus answers after sync and commit")
        if arguments.sizes:
            if not arguments.only_protected:
                targets(rates(arguments, work))
            protected(arguments, work)
        if arguments.only_protected:
            return
        memory(work, arguments.big_mb)
        if arguments.ledger_rows:
            ledger(arguments, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
