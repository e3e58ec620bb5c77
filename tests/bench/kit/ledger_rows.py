"""Fills a ledger with as many instances as wanted, all imported long ago and their bytes freed: what a gateway
looks like after years. Minutes for ten million; kept for the next time, by number of rows and schema.

The ledger is made by the program; only rows are put in. Triggers and indices are taken off meanwhile and put
back as they were.
"""

import argparse
import hashlib
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from kit.receivers import Isthmus, Receiver  # noqa: E402

PER_STUDY, PER_SERIES = 500, 100
# Ids of the program begin with their time, so rows arrive in the order of their ids: so do these.
IDS = "'{kind}' || printf('%031x', n.i)"
UID = "'1.2.826.0.1.3680043.10.999.'"
FIRST_MS = 1_600_000_000_000

INSTANCES = f"""
INSERT INTO instance (id, sop_class_uid, sop_instance_uid, series_instance_uid, study_instance_uid,
  patient_hash, modality, receiver, calling_ae_title, called_ae_title, peer_address, association_id,
  transfer_syntax_uid, size_bytes, dataset_offset_bytes, dataset_digest, file_digest, spool_ref, received_at,
  identity_conflict, imported_at, freeing_at, freed_at)
SELECT {IDS.format(kind=0)}, '1.2.840.10008.5.1.4.1.1.2', {UID} || '3.' || n.i,
  {UID} || '2.' || (n.i / {PER_SERIES}), {UID} || '1.' || (n.i / {PER_STUDY}), lower(hex(randomblob(32))), 'CT',
  'dimse', 'MODALITY', 'ISTHMUS', '10.1.2.3', printf('%032x', n.i / {PER_STUDY}), '1.2.840.10008.1.2.1',
  526000, 388, lower(hex(randomblob(32))), lower(hex(randomblob(32))), 'file:' || printf('%032x', n.i),
  {FIRST_MS} + n.i * 10, 0, {FIRST_MS} + n.i * 10 + 60000, {FIRST_MS} + n.i * 10 + 90000,
  {FIRST_MS} + n.i * 10 + 90001
FROM n"""
BATCHES = f"""
INSERT INTO batch (id, destination, study_instance_uid, state, state_since, members, size_bytes, attempts,
  opened_at, last_joined_at, reason_code, reason, imported, rejected, unaccounted, ended_at, objects_removed_at)
SELECT {IDS.format(kind=1)}, 'main', {UID} || '1.' || n.i, 'reconciled', {FIRST_MS}, {PER_STUDY},
  {PER_STUDY} * 526000, 0, {FIRST_MS}, {FIRST_MS}, '', '', {PER_STUDY}, 0, 0, {FIRST_MS}, {FIRST_MS}
FROM n"""
BATCH_OF = f"'1' || printf('%031x', n.i / {PER_STUDY})"
IMAGE_SET = f"printf('%032x', n.i / {PER_SERIES})"
DELIVERIES = f"""
INSERT INTO delivery (id, instance_id, destination, state, state_since, batch_id, upload_attempts,
  import_attempts, reason_code, reason, etag, staged_at, image_set_id, image_set_version, is_primary)
SELECT {IDS.format(kind=2)}, {IDS.format(kind=0)}, 'main', 'imported', {FIRST_MS} + n.i * 10 + 60000, {BATCH_OF},
  0, 0, '', '', lower(hex(randomblob(16))), {FIRST_MS} + n.i * 10 + 30000, {IMAGE_SET}, 1, 1
FROM n"""
OUTCOMES = f"""
INSERT INTO outcome (batch_id, delivery_id, kind, reason_code, reason, image_set_id, image_set_version,
  is_primary, recorded_at)
SELECT {BATCH_OF}, {IDS.format(kind=2)}, 'imported', '', '', {IMAGE_SET}, 1, 1, {FIRST_MS} + n.i * 10 + 60000
FROM n"""
STEPS = [("received", "", "waiting"), ("object_confirmed", "waiting", "staged"),
         ("outcome_imported", "staged", "imported")]


