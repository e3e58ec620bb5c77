"""The data store beside Orthanc in one run, on the same files: import beside POST /instances, frames from
the cache, QIDO over a million instances, and memory while ten thousand files are imported.

Requests are signed before the clock starts and sent over connections that stay open. The million is put
into the catalogue directly, as rows that share one document: what is measured is the search.
"""

import argparse
import http.client
import json
import os
import pathlib
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--files", type=int, default=3000, help="of the import, 256 × 256 × 16 bits")
    parser.add_argument("--instances", type=int, default=1_000_000, help="that QIDO searches")
    parser.add_argument("--many", type=int, default=10_000, help="small files while memory is watched")
    parser.add_argument("--reads", type=int, default=5000, help="of frames from the cache")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--only", default="import,memory,frames,qido")
    return parser.parse_args()


class Signer:
    """Signs with botocore, for http.client."""

    def __init__(self, daemon):
        from botocore.auth import SigV4Auth
        from botocore.credentials import Credentials
        key = daemon.access_key()
        self.host = f"127.0.0.1:{daemon.datastore_port}"
        self.auth = SigV4Auth(Credentials(key["access_key_id"], key["secret_access_key"]),
                              "medical-imaging", "us-east-1")

    def signed(self, method, target, body=b""):
        from botocore.awsrequest import AWSRequest
        request = AWSRequest(method, f"http://{self.host}{target}", data=body,
                             headers={"Host": self.host})
        self.auth.add_auth(request)
        return method, target, body, dict(request.headers.items())


