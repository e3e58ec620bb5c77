"""Image frames end to end: imported over the S3 and HealthImaging faces, read by the stock SDK,
decoded by a decoder nobody here wrote, and held against what DCMTK's own tools make of the files."""

import json
import os
import pathlib
import subprocess
import sys
import time

from dicomfile import dataset_of
from harness import ROOT, SKIP, Daemon, fail, imaging_models, in_temp_folder, shared
from pixel_truth import DECODERS, attributes, plain_frames, with_uids

CLIENTS = ROOT / "build/clients"
# Where no tool here decodes the syntax: the same image in another.
SISTERS = {
    "CTImage_1.2.840.10008.1.2.4.90.dcm": "CTImage_1.2.840.10008.1.2_base.dcm",
    "MR_small_jp2klossless.dcm": "MR_small.dcm",
    "SiemensMR_ts9.dcm": "SiemensMR_ts1.dcm",
    "emri_small_jpeg_2k_lossless.dcm": "emri_small_big_endian.dcm",
}
CONTENT_TYPES = {
    "1.2.840.10008.1.2.1": "application/octet-stream",
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.91": "image/j2c",
    "1.2.840.10008.1.2.4.202": "image/jph",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.4.100": "video/mpeg",
    "1.2.840.10008.1.2.4.102": "video/mp4",
}


def collect(folder):
    """Files to import, by data store: no SOP instance twice in one."""
    source = shared() / "dicom"
    stores, known = [], {}
    paths = sorted(source.glob("transfer-syntax/*.dcm")) + sorted(source.glob("encapsulated/*.dcm"))
    paths += sorted(source.glob("modality/*.dcm")) + [source / "edge/extended-offset-table.dcm"]
    for number, path in enumerate(paths):
        data = path.read_bytes()
        if path.name.startswith("HTJ2K") or path.name.startswith("JLS"):
            if dataset_of(data) is None:
                continue
            data = with_uids(data, number)
        copy = folder / "files" / path.name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(data)
        uid = attributes(folder, copy).get("uid")
        if not uid or "\\" in uid:  # of VR UN: dcmdump shows bytes
            continue
        for index, held in enumerate(stores + [{}]):
            if uid not in held:
                break
        if index == len(stores):
            stores.append({})
        stores[index][uid] = copy
    return stores


def import_all(daemon, imaging, s3, index, files, lossless="HTJ2K"):
    bucket = f"frames-{index}-{lossless.lower().replace('_', '-')}"
    s3.create_bucket(Bucket=bucket)
    for uid, path in files.items():
        s3.put_object(Bucket=bucket, Key=f"in/{path.name}", Body=path.read_bytes())
    store = imaging.create_datastore(datastoreName=bucket,
                                     losslessStorageFormat=lossless)["datastoreId"]
    job = imaging.start_dicom_import_job(
        datastoreId=store, dataAccessRoleArn="arn:aws:iam::123456789012:role/import",
        inputS3Uri=f"s3://{bucket}/in/", outputS3Uri=f"s3://{bucket}/out/")["jobId"]
    deadline = time.monotonic() + 120
    while True:
        state = imaging.get_dicom_import_job(datastoreId=store, jobId=job)["jobProperties"]
        if state["jobStatus"] in ("COMPLETED", "FAILED"):
            break
        if time.monotonic() > deadline:
            fail(f"the import does not end: {daemon.log_tail()}")
        time.sleep(0.1)
    if state["jobStatus"] != "COMPLETED":
        fail(f"the import failed: {state.get('message')}")
    return store


def read_all(folder, daemon, store):
    key = daemon.access_key()
    out = folder / "found.json"
    done = subprocess.run(
        ["node", str(ROOT / "tests/e2e/clients/frames_test.mjs")], capture_output=True, text=True,
        timeout=240, env=dict(
            os.environ, ENDPOINT=f"http://127.0.0.1:{daemon.datastore_port}",
            KEY_ID=key["access_key_id"], SECRET=key["secret_access_key"], DATASTORE=store,
            CLIENTS=str(CLIENTS), OUT=str(out)))
    if done.returncode != 0:
        fail(done.stderr[-4000:] + daemon.log_tail(10))
    return json.loads(out.read_text())


