"""STOW-RS into the gateway by clients nobody here wrote: curl, npm dicomweb-client, Orthanc's DICOMweb plugin;
every valid file of ../shared/dicom; and death while uploading."""

import hashlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request

from dicomfile import dataset_of
from harness import ROOT, Daemon, fail, in_temp_folder, make_study, shared_or_none
from stow_client import BOUNDARY, RELATED, post, related, uids_of
from truth import body, bucket_objects, imported_exactly_once, rows

CLIENTS = ROOT / "build/clients"
FOLDERS = ("studies", "transfer-syntax", "encapsulated", "charset", "modality", "edge")
KEPT = {"staging__object_retention_s": 3600}


def url_of(daemon, path=""):
    return f"http://127.0.0.1:{daemon.http_port}/dicom-web/studies{path}"


def in_bucket(daemon):
    """Digests of whatever is staged."""
    s3 = daemon.s3()
    return {hashlib.sha256(body(s3, key)).hexdigest() for key in bucket_objects(s3) if "/in/" in key}


def held_byte_for_byte(daemon, files):
    daemon.wait_settled(120)
    stored = in_bucket(daemon)
    for path in files:
        if hashlib.sha256(path.read_bytes()).hexdigest() not in stored:
            fail(f"the bucket does not hold {path.name} as it was sent")


def curl(*words):
    done = subprocess.run(["curl", "-sS", "-w", "\n%{http_code}", *words], capture_output=True, text=True,
                          timeout=60)
    if done.returncode != 0:
        fail(f"curl: {done.stderr}")
    text, _, status = done.stdout.rpartition("\n")
    return int(status), text


def by_curl(folder):
    files = make_study(folder / "study", series=1, instances=4)
    with Daemon(folder, **KEPT) as daemon:
        status, text = curl("-H", "Content-Type: application/dicom", "--data-binary", f"@{files[0]}",
                            url_of(daemon))
        assert status == 200 and len(uids_of(json.loads(text))) == 1, (status, text)
        (folder / "body").write_bytes(related([path.read_bytes() for path in files[1:3]]))
        status, text = curl("-H", f"Content-Type: {RELATED}", "-H", "Accept: application/dicom+xml",
                            "-H", "Transfer-Encoding: chunked", "--data-binary", f"@{folder / 'body'}",
                            url_of(daemon))
        assert status == 200 and text.count("ReferencedSOPInstanceUID") == 2, (status, text)
        # curl expects "100-continue" of a body this large.
        large = make_study(folder / "large", series=1, instances=1, rows=1024, cols=1024, seed=5)
        status, text = curl("-H", "Content-Type: application/dicom", "-H", "Expect: 100-continue",
                            "--data-binary", f"@{large[0]}", url_of(daemon))
        assert status == 200, (status, text)
        status, text = curl("-H", "Content-Type: text/plain", "--data-binary", "@" + str(files[0]),
                            url_of(daemon))
        assert status == 415 and json.loads(text)["code"] == "api.media_type", (status, text)
        status, _ = curl("-H", "Content-Type: application/dicom", "--data-binary", f"@{files[3]}",
                         url_of(daemon, "/1.2.3"))
        assert status == 409, status
        held_byte_for_byte(daemon, [*files[:3], *large])


def by_dicomweb_client(folder):
    if not (CLIENTS / "node_modules/dicomweb-client").exists():
        print("skipped: the npm clients are not installed (./dev setup)")
        return
    files = make_study(folder / "study", series=2, instances=3)
    with Daemon(folder, **KEPT) as daemon:
        done = subprocess.run(
            ["node", str(ROOT / "tests/e2e/clients/stow_test.mjs")], capture_output=True, text=True, timeout=120,
            env=dict(os.environ, BASE=f"http://127.0.0.1:{daemon.http_port}/dicom-web",
                     FILES=str(folder / "study"), CLIENTS=str(CLIENTS)))
        print(done.stdout.strip())
        if done.returncode != 0:
            fail(done.stderr[-4000:] + daemon.log_tail(10))
        held_byte_for_byte(daemon, files)


