"""A spool on a disk of 30 MB that fills: senders hear success or 0xA700 and nothing else, new associations
are rejected for now, nothing is left over, and the service recovers by itself. In segments, and in files."""

import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

from harness import SKIP, Daemon, fail, in_temp_folder, make_study, raw_send
from truth import imported_exactly_once, rows, spool_is_whole

MARKS = {"spool__reserve_bytes": "6MiB", "spool__resume_bytes": "8MiB", "spool__refuse_bytes": "9MiB",
         "spool__warn_bytes": "16MiB"}


class SmallDisk:
    """A tmpfs where the daemon keeps its spool."""

    def __init__(self, folder, megabytes=30):
        self.path = pathlib.Path(folder) / "data/spool"
        self.path.mkdir(parents=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(self.path)],
                              capture_output=True, text=True)
        if done.returncode != 0:
            print(f"skipped: a tmpfs cannot be mounted here: {done.stderr.strip()}")
            sys.exit(SKIP)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", str(self.path)], check=False)

    def instances(self):
        return [path for path in self.path.rglob("*.dcm")]

    def parts(self):
        return [path for path in self.path.rglob("*.part")]


def readiness(daemon):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{daemon.http_port}/readyz", timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def wait_for(daemon, states, timeout=60):
    deadline = time.monotonic() + timeout
    while True:
        status, body = readiness(daemon)
        if body["admission"] in states:
            return status, body
        if time.monotonic() > deadline:
            fail(f"admission is {body}, not {states}\n{daemon.log_tail()}")
        time.sleep(0.1)


def metric(daemon, name):
    for line in daemon.get("/metrics").splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    return 0.0


def one_event_per_change(daemon):
    """Gives the grades in the order they were announced."""
    text = daemon.log_path.read_text(errors="replace")
    changes = re.findall(r" admission\.(open|tight|refusing|full) .*?was=(\w+)", text)
    was = "open"
    for state, before in changes:
        if state == before or before != was:
            fail(f"not one event per change: {changes}")
        was = state
    return [state for state, _ in changes]


def by_status(answers):
    counted = collections.Counter()
    for answer in answers:
        if "summary" not in answer:
            counted[answer.get("status") or answer.get("error")] += 1
    return counted


def send_until_taken(daemon, files):
    """As a modality does: what was refused is sent again. Gives the UIDs and every status heard."""
    waiting, taken, heard = set(map(str, files)), set(), collections.Counter()
    deadline = time.monotonic() + 120
    while waiting:
        if time.monotonic() > deadline:
            fail(f"{len(waiting)} are still refused: {heard}\n{daemon.log_tail()}")
        for answer in raw_send(daemon.dimse_port, "--associations", "4", *sorted(waiting)):
            if "summary" in answer:
                continue
            heard[answer.get("status") or answer.get("error")] += 1
            if answer.get("status") == "0000":
                taken.add(answer["sop_instance_uid"])
                waiting.discard(answer["file"])
        if waiting:
            wait_for(daemon, ("open", "tight"))
    return taken, heard


def nothing_but_what_rows_hold(daemon, disk):
    """While nothing moves: files are those of rows, and segments in use hold records that rows name."""
    files = rows(daemon, "SELECT count(*) FROM instance WHERE freeing_at IS NULL "
                         "AND spool_ref NOT LIKE 'segment:%'")[0][0]
    if len(disk.instances()) != files or disk.parts():
        fail(f"{len(disk.instances())} files and {disk.parts()} for {files} instances")
    spool_is_whole(daemon)


def nothing_left_over(daemon, disk):
    """When every instance was freed: no file, no part, and no segment that is held by anything."""
    deadline = time.monotonic() + 60
    while True:
        held = {state: metric(daemon, f'isthmus_spool_segments{{state="{state}"}}') for state in ("sealed", "damaged")}
        held["bytes"] = metric(daemon, "isthmus_spool_segment_held_bytes")
        if not disk.instances() and not disk.parts() and not any(held.values()):
            return
        if time.monotonic() > deadline:
            fail(f"left over: {disk.instances()[:3]} {disk.parts()[:3]} {held}")
        time.sleep(0.2)


