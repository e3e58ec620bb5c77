"""The senders of benches: stock tools as they are, and our own that waits for nothing.

Each gives instances per second from the first request to the last answer, by the sender's own clock, the
answer times in milliseconds, and how many were stored.
"""

import json
import pathlib
import resource
import subprocess
import tempfile

LOG_CONFIG = """log4cplus.rootLogger = INFO, console
log4cplus.appender.console = log4cplus::ConsoleAppender
log4cplus.appender.console.logToStdErr = true
log4cplus.appender.console.ImmediateFlush = true
log4cplus.appender.console.layout = log4cplus::PatternLayout
log4cplus.appender.console.layout.ConversionPattern = %D{%s.%q} %m%n
"""
# What storescu and dcmsend say when they ask and when they are answered.
ASKED = ("Sending Store Request", "Sending C-STORE Request")
ANSWERED = ("Received Store Response", "Received C-STORE Response")


class Sent:
    def __init__(self, rate, p50, p99, stored, cpu_us=0.0):
        self.rate, self.p50, self.p99, self.stored = rate, p50, p99, stored
        self.cpu_us = cpu_us  # processor time of our sender for one instance


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Stock:
    """One process for each folder, side by side, timed by their logs."""
    no_delay = False
    def __init__(self, tool, work):
        self.name = tool
        self.config = work / "sender-log.cfg"
        self.config.write_text(LOG_CONFIG)

    def words(self, port, folder):
        words = [self.name, "-lc", str(self.config), "-aec", "BENCH", "+sd", "+r"]
        return words + ["127.0.0.1", str(port), str(folder)]

    def send(self, port, folders):
        logs = [tempfile.TemporaryFile("w+") for _ in folders]
        senders = [subprocess.Popen(self.words(port, folder), stdout=log, stderr=log)
                   for folder, log in zip(folders, logs)]
        statuses = [sender.wait(600) for sender in senders]
        first, last, times, stored = None, None, [], 0
        for log in logs:
            log.seek(0)
            asked = None
            for line in log:
                stamp, _, message = line.partition(" ")
                if message.startswith(ASKED):
                    asked = float(stamp)
                    first = asked if first is None else min(first, asked)
                elif message.startswith(ANSWERED) and asked is not None:
                    at = float(stamp)
                    times.append((at - asked) * 1000)
                    last = at if last is None else max(last, at)
                    stored += "Success" in message
            log.close()
        expected = sum(len(list(pathlib.Path(folder).rglob("*.dcm"))) for folder in folders)
        if any(statuses) or stored != expected:
            raise SystemExit(f"{self.name}: {stored} of {expected} stored, {statuses}")
        return Sent(stored / (last - first), percentile(times, 0.5), percentile(times, 0.99), stored)


class Raw:
    """isthmus-raw-send: one process, an association for each folder, files read before the first is sent,
    fresh UIDs, for a fixed time."""
    name = "raw-send"
    no_delay = True  # and so do its receivers

    def __init__(self, bin_folder, seconds):
        self.program, self.seconds = str(bin_folder / "isthmus-raw-send"), seconds

    def send(self, port, folders, words=()):
        before = children_cpu()
        done = subprocess.run(
            [self.program, "--port", str(port), "--aec", "BENCH", "--quiet", "--preload",
             "--unique-uids", "--seconds", str(self.seconds), "--associations", str(len(folders)),
             *words, *[str(folder) for folder in folders]], capture_output=True, text=True,
            timeout=600)
        summary = json.loads(done.stdout.splitlines()[-1])["summary"]
        if done.returncode or summary["succeeded"] != summary["sent"]:
            raise SystemExit(f"raw-send: {summary}\n{done.stdout[:500]}")
        cpu = (children_cpu() - before) / summary["sent"] * 1e6
        return Sent(summary["instances_per_second"], summary["p50_ms"], summary["p99_ms"],
                    summary["sent"], cpu)

    def send_once(self, port, folder):
        """Every file of it, as it is."""
        subprocess.run([self.program, "--port", str(port), "--aec", "BENCH", "--quiet", str(folder)],
                       check=True, stdout=subprocess.DEVNULL, timeout=600)


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