class Orthanc:
    PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"

    def __init__(self, folder, server_url):
        self.folder = folder
        self.folder.mkdir()
        configuration = {
            "StorageDirectory": str(folder / "store"), "IndexDirectory": str(folder / "store"),
            "HttpPort": free_port(), "DicomServerEnabled": False, "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False, "Plugins": [self.PLUGIN],
            "DicomWeb": {"Enable": True, "Servers": {"isthmus": {"Url": server_url, "ChunkedTransfers": True}}}}
        self.url = f"http://127.0.0.1:{configuration['HttpPort']}"
        (folder / "orthanc.json").write_text(json.dumps(configuration))
        self.log = open(folder / "log", "wb")
        program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
        self.process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=self.log, stderr=self.log)

    def __enter__(self):
        for _ in range(300):
            try:
                self.call("GET", "/system")
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        fail(f"Orthanc did not start: {(self.folder / 'log').read_text(errors='replace')[-1000:]}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()

    def call(self, method, path, content=None):
        request = urllib.request.Request(self.url + path, content, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")


def free_port():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def by_orthanc(folder):
    if not pathlib.Path(Orthanc.PLUGIN).exists():
        print("skipped: orthanc-dicomweb is not installed (./dev setup)")
        return
    files = make_study(folder / "study", series=2, instances=5)
    with Daemon(folder, **KEPT) as daemon, \
            Orthanc(folder / "orthanc", f"http://127.0.0.1:{daemon.http_port}/dicom-web/") as orthanc:
        for path in files:
            orthanc.call("POST", "/instances", path.read_bytes())
        study, = orthanc.call("GET", "/studies")
        done = orthanc.call("POST", "/dicom-web/servers/isthmus/stow",
                            json.dumps({"Resources": [study], "Synchronous": True}).encode())
        print("Orthanc:", done)
        daemon.wait_settled(120)
        assert daemon.totals()["imported"] == len(files), daemon.totals()
        # Orthanc gives out what it stored, which is what it got.
        held_byte_for_byte(daemon, files)


def every_valid_file(folder):
    shared = shared_or_none()
    if shared is None:
        print("skipped: no ../shared beside the repository")
        return
    files = [shared / "dicom" / line.split("\t")[0]
             for line in (shared / "dicom/MANIFEST.tsv").read_text().splitlines()[1:]
             if line.startswith(FOLDERS) and "DICOMDIR" not in line.split("\t")[0]]
    with Daemon(folder, **KEPT) as daemon:
        connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=60)
        stored, warned, refused = [], [], []
        for path in files:
            status, answer = post(connection, related([path.read_bytes()]))
            (stored if status == 200 else warned if status == 202 else refused).append(path)
            assert status in (200, 202, 400, 409), (path, status)
            if status in (200, 202):
                assert len(uids_of(answer)) == 1 and "00081198" not in answer, (path, answer)
        for path in refused:  # as in real_input_test: no Part 10 file, or without the UIDs of a study
            data = path.read_bytes()
            whole = dataset_of(data) is not None and data.find(b"\x20\x00\x0d\x00") >= 0
            assert not whole or len(refused) <= 40, path
        print(f"{len(stored)} stored, {len(warned)} with a warning, {len(refused)} refused")
        assert len(stored) + len(warned) > 600 and len(refused) <= 40
        daemon.wait_settled(300)
        held = in_bucket(daemon)
        held_back = {digest for digest, in rows(
            daemon, "SELECT i.dataset_digest FROM instance i JOIN delivery d ON d.instance_id = i.id "
                    "WHERE d.state = 'quarantined'")}
        known = {}
        for path in stored + warned:
            data = path.read_bytes()
            dataset = hashlib.sha256(dataset_of(data) or b"").hexdigest()
            first = known.setdefault(dataset, path)  # the same data set under two heads is kept once
            if first is path and hashlib.sha256(data).hexdigest() not in held and dataset not in held_back:
                fail(f"{path.name}: the bucket does not hold what was sent")
        connection.close()


def raw(daemon, head, content, close=False):
    """What comes back, whole, for a request that no client library would send."""
    with socket.create_connection(("127.0.0.1", daemon.http_port), timeout=60) as peer:
        try:
            peer.sendall(f"POST /dicom-web/studies HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
                         f"Content-Type: {RELATED}\r\n{head}\r\n".encode() + content)
            if close:
                peer.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was refused before its end
        text = b""
        try:
            while piece := peer.recv(65536):
                text += piece
        except OSError:
            pass
        return text.decode("latin-1")


def odd_bodies(folder):
    """Bodies that are not whole, lie about their length, look like their own end, or are bad in part."""
    files = make_study(folder / "study", series=1, instances=120, rows=32, cols=32)
    data = [path.read_bytes() for path in files]
    with Daemon(folder, **KEPT) as daemon:
        def known():
            return rows(daemon, "SELECT count(*) FROM instance")[0][0]

        # Whoever lies about the body, or leaves before its end, is never told of a success.
        content = related(data[:2])
        length = len(content)
        lies = {"too long": f"Content-Length: {length + 10}\r\n", "too short": f"Content-Length: {length - 60}\r\n",
                "both": f"Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n",
                "twice": f"Content-Length: {length}\r\nContent-Length: {length - 1}\r\n",
                "overflowing": f"Content-Length: {2 ** 64 + length}\r\n", "negative": "Content-Length: -1\r\n",
                "chunks without end": "Transfer-Encoding: chunked\r\n", "none": ""}
        for what, head in lies.items():
            sent = content if "chunks" not in what else f"{length:x}\r\n".encode() + content + b"\r\n"
            answer = raw(daemon, head, sent, close=True)
            assert answer.startswith("HTTP/1.1 400"), (what, answer[:200])
        for what, chunks in {"no number": b"zz\r\n", "negative": b"-5\r\n", "overflowing": b"1" + b"0" * 16 + b"\r\n",
                             "longer than said": f"{length - 9:x}\r\n".encode()}.items():
            answer = raw(daemon, "Transfer-Encoding: chunked\r\n", chunks + content + b"\r\n0\r\n\r\n")
            assert answer.startswith("HTTP/1.1 400"), (what, answer[:200])
        answer = raw(daemon, "Transfer-Encoding: chunked\r\n",
                     f"{length:x};a=b\r\n".encode() + content + b"\r\n0;c\r\nTrailer: d\r\n\r\n")
        assert answer.startswith("HTTP/1.1 200"), answer[:200]
        assert raw(daemon, "X: " + "x" * 64_000_000 + "\r\n", b"")[:12] == "HTTP/1.1 431"

        # Cut in its second part: the first is kept, and the answer says so.
        connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=60)
        cut = related(data[2:4])
        connection.request("POST", "/dicom-web/studies", cut[:-len(data[3]) // 2],
                           {"Content-Type": RELATED, "Accept": "application/dicom+json"})
        answer = connection.getresponse()
        assert answer.status == 400, answer.status
        assert len(uids_of(json.loads(answer.read()))) == 1
        connection.close()

        connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=60)
        # The delimiter's text in pixel data, without the line end in front or with more behind it.
        shapes = [f"x--{BOUNDARY}--\r\n", f"\n--{BOUNDARY}\r\n", f"\r\n-{BOUNDARY}", f"\r\n--{BOUNDARY}x", "\r\n\r\n--"]
        noise = "".join(shapes * 100).encode()[:1500]
        for at in (4, 5):
            data[at] = data[at][:-2000] + noise + data[at][-500:]
            files[at].write_bytes(data[at])
        status, answer = post(connection, related(data[4:6]))
        assert status == 200 and len(uids_of(answer)) == 2, (status, answer)

        # A hundred parts, five of them bad.
        parts = list(data[6:106])
        for at in range(7, 100, 20):
            parts[at] = b"this is no instance"
        status, answer = post(connection, related(parts))
        assert status == 202 and len(uids_of(answer)) == 95, (status, len(uids_of(answer)))
        assert [item["00081197"]["Value"] for item in answer["0008119A"]["Value"]] == [[0xC000]] * 5, answer
        connection.close()
        deadline = time.monotonic() + 60
        while known() != 2 + 1 + 2 + 95:  # rows may follow their promises, and those of nothing else
            assert time.monotonic() < deadline, known()
            time.sleep(0.05)
        held_byte_for_byte(daemon, [*files[:3], *files[4:6], *(files[6 + at] for at in range(100) if at % 20 != 7)])
        assert hashlib.sha256(data[3]).hexdigest() not in in_bucket(daemon), "half an instance"


