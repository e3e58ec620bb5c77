"""Duplicates and conflicts through real associations: what is known is not sent again, but for a
destination that does not have it; what differs is kept beside it, and `isthmus spool` sees both. On
segments and on files, and after a restart."""

import shutil
import threading
import time

from harness import Daemon, dcmsend, fail, in_temp_folder, make_study, raw_send
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


TWO_WAYS = {
    "dimse.admission": "known",
    "destinations.archive.kind": "embedded",
    "destinations.archive.bucket": "isthmus-archive",
    "destinations.archive.datastore_name": "archive",
    "destinations.archive.starts_per_second": "100",
    "senders.one.calling_ae_titles": "ONE",
    "senders.one.destinations": "main",
    "senders.other.calling_ae_titles": "OTHER",
    "senders.other.destinations": "archive",
}


def went_to(daemon):
    daemon.wait_settled()
    return dict(rows(daemon, "SELECT destination, count(*) FROM delivery WHERE state = 'imported' "
                             "GROUP BY destination"))


def known_but_not_there(folder, kind):
    """The same study by another sender, whose instances go elsewhere: while its bytes are held, and
    once more after they were freed."""
    for name, seed in (("held", 1), ("freed", 2)):
        make_study(folder / name, series=1, instances=3, rows=32, cols=32, seed=seed)
    daemon = Daemon(folder, spool__kind=kind, spool__segment_bytes="1MiB", spool__retention_s=0)
    daemon.settings.update(TWO_WAYS)
    with daemon:
        dcmsend(daemon.dimse_port, folder / "held", "-aet", "ONE")
        dcmsend(daemon.dimse_port, folder / "held", "-aet", "OTHER")
        assert went_to(daemon) == {"main": 3, "archive": 3}, went_to(daemon)

        dcmsend(daemon.dimse_port, folder / "freed", "-aet", "ONE")
        assert went_to(daemon) == {"main": 6, "archive": 3}, went_to(daemon)
        deadline = time.monotonic() + 60
        while rows(daemon, "SELECT count(*) FROM instance WHERE freed_at IS NULL") != [(0,)]:
            assert time.monotonic() < deadline, "not freed"
            time.sleep(0.1)
        assert daemon.stop() == 0
        daemon.start()
        dcmsend(daemon.dimse_port, folder / "freed", "-aet", "OTHER")
        assert went_to(daemon) == {"main": 6, "archive": 6}, went_to(daemon)

        assert rows(daemon, "SELECT count(*) FROM instance") == [(6,)]
        story = daemon.command("history", rows(daemon, "SELECT id FROM instance ORDER BY rowid DESC")[0][0])
        assert "received_again" in story.stdout, story.stdout
        checked = daemon.command("check-ledger", check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        spool_is_whole(daemon)


for kind in ("segments", "files"):
    in_temp_folder(lambda folder: known_but_not_there(folder, kind))
    print("passed: known, but not there:", kind, flush=True)
for kind, on_conflict in (("segments", "deliver"), ("segments", "quarantine"), ("files", "deliver"),
                          ("files", "quarantine")):
    in_temp_folder(lambda folder: duplicates_and_conflicts(folder, kind, on_conflict))
    print("passed:", kind, on_conflict, flush=True)
