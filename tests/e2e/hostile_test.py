"""Hostile files and byte streams: no crash, no hang, a status or a failure line, neighbours unharmed."""

import json
import socket
import threading
import time

from harness import (Daemon, dcmsend, echo, fail, imaging_models, in_temp_folder, make_study, raw_send,
                     shared)
from truth import body, datastore_id

DICOM = shared() / "dicom"
HOSTILE = sorted(path for path in (DICOM / "hostile").rglob("*") if path.is_file())
SEEDS = sorted(path for path in (DICOM / "pdu-seeds").rglob("*.raw"))
LEAKING = DICOM / "pdu-seeds/hostile/assoc-leak-bad-last-context.raw"
BUCKET = "isthmus-staging"


def sent_by_c_store(folder):
    make_study(folder / "good", series=1, instances=3)
    with Daemon(folder) as daemon:
        for path in HOSTILE:
            raw_send(daemon.dimse_port, path, timeout=60)
            if not daemon.alive():
                fail(f"the daemon died of {path.name}: {daemon.log_tail()}")
        dcmsend(daemon.dimse_port, folder / "good")
        status = daemon.wait_settled(180)
        for ask in status["asks_for_person"]:
            if not ask["reason_code"]:
                fail(f"without a reason: {ask}")
        totals = daemon.totals()
        if totals["unaccounted"] or totals["imported"] < 3:
            fail(f"{totals}")
        print(totals)


def put_into_an_import_prefix(folder):
    good = make_study(folder / "good", series=1, instances=3)
    with Daemon(folder, datastore__file_timeout_s=10) as daemon:
        s3, imaging = daemon.s3(), daemon.imaging(imaging_models(folder))
        keys = {}
        for number, path in enumerate(HOSTILE + good):
            keys[f"hostile/{number:04}"] = path
            s3.put_object(Bucket=BUCKET, Key=f"hostile/{number:04}", Body=path.read_bytes())
        job = imaging.start_dicom_import_job(
            datastoreId=datastore_id(imaging), jobName="hostile",
            dataAccessRoleArn="arn:aws:iam::123456789012:role/isthmus-import",
            inputS3Uri=f"s3://{BUCKET}/hostile/", outputS3Uri=f"s3://{BUCKET}/hostile-out/")
        deadline = time.monotonic() + 240
        while True:
            properties = imaging.get_dicom_import_job(
                datastoreId=job["datastoreId"], jobId=job["jobId"])["jobProperties"]
            if properties["jobStatus"] in ("COMPLETED", "FAILED"):
                break
            if time.monotonic() > deadline:
                fail("the import of hostile files did not end")
            time.sleep(0.2)
        if properties["jobStatus"] != "COMPLETED":
            fail(f"{properties}")
        output = properties["outputS3Uri"].split("/", 3)[3]
        manifest = json.loads(body(s3, output + "job-output-manifest.json"))["jobSummary"]
        failures = {}
        for line in body(s3, output + "FAILURE/failure.ndjson").decode().splitlines():
            entry = json.loads(line)
            failures[entry["inputFile"]] = entry["exception"]
        successes = {json.loads(line)["inputFile"] for line in
                     body(s3, output + "SUCCESS/success.ndjson").decode().splitlines()}
        if set(failures) & successes or set(failures) | successes != set(keys):
            fail("each file must be in exactly one of success and failure")
        for key, exception in failures.items():
            if not exception["exceptionType"] or not exception["message"]:
                fail(f"{keys[key].name}: no reason")
        for key, path in keys.items():
            if path in good and key not in successes:
                fail(f"a neighbour was harmed: {failures[key]}")
        assert manifest["numberOfScannedFiles"] == len(keys), manifest
        for name in ("nesting-undefined-20000.dcm", "deflate-bomb-200MB.dcm", "truncated-at-420.dcm",
                     "html.dcm", "empty.dcm", "zip-slip.zip.dcm"):
            [key] = [key for key, path in keys.items() if path.name == name]
            if key not in failures:
                fail(f"{name} was imported")
        print(f"{len(failures)} failed with a reason, {len(successes)} imported")
        echo(daemon.dimse_port)


def play(port, data, patience):
    """Connects, sends the bytes, reads until the other side closes or the patience is at its end."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.settimeout(patience)
        try:
            connection.sendall(data)
            while connection.recv(65536):
                pass
        except OSError:
            pass


def seeds_are_replayed(folder):
    with Daemon(folder, dimse__artim_timeout_s=8, dimse__pdu_timeout_s=8, dimse__idle_timeout_s=8) as daemon:
        slowest, stop = [0.0], threading.Event()
        problems = []

        def keep_asking():
            while not stop.is_set():
                try:
                    slowest[0] = max(slowest[0], echo(daemon.dimse_port))
                except Exception as error:  # any failure is the finding
                    problems.append(repr(error))
                time.sleep(0.05)

        asking = threading.Thread(target=keep_asking)
        asking.start()
        for path in SEEDS:
            play(daemon.dimse_port, path.read_bytes(), 0.4)
            if not daemon.alive():
                fail(f"the daemon died of {path.name}: {daemon.log_tail()}")
        stop.set()
        asking.join()
        if problems or slowest[0] > 5.0:  # less than the time-outs; the start of echoscu is in it
            fail(f"C-ECHO meanwhile: slowest {slowest[0]:.2f} s, {problems[:2]}")

        data = LEAKING.read_bytes()
        for _ in range(50):
            play(daemon.dimse_port, data, 5)
        before = daemon.resident_kib()
        for _ in range(1000):
            play(daemon.dimse_port, data, 5)
        growth = daemon.resident_kib() - before
        took = echo(daemon.dimse_port)
        print(f"{len(SEEDS)} seeds; C-ECHO meanwhile at most {slowest[0]:.2f} s; 1,000 leaking ones: "
              f"{growth} KiB more, C-ECHO in {took:.2f} s")
        if growth > 1024:
            fail(f"resident memory grew by {growth} KiB")


for test in (seeds_are_replayed, sent_by_c_store, put_into_an_import_prefix):
    in_temp_folder(test)
    print("passed:", test.__name__, flush=True)