def kill_while_uploading(folder):
    files = make_study(folder / "study", series=3, instances=20, rows=256, cols=256)
    for kind in ("files", "segments"):
        home = folder / kind
        home.mkdir()
        daemon = Daemon(home, spool__kind=kind, **KEPT).start()
        acknowledged, enough = set(), threading.Event()

        def upload(mine, home=home, daemon=daemon, acknowledged=acknowledged, enough=enough):
            connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=30)
            try:
                for at in range(0, len(mine), 2):
                    _, answer = post(connection, related([p.read_bytes() for p in mine[at:at + 2]]))
                    acknowledged.update(uids_of(answer))
                    if len(acknowledged) > 10:
                        enough.set()
            except (OSError, http.client.HTTPException):
                pass  # it was killed

        threads = [threading.Thread(target=upload, args=(files[i::4],)) for i in range(4)]
        for thread in threads:
            thread.start()
        assert enough.wait(60), daemon.log_tail()
        daemon.kill()
        for thread in threads:
            thread.join()
        daemon.start()
        # Some were stored and never answered: their sender sends them again.
        connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=60)
        status, answer = post(connection, related([path.read_bytes() for path in files]))
        assert status == 200 and len(uids_of(answer)) == len(files), answer
        connection.close()
        daemon.wait_settled(120)
        imported_exactly_once(daemon, acknowledged | set(uids_of(answer)), home)
        # Rows that a start made of promises know as much as others.
        assert rows(daemon, "SELECT count(*) FROM instance WHERE length(accession_hash) <> 64") == [(0,)]
        print(f"{kind}: {len(acknowledged)} answered before the death, all imported")
        assert daemon.stop() == 0, daemon.log_tail()