def drive(address, requests, connections):
    """Sends the requests over so many connections; seconds of each, and of all."""
    times, failures = [], []

    def work(mine):
        try:
            send(mine)
        except (OSError, http.client.HTTPException) as error:
            failures.append(repr(error))

    def send(mine):
        link = http.client.HTTPConnection(address, timeout=120)
        for method, target, body, headers in mine:
            begun = time.perf_counter()
            link.request(method, target, body, headers)
            answer = link.getresponse()
            data = answer.read()
            times.append(time.perf_counter() - begun)
            if answer.status != 200:
                failures.append((answer.status, target, data[:200]))
        link.close()

    threads = [threading.Thread(target=work, args=(requests[i::connections],))
               for i in range(connections)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise AssertionError(failures[0])
    return times, time.perf_counter() - begun


def family(pid):
    """The process and its workers, whichever thread started them: their fields of /proc/PID/stat."""
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if entry.parent.name == str(pid) or fields[1] == str(pid):
            yield entry.parent, fields


def cpu_seconds(pid):
    """Processor time of daemon and workers."""
    return sum(int(fields[11]) + int(fields[12]) for _, fields in family(pid)) / os.sysconf("SC_CLK_TCK")


def peak_kib(pid):
    """The most memory that daemon and workers, each at its own worst moment, had together."""
    total = 0
    for folder, _ in family(pid):
        for line in (folder / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                total += int(line.split()[1])
    return total


def judge(name, figure, wanted, at_least=True):
    met = figure >= wanted if at_least else figure <= wanted
    print(f"target: {name}: {figure:,.1f}, wanted {'at least' if at_least else 'at most'} {wanted:,}: "
          f"{'ok' if met else 'below' if at_least else 'above'}")


def percentile(times, share):
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def make_files(arguments, folder, count, rows):
    from harness import make_study
    # A sender's study has many series of some hundred images.
    series = max(1, count // 250)
    return make_study(folder, series=series, instances=count // series, rows=rows, cols=rows)


def upload(daemon, bucket, files, connections):
    s3 = daemon.s3()
    s3.create_bucket(Bucket=bucket)
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(lambda numbered: s3.put_object(
            Bucket=bucket, Key=f"in/{numbered[0]:06}.dcm", Body=numbered[1].read_bytes()),
            enumerate(files)))


def run_import(daemon, imaging, bucket, store):
    job = imaging.start_dicom_import_job(
        datastoreId=store, dataAccessRoleArn="arn:aws:iam::123456789012:role/import",
        inputS3Uri=f"s3://{bucket}/in/", outputS3Uri=f"s3://{bucket}/out/")["jobId"]
    begun = time.perf_counter()
    while True:
        state = imaging.get_dicom_import_job(datastoreId=store, jobId=job)["jobProperties"]
        if state["jobStatus"] in ("COMPLETED", "FAILED"):
            break
        time.sleep(0.1)  # asking costs the processors that are measured
    if state["jobStatus"] != "COMPLETED":
        raise AssertionError(state)
    return time.perf_counter() - begun


def bench_import(arguments, folder, daemon, imaging):
    files = make_files(arguments, folder / "files", arguments.files, 256)
    begun = time.perf_counter()
    upload(daemon, "bench-import", files, arguments.connections)
    uploaded = time.perf_counter() - begun
    store = imaging.create_datastore(datastoreName="import")["datastoreId"]
    used = cpu_seconds(daemon.process.pid)
    took = run_import(daemon, imaging, "bench-import", store)
    used = cpu_seconds(daemon.process.pid) - used
    ours = len(files) / took
    print(f"import: {used / len(files) * 1000:.2f} ms of processor time a file")
    print(f"import: {ours:,.0f} files/s (upload of {len(files)} files before: "
          f"{len(files) / uploaded:,.0f}/s)")
    theirs = orthanc_rate(arguments, folder, files)
    if theirs:
        print(f"Orthanc POST /instances: {theirs:,.0f} files/s; ratio {ours / theirs:.1f}, "
              f"with the upload {len(files) / (took + uploaded) / theirs:.1f}")
        judge("import, times Orthanc's POST /instances", ours / theirs, 3)
    return store


def orthanc_rate(arguments, folder, files):
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    if not os.path.exists(program):
        print("Orthanc is not installed")
        return None
    from kit.receivers import free_port
    port = free_port()
    storage = folder / "orthanc"
    storage.mkdir()
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps({
        "StorageDirectory": str(storage), "IndexDirectory": str(storage), "HttpPort": port,
        "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "DicomServerEnabled": False,
        "KeepAlive": True, "Plugins": []}))
    process = subprocess.Popen([program, str(configuration)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                drive(f"127.0.0.1:{port}", [("GET", "/system", b"", {})], 1)
                break
            except AssertionError:
                time.sleep(0.1)
        requests = [("POST", "/instances", path.read_bytes(), {}) for path in files]
        used = cpu_seconds(process.pid)
        _, took = drive(f"127.0.0.1:{port}", requests, arguments.connections)
        used = cpu_seconds(process.pid) - used
        print(f"Orthanc: {used / len(files) * 1000:.2f} ms of processor time a file")
        return len(files) / took
    finally:
        process.terminate()
        process.wait(60)


def bench_memory(arguments, folder, daemon, imaging):
    files = make_files(arguments, folder / "many", arguments.many, 16)
    peak = 0
    for number, begin in enumerate(range(0, len(files), 5000)):  # as many as a job may have
        bucket = f"bench-many-{number}"
        upload(daemon, bucket, files[begin:begin + 5000], arguments.connections)
        store = imaging.create_datastore(datastoreName=bucket)["datastoreId"]
        took = run_import(daemon, imaging, bucket, store)
        peak = max(peak, peak_kib(daemon.process.pid))
        print(f"memory: {len(files[begin:begin + 5000])} small files in {took:.1f} s")
    print(f"memory: peak {peak / 1024:.0f} MiB (daemon and workers together)")
    judge("MiB while importing", peak / 1024, 256, at_least=False)


def bench_frames(arguments, daemon, imaging, store, signer):
    import gzip
    found = imaging.search_image_sets(datastoreId=store, maxResults=1)
    image_set = found["imageSetsMetadataSummaries"][0]["imageSetId"]
    document = json.loads(gzip.decompress(imaging.get_image_set_metadata(
        datastoreId=store, imageSetId=image_set)["imageSetMetadataBlob"].read()))
    (series,) = document["Study"]["Series"].values()
    ids = [frame["ID"] for instance in series["Instances"].values()
           for frame in instance["ImageFrames"]][:100]
    target = f"/datastore/{store}/imageSet/{image_set}/getImageFrame"
    requests = [signer.signed("POST", target, json.dumps({"imageFrameId": one}).encode())
                for one in ids]
    times, took = drive(signer.host, requests, arguments.connections)
    print(f"frames: made at first read {len(requests) / took:,.0f}/s, p99 "
          f"{percentile(times, 0.99) * 1000:.1f} ms")
    many = (requests * (arguments.reads // len(requests) + 1))[:arguments.reads]
    used = cpu_seconds(daemon.process.pid)
    times, took = drive(signer.host, many, arguments.connections)
    used = cpu_seconds(daemon.process.pid) - used
    print(f"frames: {used / len(many) * 1000:.2f} ms of processor time a read of the cache")
    judge("frames from the cache a second", len(many) / took, 1000)
    print(f"frames: from the cache {len(many) / took:,.0f}/s, p99 "
          f"{percentile(times, 0.99) * 1000:.1f} ms")


def fill(folder, store, instances):
    """Studies of 5 series of 20 images, in rows like those of an import."""
    path = folder / "data/datastore/catalogue.sqlite"
    with sqlite3.connect(path) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(image_sets)")]
        like = dict(zip(columns, db.execute("SELECT * FROM image_sets LIMIT 1").fetchone()))
        document, blob, imported = db.execute(
            "SELECT examination, blob, attributes FROM instances LIMIT 1").fetchone()
        marks = ",".join("?" * len(columns))
        per_series, per_study = 20, 5
        for number in range(instances // per_series):
            study, one = divmod(number, per_study)
            day = f"20{10 + study % 15:02}{1 + study % 12:02}{1 + study % 28:02}"
            attributes = {
                "PatientID": f"P{study % 50000}", "PatientName": f"NAME{study % 5000}^GIVEN{study}",
                "StudyInstanceUID": f"2.25.9.{study}", "StudyDate": day, "StudyTime": "093000",
                "AccessionNumber": f"A{study}", "StudyID": str(study),
                "Modality": "XA" if study % 5000 == 0 else ("CT", "MR", "CR", "US")[study % 4],
                "StudyDescription": f"PART {study % 300} ROUTINE",
                "SeriesInstanceUID": f"2.25.9.{study}.{one}", "SeriesNumber": str(one)}
            row = dict(like, id=f"{number:032x}", data_store=store, grouping=f"{number:064x}",
                       is_primary=1, instance_count=per_series, patient_id=attributes["PatientID"],
                       study_instance_uid=attributes["StudyInstanceUID"],
                       series_instance_uid=attributes["SeriesInstanceUID"],
                       accession_number=attributes["AccessionNumber"], study_id=str(study),
                       study_moment=day + "093000.000000", attributes=json.dumps(attributes),
                       patient_name=attributes["PatientName"], modality=attributes["Modality"],
                       study_description=attributes["StudyDescription"])
            db.execute(f"INSERT INTO image_sets ({','.join(columns)}) VALUES ({marks})",
                       [row[column] for column in columns])
            db.executemany("INSERT INTO name_words (data_store, word, image_set) VALUES (?, ?, ?)",
                           [(store, word, row["id"])
                            for word in attributes["PatientName"].lower().split("^")])
            db.executemany(
                "INSERT INTO instances (image_set, sop_instance_uid, first_version, blob,"
                " size_bytes, attributes, examination) VALUES (?, ?, 1, ?, 1000, ?, ?)",
                [(row["id"], f"2.25.9.{study}.{one}.{i}", blob,
                  json.dumps(dict(json.loads(imported), InstanceNumber=str(i), **attributes)), document)
                 for i in range(per_series)])


def bench_qido(arguments, folder, daemon, imaging):
    store = imaging.create_datastore(datastoreName="million")["datastoreId"]
    daemon.stop()
    begun = time.perf_counter()
    fill(folder, store, arguments.instances)
    print(f"qido: {arguments.instances:,} instances filled in {time.perf_counter() - begun:.0f} s")
    daemon.start()
    signer = Signer(daemon)
    studies = max(1, arguments.instances // 100)
    questions = {
        "study by PatientID": lambda n: f"/studies?PatientID=P{n % 50000}",
        "study by AccessionNumber": lambda n: f"/studies?AccessionNumber=A{n}",
        "study by UID": lambda n: f"/studies?StudyInstanceUID=2.25.9.{n}",
        "studies of a day": lambda n: f"/studies?StudyDate=2015{1 + n % 12:02}{1 + n % 28:02}&limit=25",
        "newest page": lambda n: f"/studies?limit=25&offset={n % 200}",
        "name with wildcard": lambda n: f"/studies?PatientName=NAME{n % 5000}%5E%2A&limit=25",
        "name with wildcard in front": lambda n: f"/studies?PatientName=%2AGIVEN{n}&limit=25",
        "name, fuzzy": lambda n: f"/studies?PatientName=given{n}&fuzzymatching=true&limit=25",
        "name that nobody has": lambda n: f"/studies?PatientName=NOBODY{n}%2A&limit=25",
        "modality that many have": lambda n: "/studies?ModalitiesInStudy=MR&limit=25",
        "modality that few have": lambda n: "/studies?ModalitiesInStudy=XA&limit=25",
        "description": lambda n: f"/studies?StudyDescription=PART%20{n % 300}%20ROUTINE&limit=25",
        "series of a study": lambda n: f"/studies/2.25.9.{n}/series",
        "instances of a series": lambda n: f"/studies/2.25.9.{n}/series/2.25.9.{n}.1/instances",
        "instance by UID": lambda n: f"/instances?SOPInstanceUID=2.25.9.{n}.1.3",
    }
    slowest = 0
    for name, question in questions.items():
        requests = [signer.signed("GET", f"/datastore/{store}" + question(n * 7919 % studies))
                    for n in range(200)]
        times, took = drive(signer.host, requests, arguments.connections)
        print(f"qido: {name}: p50 {statistics.median(times) * 1000:.1f} ms, p99 "
              f"{percentile(times, 0.99) * 1000:.1f} ms, {len(times) / took:,.0f}/s")
        slowest = max(slowest, percentile(times, 0.99) * 1000)
    judge(f"p99 in ms of the slowest kind of query, {arguments.instances:,} instances", slowest, 50,
           at_least=False)


def main():
    arguments = parse_arguments()
    os.environ["ISTHMUS_BIN"] = str(pathlib.Path(arguments.bin).resolve())
    from harness import Daemon, imaging_models
    only = set(arguments.only.split(","))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="isthmus-bench-"))
    try:
        with Daemon(folder) as daemon:
            imaging = daemon.imaging(imaging_models(folder))
            if only - {"memory"}:
                store = bench_import(arguments, folder, daemon, imaging)
            if "frames" in only:
                bench_frames(arguments, daemon, imaging, store, Signer(daemon))
            if "memory" in only:
                bench_memory(arguments, folder, daemon, imaging)
            if "qido" in only:
                bench_qido(arguments, folder, daemon, imaging)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()
