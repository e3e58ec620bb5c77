"""Duplicates and conflicts through real associations: what is known is not sent again, what differs is
kept beside it, and `isthmus spool` sees both. On segments and on files, and after a restart."""

import shutil
import threading

from harness import Daemon, fail, in_temp_folder, make_study, raw_send
from truth import rows, spool_is_whole


def send(daemon, folder):
    for line in raw_send(daemon.dimse_port, folder, check=True):
        if line.get("status", "0000") != "0000":
            fail(f"refused: {line}")


def settled(daemon):
    daemon.wait_settled()
    return dict(rows(daemon, "SELECT state, count(*) FROM delivery GROUP BY state"))


def changed_copy(study, folder):
    """The same instances with another last byte: pixel data that somebody edited."""
    shutil.copytree(study, folder)
    for path in folder.rglob("*"):
        if path.is_file():
            data = bytearray(path.read_bytes())
            data[-1] ^= 0xFF
            path.write_bytes(data)


def duplicates_and_conflicts(folder, kind, on_conflict):
    study = folder / "study"
    make_study(study, series=1, instances=4, rows=32, cols=32)
    changed_copy(study, folder / "changed")
    settings = {"spool.kind": kind, "spool.segment_bytes": "1MiB", "spool.retention_s": 100000,
                "destinations.main.on_conflict": on_conflict}
    daemon = Daemon(folder, **{key.replace(".", "__"): value for key, value in settings.items()})
    daemon.start()

    # The same study on two associations at once, and once more after a "time-out".
    senders = [threading.Thread(target=send, args=(daemon, study)) for _ in range(2)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    send(daemon, study)
    assert settled(daemon) == {"imported": 4}, settled(daemon)

    # Again after a restart, and then with other bytes, twice.
    assert daemon.stop() == 0
    daemon.start()
    send(daemon, study)
    assert settled(daemon) == {"imported": 4}, settled(daemon)
    send(daemon, folder / "changed")
    send(daemon, folder / "changed")
    expected = {"imported": 8} if on_conflict == "deliver" else {"imported": 4, "quarantined": 4}
    assert settled(daemon) == expected, settled(daemon)
    assert rows(daemon, "SELECT count(*) FROM instance WHERE conflicts_with IS NOT NULL") == [(4,)]
    spool_is_whole(daemon)

    verified = daemon.command("spool", "verify")
    assert verified.stdout.startswith("8 instances"), verified.stdout
    instance, size = rows(daemon, "SELECT id, size_bytes FROM instance LIMIT 1")[0]
    daemon.command("spool", "export", instance, "--to", str(folder / "exported.dcm"))
    assert (folder / "exported.dcm").stat().st_size == size
    assert daemon.stop() == 0


for kind, on_conflict in (("segments", "deliver"), ("segments", "quarantine"), ("files", "deliver")):
    in_temp_folder(lambda folder: duplicates_and_conflicts(folder, kind, on_conflict))
    print("passed:", kind, on_conflict, flush=True)
