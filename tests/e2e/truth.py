"""Holds ledger, bucket, manifests and catalogue against each other: the invariants of DURABILITY.md."""

import gzip
import hashlib
import json
import sqlite3

from harness import fail, imaging_models, shared_or_none


def rows(daemon, query, *arguments):
    path = daemon.folder / "data/ledger/ledger.sqlite"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30) as connection:
        return connection.execute(query, arguments).fetchall()


def bucket_objects(s3, bucket="isthmus-staging", prefix=""):
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            yield entry["Key"]


def body(s3, key, bucket="isthmus-staging"):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def datastore_id(imaging):
    return imaging.list_datastores()["datastoreSummaries"][0]["datastoreId"]


def remote_jobs(imaging, store):
    jobs = []
    for page in imaging.get_paginator("list_dicom_import_jobs").paginate(datastoreId=store):
        jobs += page["jobSummaries"]
    return jobs


def job_successes(s3, imaging, store, job):
    """inputFile keys that the job's own output names as imported."""
    properties = imaging.get_dicom_import_job(datastoreId=store, jobId=job["jobId"])["jobProperties"]
    folder = properties["outputS3Uri"].split("/", 3)[3]
    manifest = json.loads(body(s3, folder + "job-output-manifest.json"))["jobSummary"]
    if manifest["numberOfImportedFiles"] == 0:
        return []
    lines = body(s3, folder + "SUCCESS/success.ndjson").decode().splitlines()
    if len(lines) != manifest["numberOfImportedFiles"]:
        fail(f"job {job['jobId']}: manifest and success.ndjson disagree")
    return [json.loads(line)["inputFile"] for line in lines if line]


def successes_in_bucket(s3):
    """Instance ids in every success.ndjson of the bucket, one for each line."""
    for key in bucket_objects(s3):
        if key.endswith("/SUCCESS/success.ndjson"):
            for line in body(s3, key).decode().splitlines():
                yield json.loads(line)["inputFile"].rsplit("/", 1)[1].removesuffix(".dcm")


def catalogue_instances(imaging, store):
    """SOP Instance UID → how many primary image sets hold it, from the metadata documents."""
    found = {}
    for page in imaging.get_paginator("search_image_sets").paginate(datastoreId=store, searchCriteria={}):
        for summary in page["imageSetsMetadataSummaries"]:
            answer = imaging.get_image_set_metadata(datastoreId=store, imageSetId=summary["imageSetId"])
            document = json.loads(gzip.decompress(answer["imageSetMetadataBlob"].read()))
            for series in document["Study"]["Series"].values():
                for uid in series["Instances"]:
                    found.setdefault(uid, []).append(summary.get("isPrimary"))
    return found


def spooled(daemon, spool_ref):
    """The Part 10 file under a reference: a file's name, or a segment, its life, record and length."""
    folder = daemon.folder / "data/spool"
    if not spool_ref.startswith("segment:"):
        return (folder / spool_ref).read_bytes()
    number, _, offset, length = spool_ref.split(":")[1:]
    with open(folder / "segments" / f"{number}.segment", "rb") as segment:
        segment.seek(int(offset, 16) + 2048)  # the record's header (spool/segments/format.h)
        return segment.read(int(length, 16))


def spool_is_whole(daemon):
    """I1: every row whose bytes were not freed has them, with the digest it says."""
    held = "FROM instance WHERE freeing_at IS NULL"
    for spool_ref, digest, offset, size in rows(
            daemon, f"SELECT spool_ref, dataset_digest, dataset_offset_bytes, size_bytes {held}"):
        try:
            data = spooled(daemon, spool_ref)
            whole = len(data) == size and hashlib.sha256(data[offset:]).hexdigest() == digest
        except FileNotFoundError:
            whole = False
        # A daemon that runs may have freed them since we asked for the rows.
        if not whole and rows(daemon, f"SELECT 1 {held} AND spool_ref = ?", spool_ref):
            fail(f"spool bytes of {spool_ref} are not those of the row")


def imported_exactly_once(daemon, acknowledged, folder):
    """Every acknowledged UID is imported, by exactly one job, and the four truths agree."""
    done = daemon.command("check-ledger", check=False)
    if done.returncode != 0:
        fail(f"check-ledger: {done.stdout}{done.stderr}")
    spool_is_whole(daemon)
    states = dict(rows(daemon, "SELECT i.sop_instance_uid, d.state FROM instance i "
                               "JOIN delivery d ON d.instance_id = i.id"))
    missing = [uid for uid in acknowledged if states.get(uid) != "imported"]
    if missing:
        fail(f"{len(missing)} of {len(acknowledged)} acknowledged are not imported: {missing[:3]} "
             f"{[states.get(uid) for uid in missing[:3]]}")

    s3 = daemon.s3()
    times = {}
    for instance in successes_in_bucket(s3):
        times[instance] = times.get(instance, 0) + 1
    uid_of = dict(rows(daemon, "SELECT id, sop_instance_uid FROM instance"))
    twice = [instance for instance, count in times.items() if count != 1]
    if twice:
        fail(f"imported more than once: {twice[:3]}")
    by_manifest = {uid_of[instance] for instance in times}
    if not set(acknowledged) <= by_manifest:
        fail("acknowledged, but in no job's success.ndjson")
    if shared_or_none() is None:
        print("no ../shared: the service's own view (by botocore and its model) was not asked")
        return len(by_manifest)
    service_agrees(daemon, folder, s3, set(times), by_manifest)
    return len(by_manifest)


def service_agrees(daemon, folder, s3, imported_instances, imported_uids):
    """I3 and I6 from the service's side: jobs, their outputs and the catalogue."""
    imaging = daemon.imaging(imaging_models(folder))
    store = datastore_id(imaging)
    jobs = remote_jobs(imaging, store)
    intents = dict(rows(daemon, "SELECT job_name, remote_id FROM import_job"))
    names = [job["jobName"] for job in jobs]
    if len(set(names)) != len(names) or not set(names) <= set(intents):
        fail("I3, I6: a remote job without an intent of its own")
    for job in jobs:
        if intents[job["jobName"]] not in (None, job["jobId"]):
            fail(f"the ledger knows another job for {job['jobName']}")
    named = set()
    for job in jobs:
        if job["jobStatus"] == "COMPLETED":
            for key in job_successes(s3, imaging, store, job):
                named.add(key.rsplit("/", 1)[1].removesuffix(".dcm"))
    if named != imported_instances:
        fail("the jobs the service lists are not those whose output is in the bucket")
    catalogue = catalogue_instances(imaging, store)
    if set(catalogue) != imported_uids:
        fail(f"catalogue and manifests disagree: {set(catalogue) ^ imported_uids}")
    doubled = [uid for uid, sets in catalogue.items() if len(sets) != 1]
    if doubled:
        fail(f"in more than one image set: {doubled[:3]}")