def filled_by_senders(folder, kind):
    files = make_study(folder / "study", series=2, instances=40, rows=512, cols=512)
    with SmallDisk(folder) as disk:
        # Imported a while after they came, and freed at once after that.
        with Daemon(folder, spool__kind=kind, spool__retention_s=0, batch__quiet_s=4, batch__max_age_s=4,
                    **MARKS) as daemon:
            first = raw_send(daemon.dimse_port, "--associations", "4", *files)
            heard = by_status(first)
            if set(heard) != {"0000", "a700"}:
                fail(f"senders heard {dict(heard)}")
            status, body = wait_for(daemon, ("full", "refusing"), 10)
            if status != 503 or body["ready"]:
                fail(f"ready although full: {status} {body}")
            # Freed is only what was imported, and that takes longer than this.
            while metric(daemon, "isthmus_spool_rows_behind") > 0:
                time.sleep(0.05)
            held = rows(daemon, "SELECT COUNT(*) FROM instance WHERE freeing_at IS NULL")[0][0]
            if held == heard["0000"]:
                nothing_but_what_rows_hold(daemon, disk)
            [refused] = by_status(raw_send(daemon.dimse_port, files[0]))
            if "2/3/1" not in refused:
                fail(f"a new association heard {refused}")
            daemon.settings["http.port"] = daemon.http_port  # where the daemon can be asked
            said = daemon.command("status").stdout.splitlines()[0]
            if not said.startswith(f"intake {body['admission']}"):
                fail(f"isthmus status said: {said}")
            if metric(daemon, 'isthmus_dimse_refused_total{reason="no_space"}') < 1:
                fail("the rejection was not counted")

            wait_for(daemon, ("open", "tight"))
            taken, heard_later = send_until_taken(daemon, files)
            kinds = {kind for kind in heard_later if kind not in ("0000", "a700") and "2/3/1" not in kind}
            if kinds:
                fail(f"senders heard {dict(heard_later)}")
            daemon.wait_settled()
            imported_exactly_once(daemon, sorted(taken), folder)
            nothing_left_over(daemon, disk)
            grades = one_event_per_change(daemon)
            if "full" not in grades:
                fail(f"grades: {grades}")
            print(f"{kind}: {dict(heard)}, then {dict(heard_later)}; grades {grades}; "
                  f"{len(taken)} imported, nothing left over")


def filled_by_somebody_else(folder):
    files = make_study(folder / "study", series=1, instances=4, rows=64, cols=64)
    with SmallDisk(folder) as disk:
        with Daemon(folder, **MARKS) as daemon:
            ballast = disk.path / "ballast"
            # All but 1 MiB, whatever the spool has made for itself: below a quarter of the reserve.
            space = os.statvfs(disk.path)
            ballast.write_bytes(bytes(space.f_bavail * space.f_frsize - 1024 * 1024))
            wait_for(daemon, ("full",), 10)
            [refused] = by_status(raw_send(daemon.dimse_port, files[0]))
            if "2/3/1" not in refused:
                fail(f"a new association heard {refused}")

            ballast.unlink()

            wait_for(daemon, ("open",), 10)
            heard = by_status(raw_send(daemon.dimse_port, *files))
            if heard != {"0000": len(files)}:
                fail(f"after the space came back: {dict(heard)}")
            grades = one_event_per_change(daemon)
            # It may be seen while it fills.
            if grades[-2:] != ["full", "open"] or not set(grades[:-2]) <= {"tight", "refusing"}:
                fail(f"grades: {grades}")
            daemon.wait_settled()
            print(f"grades {grades}; stored again without a restart")


if __name__ == "__main__":
    in_temp_folder(filled_by_somebody_else)
    print("passed: filled_by_somebody_else", flush=True)
    for kind in ("segments", "files"):
        in_temp_folder(lambda folder: filled_by_senders(folder, kind))
        print("passed: filled_by_senders", kind, flush=True)
