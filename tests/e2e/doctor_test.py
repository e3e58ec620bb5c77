"""`isthmus doctor`: well where all is well, and for each fault that is brought about the line that names it and
says what to do. It prints no secret and leaves nothing in the bucket."""

import http.server
import json
import os
import pathlib
import socket
import ssl
import subprocess
import threading
import time
import urllib.request

from harness import BIN, Daemon, fail, imaging_models, in_temp_folder
from pki import Authority
from proxy import Proxy
from sts import Sts

SECRETS = []
STORE = "projects/p1/locations/l1/datasets/ds1/dicomStores/st1"
METADATA = "/computeMetadata/v1/instance/service-accounts/default/"


class Site:
    """A gateway's configuration towards a cloud: nothing but settings and an environment."""

    def __init__(self, folder, cloud, store):
        key = cloud.access_key()
        SECRETS.append(key["secret_access_key"])
        self.sts = Sts({key["access_key_id"]: key["secret_access_key"]})
        endpoint = f"http://127.0.0.1:{cloud.datastore_port}"
        self.settings = {
            "data_dir": str(folder / "site"), "spool.reserve_bytes": "16MiB",
            "dimse.port": "0", "http.port": "0", "datastore.port": "0",
            "destinations.cloud.kind": "aws", "destinations.cloud.region": "us-east-1",
            "destinations.cloud.datastore_id": store, "destinations.cloud.bucket": "staging",
            "destinations.cloud.endpoint": endpoint, "destinations.cloud.s3_endpoint": endpoint,
            "destinations.cloud.sts_endpoint": self.sts.url}
        self.environment = {
            "AWS_ACCESS_KEY_ID": key["access_key_id"], "AWS_SECRET_ACCESS_KEY": key["secret_access_key"],
            "AWS_CONFIG_FILE": str(folder / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
            "AWS_EC2_METADATA_DISABLED": "true"}

    def doctor(self, *words, environment=None, **settings):
        """Exit status and the findings, by check."""
        changed = dict(self.settings)
        changed.update({name.replace("__", "."): str(value) for name, value in settings.items()})
        words = ["doctor", *words, "--json"]
        for name, value in changed.items():
            words += ["--set", f"{name}={value}"]
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith(("AWS_", "GOOGLE_", "GCE_", "CLOUDSDK_"))}
        clean.update(dict(self.environment, **(environment or {})))
        done = subprocess.run([str(BIN / "isthmus"), *words], capture_output=True, text=True,
                              env=clean, timeout=120)
        for secret in SECRETS:
            if secret in done.stdout + done.stderr:
                fail("a secret is printed")
        if done.returncode not in (0, 1):
            fail(f"doctor gave {done.returncode}: {done.stderr}")
        report = json.loads(done.stdout)
        assert report["ok"] == (done.returncode == 0), report
        return done.returncode, report["findings"]


def expect(findings, check, verdict, part=""):
    """The one finding that is not as a healthy site's; nothing else of that check is bad."""
    found = [one for one in findings if one["check"] == check and one["verdict"] == verdict]
    if not any(part in one["text"] for one in found):
        fail(f"no {verdict} {check} with {part!r} in {json.dumps(findings, indent=1)}")


def objects(cloud):
    return [one["Key"] for one in cloud.s3().list_objects_v2(Bucket="staging").get("Contents", [])]


def all_is_well(site, cloud):
    status, findings = site.doctor("--import")
    if status != 0:
        fail(f"{json.dumps(findings, indent=1)}")
    for check in ("disk.spool", "disk.ledger", "port.dimse", "dns", "tcp", "clock", "credentials",
                  "identity", "bucket.list", "bucket.put", "bucket.get", "bucket.delete",
                  "import.list", "import.start", "import.end"):
        expect(findings, check, "ok")
    expect(findings, "identity", "ok", "user/gateway")
    if objects(cloud):
        fail(f"the doctor left {objects(cloud)}")
    jobs = [one for one in findings if one["check"].startswith("import.start")]
    status, findings = site.doctor("cloud")
    if [one for one in findings if one["check"].startswith(("import.start", "import.end", "disk"))] or not jobs:
        fail("a job without --import, or the machine when a destination was named")