def a_stranger_is_refused_and_remembered(folder):
    path, = make_study(folder / "study", series=1, instances=1)
    with Daemon(folder, dimse__admission="discover") as daemon:
        words = ("-H", "Content-Type: application/dicom", "--data-binary", f"@{path}", url_of(daemon))
        daemon.settings["http.port"] = str(daemon.http_port)  # where the command line asks it
        status, text = curl(*words)
        assert status == 403 and json.loads(text)["code"] == "sender.unknown_sender", (status, text)
        deadline = time.monotonic() + 20
        while "local" not in daemon.command("senders").stdout:
            assert time.monotonic() < deadline, daemon.command("senders").stdout
            time.sleep(0.1)
        daemon.command("senders", "admit", "local")
        status, text = curl(*words)
        assert status == 200, (status, text)


def a_caller_with_a_long_name_is_admitted(folder):
    path, = make_study(folder / "study", series=1, instances=1)
    with Daemon(folder, dimse__admission="discover", api__authentication="required") as daemon:
        daemon.settings["http.port"] = str(daemon.http_port)
        caller = "reading-room.workstation-7@example"
        token = daemon.command("token", "add", caller, "--scope", "store").stdout.strip()
        words = ("-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/dicom",
                 "--data-binary", f"@{path}", url_of(daemon))
        assert curl(*words)[0] == 403
        daemon.command("senders", "admit", caller, "--from", "127.0.0.1", "--name", "reading_room")
        status, text = curl(*words)
        assert status == 200, (status, text)
        daemon.wait_settled()
        assert rows(daemon, "SELECT calling_ae_title FROM instance") == [(caller,)]