def check_instance(folder, path, got, counts):
    expected = None
    if path.name in SISTERS:
        sister = path.parent / SISTERS[path.name]
        expected = plain_frames(folder, sister, attributes(folder, sister)["syntax"])
    else:
        expected = plain_frames(folder, path, got["original"])
    for index, frame in enumerate(got["frames"]):
        where = f"{path.name} frame {index + 1}: {frame}"
        checksums = frame["PixelDataChecksumFromBaseToFullResolution"]
        if "error" in frame:
            if frame["error"] != "BadRequestException" or frame["status"] != 400 or checksums:
                fail(f"a frame that cannot be decoded: {where}")
            counts["broken"] += 1
            continue
        if frame["contentType"] != CONTENT_TYPES[frame["syntax"]]:
            fail(f"content type: {where}")
        if [one["Checksum"] for one in checksums] != [frame["crc"]]:
            fail(f"checksum: {where}")
        if frame["FrameSizeInBytes"] != frame["length"]:
            fail(f"size: {where}")
        transcoded = frame["syntax"] == "1.2.840.10008.1.2.4.202"
        if (frame["MinPixelValue"] is not None) != transcoded:
            fail(f"pixel values: {where}")
        decoded = transcoded or frame["contentType"] == "application/octet-stream"
        if expected and decoded:
            if frame["crc"] != expected[index]:
                fail(f"not the original's pixels: {where}")
            counts["held against DCMTK"] += 1
        counts[frame["contentType"]] = counts.get(frame["contentType"], 0) + 1


def every_syntax(folder):
    if not (CLIENTS / "node_modules/@cornerstonejs/codec-openjph").exists():
        print("skipped: the npm clients are not installed (./dev setup)")
        sys.exit(SKIP)
    counts = {"broken": 0, "held against DCMTK": 0, "instances": 0}
    syntaxes = set()
    stores = collect(folder)
    with Daemon(folder) as daemon:
        imaging, s3 = daemon.imaging(imaging_models(folder)), daemon.s3()
        for index, files in enumerate(stores):
            found = read_all(folder, daemon, import_all(daemon, imaging, s3, index, files))
            for uid, got in found.items():
                counts["instances"] += 1
                if got["frames"]:
                    syntaxes.add(got["original"])
                check_instance(folder, files[uid], got, counts)
        # Once more from the cache, after a restart.
        if daemon.stop() != 0:
            fail("the daemon did not end well")
        daemon.start()
        again = read_all(folder, daemon, daemon_store(daemon, imaging_models(folder)))
        for uid, got in again.items():
            check_instance(folder, stores[0][uid], got, counts)
        made = metric(daemon, "isthmus_datastore_frame_cache_misses_total")
        if made != counts_broken(again):
            fail(f"{made} frames were made anew after a restart")
    for syntax in DECODERS:
        if syntax not in syntaxes:
            fail(f"no file in {syntax} had frames")
    if counts["held against DCMTK"] < 100 or not counts.get("image/jph"):
        fail(f"too little was compared: {counts}")
    print("frames:", counts, "from", len(syntaxes), "syntaxes")


def counts_broken(found):
    return sum("error" in frame for got in found.values() for frame in got["frames"])


def metric(daemon, name):
    for line in daemon.get("/metrics").splitlines():
        if line.startswith(name + " ") or line.startswith(name + "{"):
            return float(line.rsplit(" ", 1)[1])
    return 0


def daemon_store(daemon, models):
    for page in daemon.imaging(models).list_datastores()["datastoreSummaries"]:
        if page["datastoreName"].startswith("frames-0-"):
            return page["datastoreId"]
    return fail("the data store is gone")


def jpeg2000_by_setting(folder):
    source = shared() / "dicom/transfer-syntax/MR_small_RLE.dcm"
    uid = attributes(folder, source)["uid"]
    with Daemon(folder / "j2k") as daemon:
        imaging, s3 = daemon.imaging(imaging_models(folder)), daemon.s3()
        store = import_all(daemon, imaging, s3, 0, {uid: pathlib.Path(source)},
                           "JPEG_2000_LOSSLESS")
        (frame,) = read_all(folder, daemon, store)[uid]["frames"]
        if frame["syntax"] != "1.2.840.10008.1.2.4.90" or frame["contentType"] != "image/j2c":
            fail(f"JPEG 2000 was asked for: {frame}")
    print("JPEG 2000 lossless by setting")


def main():
    in_temp_folder(every_syntax)
    in_temp_folder(lambda folder: (folder / "j2k").mkdir() or jpeg2000_by_setting(folder))


main()