def history(event, before, after):
    return f"""
INSERT INTO history (at, subject, subject_id, event, from_state, to_state, why)
SELECT {FIRST_MS} + n.i * 10, 'delivery', {IDS.format(kind=2)}, '{event}', '{before}', '{after}', '' FROM n"""


def empty_ledger(folder):
    """What the program makes of no ledger at all."""
    program = Isthmus(folder)
    Isthmus.more, before = {"ledger.directory": folder / "ledger"}, Isthmus.more
    program.start()
    program.stop()
    Isthmus.more = before
    return folder / "ledger"


def schema_of(database):
    return database.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL "
                            "ORDER BY type, name").fetchall()


def fill(path, rows):
    os.environ["SQLITE_TMPDIR"] = str(path.parent)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = OFF")
    for pragma in ("synchronous = OFF", "cache_size = -1000000", "threads = 4", "foreign_keys = OFF"):
        database.execute(f"PRAGMA {pragma}")
    schema = schema_of(database)
    taken_off = [(name, kind, sql) for kind, name, sql in schema if kind in ("trigger", "index")]
    for name, kind, _ in taken_off:
        database.execute(f"DROP {kind} {name}")
    plan = [("batches", BATCHES, rows // PER_STUDY), ("instances", INSTANCES, rows),
            ("deliveries", DELIVERIES, rows), ("outcomes", OUTCOMES, rows)]
    plan += [(f"history: {step[0]}", history(*step), rows) for step in STEPS]
    database.execute("BEGIN")
    for what, statement, count in plan:
        begun = time.monotonic()
        database.execute(f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1}) "
                         + statement)
        print(f"  {what}: {count:,} rows in {time.monotonic() - begun:.0f} s", flush=True)
    database.execute("INSERT INTO state_count VALUES ('delivery', 'main', 'imported', ?), "
                     "('batch', 'main', 'reconciled', ?)", (rows, rows // PER_STUDY))
    database.execute("COMMIT")
    for name, _, sql in sorted(taken_off, key=lambda each: each[1]):  # indices first
        begun = time.monotonic()
        database.execute(sql)
        if time.monotonic() - begun > 1:
            print(f"  {name} in {time.monotonic() - begun:.0f} s", flush=True)
    if schema_of(database) != schema:
        raise SystemExit("the schema is not what it was before")
    database.execute("PRAGMA journal_mode = WAL")
    database.close()


def filled_ledger(bin_folder, rows, cache):
    """A folder for ledger.directory; to be copied, not used. Made when there is none for this schema."""
    if rows % PER_STUDY:
        raise SystemExit(f"the number of rows has to be a multiple of {PER_STUDY}")
    Receiver.bin = bin_folder
    cache.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="making-", dir=cache))
    try:
        ledger = empty_ledger(work / "data")
        file = ledger / "ledger.sqlite"
        with sqlite3.connect(file) as database:
            digest = hashlib.sha256(repr(schema_of(database)).encode()).hexdigest()[:12]
        database.close()
        kept = cache / f"ledger-{rows}-{digest}"
        if kept.exists():
            return kept
        print(f"filling a ledger with {rows:,} instances", flush=True)
        begun = time.monotonic()
        fill(file, rows)
        ledger.rename(kept)
        print(f"{file.name}: {(kept / file.name).stat().st_size / 1e9:.1f} GB in "
              f"{time.monotonic() - begun:.0f} s, kept in {kept}", flush=True)
        return kept
    finally:
        shutil.rmtree(work, ignore_errors=True)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--bin", type=pathlib.Path, required=True)
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--cache", type=pathlib.Path, default=pathlib.Path("/var/tmp/isthmus-bench"))
    options.add_argument("--check", action="store_true", help="have the program check what was made")
    arguments = options.parse_args()
    kept = filled_ledger(arguments.bin.resolve(), arguments.rows, arguments.cache)
    if arguments.check:
        with tempfile.TemporaryDirectory() as data:
            subprocess.run([str(arguments.bin / "isthmus"), "check-ledger", "--set", f"data_dir={data}",
                            "--set", f"ledger.directory={kept}"], check=True)


if __name__ == "__main__":
    main()