def a_broken_multipart_body_ends_its_request_and_not_the_connection(folder):
    path, = make_study(folder / "study", series=1, instances=1)
    with Daemon(folder) as daemon:
        connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=60)
        whole = related([path.read_bytes()])
        status, answer = post(connection, whole[:whole.rfind(b"--") - 8])
        assert status == 400, (status, answer)
        socket = connection.sock
        status, answer = post(connection, whole)
        assert status == 200 and len(uids_of(answer)) == 1, (status, answer)
        assert connection.sock is socket, "the connection was not kept"
        connection.close()
        daemon.wait_settled()


def metadata_and_bulk_data(folder):
    """As DICOM JSON with bulk data; what was put together is imported, and dcmdump reads it."""
    uid = "2.25.88.1.1"
    text = {"00080016": ("UI", "1.2.840.10008.5.1.4.1.1.7"), "00080018": ("UI", uid), "00080060": ("CS", "OT"),
            "00100020": ("LO", "SYNTHETIC"), "0020000D": ("UI", "2.25.88"), "0020000E": ("UI", "2.25.88.1"),
            "00280004": ("CS", "MONOCHROME2")}
    numbers = {"00280002": 1, "00280010": 16, "00280011": 16, "00280100": 8, "00280101": 8, "00280102": 7,
               "00280103": 0}
    instance = {tag: {"vr": vr, "Value": [value]} for tag, (vr, value) in text.items()}
    instance.update({tag: {"vr": "US", "Value": [value]} for tag, value in numbers.items()})
    instance["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": "Synthetic^Nobody"}]}
    instance["7FE00010"] = {"vr": "OB", "BulkDataURI": "pixels"}
    boundary = "x"
    content = b"".join([
        b"--x\r\nContent-Type: application/dicom+json\r\n\r\n", json.dumps([instance]).encode(),
        b"\r\n--x\r\nContent-Type: application/octet-stream\r\nContent-Location: pixels\r\n\r\n", bytes(range(256)),
        b"\r\n--x--\r\n"])
    with Daemon(folder, **KEPT) as daemon:
        connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=60)
        status, answer = post(connection, content,
                              f'multipart/related; type="application/dicom+json"; boundary={boundary}')
        connection.close()
        assert status == 200 and uids_of(answer) == [uid], (status, answer)
        daemon.wait_settled(120)
        assert daemon.totals()["imported"] == 1, daemon.totals()
        s3 = daemon.s3()
        key, = [key for key in bucket_objects(s3) if "/in/" in key]
        (folder / "made.dcm").write_bytes(body(s3, key))
        done = subprocess.run(["dcmdump", "+P", "0010,0010", "+P", "7fe0,0010", str(folder / "made.dcm")],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "[Synthetic^Nobody]" in done.stdout, done.stderr + done.stdout
        assert not list((folder / "data/spool/stow").iterdir())


TESTS = (by_curl, metadata_and_bulk_data, by_dicomweb_client, by_orthanc, every_valid_file, odd_bodies, kill_while_uploading,
         a_stranger_is_refused_and_remembered, a_caller_with_a_long_name_is_admitted,
         a_broken_multipart_body_ends_its_request_and_not_the_connection)
for test in TESTS:
    if len(sys.argv) > 1 and test.__name__ not in sys.argv[1:]:
        continue
    in_temp_folder(test)
    print("passed:", test.__name__, flush=True)