def network(site, folder):
    def bad(check, part, **settings):
        status, findings = site.doctor("cloud", **settings)
        assert status == 1, findings
        expect(findings, check, "bad", part)

    bad("dns", "correct the name", destinations__cloud__s3_endpoint="http://nobody.invalid:1")
    with socket.socket() as silent:  # bound, and nobody listens
        silent.bind(("127.0.0.1", 0))
        bad("tcp", "refused",
            destinations__cloud__s3_endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")

    authority = Authority(folder / "pki")
    for name, pair, ca, part in [
            ("good", authority.issue("good"), True, None),
            ("soon", authority.issue("soon", days=5), True, None),
            ("unknown", authority.issue("unknown"), False, "unknown_ca"),
            ("name", authority.issue("name", names="DNS:elsewhere.example"), True, "wrong_name"),
            ("over", authority.issue("over", days=-1), True, "certificate_expired")]:
        server = Dated(pair)
        settings = {"destinations__cloud__s3_endpoint": f"https://127.0.0.1:{server.port}"}
        if ca:
            settings["destinations__cloud__ca_file"] = authority.certificate
        status, findings = site.doctor("cloud", **settings)
        subject = f"127.0.0.1:{server.port}"
        tls = [one for one in findings if one["check"] == "tls" and one["subject"] == subject]
        assert len(tls) == 1, findings
        expected = {"good": "ok", "soon": "warn"}.get(name, "bad")
        if tls[0]["verdict"] != expected or (part and part not in tls[0]["text"]):
            fail(f"{name}: {tls}")
        server.close()


class Dated:
    """A server with a certificate, or a clock of its own."""

    def __init__(self, pair=None, ahead_s=0):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def date_time_string(self, timestamp=None):
                return super().date_time_string((timestamp or time.time()) + ahead_s)

            def do_GET(self):
                self.send_response(403)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_PUT = do_HEAD = do_DELETE = do_GET

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        if pair:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair.certificate, pair.key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def clock(site):
    for ahead_s, verdict in [(0, "ok"), (300, "warn"), (-1800, "bad"), (1800, "bad")]:
        server = Dated(ahead_s=ahead_s)
        _, findings = site.doctor(
            "cloud", destinations__cloud__s3_endpoint=f"http://127.0.0.1:{server.port}")
        expect([one for one in findings if one["subject"].endswith(str(server.port))], "clock", verdict)
        server.close()


def credentials(site):
    status, findings = site.doctor("cloud", environment={"AWS_ACCESS_KEY_ID": "",
                                                         "AWS_SECRET_ACCESS_KEY": ""})
    assert status == 1
    expect(findings, "credentials", "bad")

    SECRETS.append("a-wrong-secret")
    status, findings = site.doctor("cloud", environment={"AWS_SECRET_ACCESS_KEY": "a-wrong-secret"})
    assert status == 1
    expect(findings, "identity", "bad", "SignatureDoesNotMatch")
    expect(findings, "bucket.list", "bad", "store.denied")

    site.sts.expired.add(site.environment["AWS_ACCESS_KEY_ID"])
    status, findings = site.doctor("cloud")
    assert status == 1
    expect(findings, "identity", "bad", "ExpiredToken")
    site.sts.expired.clear()

    status, findings = site.doctor("cloud", destinations__cloud__sts_endpoint="http://127.0.0.1:1")
    assert status == 0, findings
    expect(findings, "identity", "warn")


def bucket(site, cloud):
    status, findings = site.doctor("cloud", destinations__cloud__bucket="nowhere")
    assert status == 1
    expect(findings, "bucket.list", "bad", "destinations.cloud.bucket")

    for method, check in [("PUT", "bucket.put"), ("GET", "bucket.get"), ("DELETE", "bucket.delete")]:
        def guard(asked, path, _, method=method):
            if asked != method or "doctor" not in path:
                return None
            return 403, b"<Error><Code>AccessDenied</Code><Message>No.</Message></Error>"

        proxy = Proxy(cloud.datastore_port, guard=guard)
        status, findings = site.doctor(
            "cloud", destinations__cloud__s3_endpoint=f"http://127.0.0.1:{proxy.port}")
        assert status == 1, findings
        expect(findings, check, "bad", "store.denied")
        proxy.close()
    for key in objects(cloud):  # what could not be deleted
        cloud.s3().delete_object(Bucket="staging", Key=key)


def importing(site, cloud):
    def denied(method, path, _):
        if method == "POST" and "startDICOMImportJob" in path:
            return 403, b'{"__type": "AccessDeniedException", "message": "No."}'
        return None

    proxy = Proxy(cloud.datastore_port, guard=denied)
    status, findings = site.doctor(
        "cloud", "--import", destinations__cloud__endpoint=f"http://127.0.0.1:{proxy.port}")
    assert status == 1, findings
    expect(findings, "import.start", "bad", "import.denied")
    proxy.close()
    if objects(cloud):
        fail(f"the doctor left {objects(cloud)}")


def machine(site, folder):
    blocked = folder / "a-file"
    blocked.write_text("")
    status, findings = site.doctor(spool__directory=blocked)
    assert status == 1, findings
    expect(findings, "disk.spool", "bad", "make the folder")
    if (folder / "site").exists():
        fail("the doctor made folders")
    status, findings = site.doctor(spool__reserve_bytes=10**15, spool__resume_bytes=10**15)
    assert status == 1, findings
    expect(findings, "disk.spool", "bad", "spool.reserve_bytes")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, findings = site.doctor(dimse__address="127.0.0.1",
                                       dimse__port=taken.getsockname()[1])
    expect(findings, "port.dimse", "warn", "somebody listens")
    status, findings = site.doctor(dimse__address="192.0.2.1")
    assert status == 1, findings
    expect(findings, "port.dimse", "bad", "dimse.address")


class GoogleSite(Site):
    """The same towards Cloud Storage and the Healthcare API, with a service account's key."""

    def __init__(self, folder, cloud):
        self.url = f"http://127.0.0.1:{cloud.datastore_port}"
        self.key_file = folder / "key.json"
        self.key_file.write_text(cloud.command("datastore", "key", "add", "--url", self.url).stdout)
        SECRETS.extend(line for line in json.loads(self.key_file.read_text())["private_key"].splitlines()
                       if not line.startswith("-----"))
        self.settings = {
            "data_dir": str(folder / "site"), "dimse.port": "0", "http.port": "0",
            "datastore.port": "0", "destinations.cloud.kind": "google",
            "destinations.cloud.bucket": "google-staging", "destinations.cloud.dicom_store": STORE,
            "destinations.cloud.endpoint": self.url, "destinations.cloud.storage_endpoint": self.url,
            "destinations.cloud.credentials_file": str(self.key_file)}
        self.environment = {"HOME": str(folder)}
        self.make()

    def ask(self, path, body=None):
        request = urllib.request.Request(self.url + METADATA + "token",
                                         headers={"Metadata-Flavor": "Google"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            token = json.load(answer)["access_token"]
        SECRETS.append(token)
        request = urllib.request.Request(
            self.url + path, data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": "Bearer " + token})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def make(self):
        self.ask("/storage/v1/b?project=p1", {"name": "google-staging"})
        self.ask("/v1/projects/p1/locations/l1/datasets?datasetId=ds1", {})
        self.ask("/v1/projects/p1/locations/l1/datasets/ds1/dicomStores?dicomStoreId=st1", {})

    def objects(self):
        return [one["name"] for one in self.ask("/storage/v1/b/google-staging/o").get("items", [])]


def google_is_well(site):
    for more in ({}, {"destinations__cloud__object_prefix": "hospital/isthmus"}):
        status, findings = site.doctor("cloud", "--import", **more)
        if status != 0:
            fail(json.dumps(findings, indent=1))
        for check in ("dns", "tcp", "clock", "identity", "credentials", "bucket.list", "bucket.put",
                      "bucket.get", "bucket.delete", "store.search", "import.list", "import.start",
                      "import.end"):
            expect(findings, check, "ok")
        account = json.loads(site.key_file.read_text())["client_email"]
        expect(findings, "identity", "ok", "service_account " + account)
        if site.objects():
            fail(f"the doctor left {site.objects()}")
    status, findings = site.doctor(
        "cloud", destinations__cloud__credentials_file="",
        destinations__cloud__metadata_endpoint=site.url)
    assert status == 0, findings
    expect(findings, "identity", "ok", "metadata_server default@")
    # By STOW-RS there are no jobs to be tried.
    status, findings = site.doctor("cloud", "--import", destinations__cloud__import_path="stow")
    assert status == 0, findings
    expect(findings, "import.start", "skipped")


def google_credentials(site, folder):
    def bad(part, file):
        path = folder / "other.json"
        path.write_text(file if isinstance(file, str) else json.dumps(file))
        status, findings = site.doctor("cloud", destinations__cloud__credentials_file=path)
        assert status == 1, findings
        expect(findings, "credentials", "bad", part)
        return findings

    key = json.loads(site.key_file.read_text())
    bad("invalid_grant", dict(key, client_email="nobody@p1.iam.gserviceaccount.com"))
    bad("type must be", dict(key, type="nonsense"))
    expect(bad("JSON object", "not json"), "identity", "bad", "JSON object")
    status, findings = site.doctor("cloud", destinations__cloud__credentials_file=folder / "nowhere")
    assert status == 1, findings
    expect(findings, "identity", "bad", "cannot be read")


def google_refusals(site, cloud):
    status, findings = site.doctor("cloud", destinations__cloud__bucket="nowhere")
    assert status == 1, findings
    expect(findings, "bucket.list", "bad", "destinations.cloud.bucket")
    status, findings = site.doctor("cloud", destinations__cloud__dicom_store=STORE + "2")
    assert status == 1, findings
    expect(findings, "store.search", "bad", "destinations.cloud.dicom_store")

    denied = b'{"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "No."}}'
    for method, part, check, right in [
            ("POST", "/upload/", "bucket.put", "storage.objects.create"),
            ("GET", "alt=media", "bucket.get", "storage.objects.get"),
            ("DELETE", "/o/", "bucket.delete", "storage.objects.delete"),
            ("GET", "/dicomWeb/", "store.search", "dicomWebRead"),
            ("POST", ":import", "import.start", "healthcare.dicomStores.import")]:
        def guard(asked, path, _, method=method, part=part):
            return (403, denied) if asked == method and part in path else None

        proxy = Proxy(cloud.datastore_port, guard=guard)
        url = f"http://127.0.0.1:{proxy.port}"
        status, findings = site.doctor("cloud", "--import", destinations__cloud__endpoint=url,
                                       destinations__cloud__storage_endpoint=url)
        assert status == 1, (check, findings)
        expect(findings, check, "bad", right)
        proxy.close()


def run(folder):
    (folder / "cloud").mkdir()
    with Daemon(folder / "cloud", datastore__google_metadata_server="true") as cloud:
        store = cloud.imaging(imaging_models(folder)).create_datastore(
            datastoreName="cloud")["datastoreId"]
        cloud.s3().create_bucket(Bucket="staging")
        site = Site(pathlib.Path(folder), cloud, store)
        all_is_well(site, cloud)
        network(site, folder)
        clock(site)
        credentials(site)
        bucket(site, cloud)
        importing(site, cloud)
        machine(site, folder)
        all_is_well(site, cloud)
        google = GoogleSite(pathlib.Path(folder), cloud)
        google_is_well(google)
        google_credentials(google, pathlib.Path(folder))
        google_refusals(google, cloud)
    print("doctor: a healthy site, and every fault by its line")


in_temp_folder(run)
