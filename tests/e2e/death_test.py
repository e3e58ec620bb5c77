"""SIGKILL at random moments while dcmsend sends: what was acknowledged is imported exactly once.

usage: death_test.py [KILLS [segments|files]]     the seed is printed; SEED=n repeats a run
"""

import os
import random
import re
import subprocess
import sys
import time

from harness import Daemon, fail, in_temp_folder, make_study
from truth import imported_exactly_once

ARGUMENTS = sys.argv[1:] if __name__ == "__main__" else []  # others use what is below
KILLS = int(ARGUMENTS[0]) if ARGUMENTS else 25
KIND = ARGUMENTS[1] if len(ARGUMENTS) > 1 else "segments"
SEED = int(os.environ.get("SEED", time.time_ns() % 1_000_000))


def acknowledged_in(report):
    """UIDs that a dcmsend report says were answered with success."""
    uids = set()
    for block in re.split(r"\n(?=Number\s*:)", report):
        uid = re.search(r"SOP Instance\s*:\s*([0-9.]+)", block)
        if uid and re.search(r"Status\s*:.*Success", block):
            uids.add(uid.group(1))
    return uids


class Moment:
    """When to kill: at random within a span that grows while nothing is acknowledged before the kill, and
    shrinks when everything is. What fits the machine is found within a few kills."""

    def __init__(self, chance, span_s):
        self.chance, self.span_s = chance, span_s

    def wait(self):
        time.sleep(self.chance.uniform(0.0, self.span_s))

    def learn(self, acknowledged, sent):
        if not acknowledged:
            self.span_s = min(self.span_s * 1.6, 20)
        elif len(acknowledged) == sent:
            self.span_s = max(self.span_s / 1.6, 0.1)


def deaths(folder):
    moment = Moment(random.Random(SEED), 0.35)
    print(f"seed {SEED}, {KILLS} kills, {KIND}", flush=True)
    daemon = Daemon(folder, spool__kind=KIND, staging__object_retention_s=0)
    acknowledged = set()
    # One port for the whole test, so that senders find the daemon again.
    daemon.start()
    daemon.settings["dimse.port"] = str(daemon.dimse_port)
    for kill in range(KILLS):
        study = folder / f"study-{kill}"
        files = make_study(study, series=2, instances=15, rows=128, cols=128, seed=SEED * 1000 + kill)
        report = folder / f"report-{kill}.txt"
        sender = subprocess.Popen(
            ["dcmsend", "-aec", "ISTHMUS", "127.0.0.1", str(daemon.dimse_port), "+sd", "+r",
             "+crf", str(report), str(study)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        moment.wait()
        daemon.kill()
        sender.wait(60)
        answered = acknowledged_in(report.read_text(errors="replace")) if report.exists() else set()
        moment.learn(answered, len(files))
        acknowledged |= answered
        daemon.start()
    daemon.wait_settled(300)
    if not acknowledged:
        fail("no instance was acknowledged in the whole test: it proved nothing")
    total = imported_exactly_once(daemon, acknowledged, folder)
    print(f"{len(acknowledged)} acknowledged, {total} imported, each exactly once")
    daemon.stop()


if __name__ == "__main__":
    in_temp_folder(deaths)
