"""kind=google over TCP: a gateway stages into and imports by another process, an Isthmus data store that
answers as Cloud Storage, the Healthcare API and Cloud Logging do. It signs in with a service account's
key, whose assertions are verified here by openssl."""

import base64
import http.server
import json
import os
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request

from harness import Daemon, dcmsend, fail, in_temp_folder, make_study, raw_send

STORE = "projects/p1/locations/l1/datasets/ds1/dicomStores/st1"
EMAIL = "gateway@p1.iam.gserviceaccount.com"
METADATA_TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"
for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST", "CLOUDSDK_CONFIG"):
    os.environ.pop(name, None)


def ask(url, body=None, method=None, headers=None, token=None):
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    if token:
        request.add_header("Authorization", "Bearer " + token)
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
        return json.loads(text) if text else None


class Cloud:
    """The other process, with a bucket and a DICOM store."""

    def __init__(self, daemon):
        self.url = f"http://127.0.0.1:{daemon.datastore_port}"
        self.post("/storage/v1/b?project=p1", {"name": "staging"})
        self.post("/v1/projects/p1/locations/l1/datasets?datasetId=ds1", {})
        self.post("/v1/projects/p1/locations/l1/datasets/ds1/dicomStores?dicomStoreId=st1", {})

    def token(self):
        return ask(self.url + METADATA_TOKEN, headers={"Metadata-Flavor": "Google"})["access_token"]

    def post(self, path, body):
        return ask(self.url + path, json.dumps(body).encode(), "POST",
                   {"Content-Type": "application/json"}, self.token())

    def instances(self):
        found = ask(f"{self.url}/v1/{STORE}/dicomWeb/instances",
                    headers={"Accept": "application/dicom+json"}, token=self.token())
        return len(found or [])

    def operations(self):
        listed = ask(f"{self.url}/v1/projects/p1/locations/l1/datasets/ds1/operations",
                     token=self.token())
        return [one for one in listed["operations"] if "Import" in one["metadata"]["apiMethodName"]]

    def keep_first(self, path):
        """As if somebody had stored it before us."""
        ask(f"{self.url}/v1/{STORE}/dicomWeb/studies", path.read_bytes(), "POST",
            {"Content-Type": "application/dicom", "Accept": "application/dicom+json"}, self.token())


class SignIn:
    """The token endpoint: openssl verifies who asks."""

    def __init__(self, folder, cloud):
        self.folder, self.cloud, self.given, self.refused = folder, cloud, 0, []
        self.key = folder / "key.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048",
                        "-out", self.key], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-out", folder / "public.pem"],
                       check=True)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status, answer = outer.answer(self.path, body)
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def key_file(self, email=EMAIL):
        path = self.folder / f"{email}.json"
        path.write_text(json.dumps({"type": "service_account", "project_id": "p1",
                                    "private_key_id": "k1", "private_key": self.key.read_text(),
                                    "client_email": email, "token_uri": self.url}))
        return path

    def answer(self, path, body):
        form = dict(urllib.parse.parse_qsl(body))
        why = self.refusal(path, form)
        if why:
            self.refused.append(why)
            return 400, {"error": "invalid_grant", "error_description": why}
        self.given += 1
        return 200, {"access_token": self.cloud.token(), "expires_in": 3599, "token_type": "Bearer"}

    def refusal(self, path, form):
        if path != "/token" or form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return "not a grant"
        raw = lambda text: base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        signed, signature = form["assertion"].rsplit(".", 1)
        claims = json.loads(raw(signed.split(".")[1]))
        (self.folder / "signature").write_bytes(raw(signature))
        verified = subprocess.run(
            ["openssl", "dgst", "-sha256", "-verify", self.folder / "public.pem", "-signature",
             self.folder / "signature"], input=signed.encode(), capture_output=True)
        if verified.returncode != 0:
            return "Invalid JWT Signature."
        if claims["aud"] != self.url or claims["iss"] != EMAIL:
            return "Invalid grant: account not found"
        if claims["exp"] - claims["iat"] != 3600 or abs(claims["iat"] - time.time()) > 60:
            return "Invalid JWT: not a short-lived token"
        if claims["scope"] != "https://www.googleapis.com/auth/cloud-platform":
            return "Invalid OAuth scope"
        return None


class Line:
    """TCP between gateway and cloud, which can be held after some bytes up."""

    def __init__(self, port):
        self.port, self.up, self.hold_after = port, 0, None
        self.held = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(("127.0.0.1", self.port))
            threading.Thread(target=self.pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(far, near, False), daemon=True).start()

    def pump(self, source, target, is_up):
        try:
            while data := source.recv(65536):
                if is_up:
                    self.up += len(data)
                    if self.hold_after and self.up > self.hold_after:
                        self.hold_after = None
                        self.held.set()
                        break
                target.sendall(data)
        except OSError:
            pass
        # What was held is dropped with its connection, once the gateway was killed.
        if is_up and self.held.is_set():
            try:
                while source.recv(65536):
                    pass
            except OSError:
                pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def settings(cloud, key_file, **more):
    url = more.pop("line", cloud.url)
    return dict({"kind": "google", "bucket": "staging", "dicom_store": STORE, "endpoint": cloud.url,
                 "storage_endpoint": url, "logging_endpoint": cloud.url,
                 "credentials_file": str(key_file)}, **more)


def gateway(folder, values):
    folder.mkdir(exist_ok=True)
    return Daemon(folder, **{f"destinations__main__{name}": value for name, value in values.items()})


def with_cloud(test):
    def run(folder):
        with Daemon(folder, datastore__google_metadata_server="true") as daemon:
            cloud = Cloud(daemon)
            test(folder, cloud, SignIn(folder, cloud))
    run.__name__ = test.__name__
    return run


@with_cloud
def from_store_to_reconciled(folder, cloud, sign_in):
    study = folder / "study"
    make_study(study, series=2, instances=4)
    with gateway(folder / "gateway", settings(cloud, sign_in.key_file(), verified_instances=8)) as daemon:
        dcmsend(daemon.dimse_port, study)
        daemon.wait_settled()
        if daemon.totals()["imported"] != 8 or cloud.instances() != 8:
            fail(f"not all is imported: {daemon.totals()} {daemon.log_tail()}")
        log = daemon.log_path.read_text()
    if "credentials.renewed source=service_account" not in log or sign_in.given != 1:
        fail(f"signed in {sign_in.given} times: {sign_in.refused} {log[-3000:]}")
    if "PRIVATE KEY" in log or "ya29" in log:
        fail("the log has a secret")
    if len(cloud.operations()) != log.count("how=started"):
        fail(f"{len(cloud.operations())} operations: {log[-3000:]}")


@with_cloud
def by_stow(folder, cloud, sign_in):
    good = make_study(folder / "study", series=1, instances=5)
    twin = folder / "twin.dcm"
    twin.write_bytes(good[0].read_bytes().replace(b"Synthetic", b"Somebody!"))
    cloud.keep_first(twin)
    cloud.keep_first(good[1])  # its own bytes: from a try whose answer was lost
    with gateway(folder / "gateway", settings(cloud, sign_in.key_file(), import_path="stow")) as daemon:
        raw_send(daemon.dimse_port, folder / "study", check=True)
        asks = daemon.wait_settled()["asks_for_person"]
        if daemon.totals()["imported"] != 4 or [one["reason_code"] for one in asks] != ["import.duplicate"]:
            fail(f"{daemon.totals()} {asks} {daemon.log_tail()}")
    if cloud.operations():
        fail("an import was started")


@with_cloud
def wrong_account(folder, cloud, sign_in):
    """Nothing is lost and nothing is silent: intake goes on, the study waits, the log says why."""
    make_study(folder / "study", series=1, instances=2)
    with gateway(folder / "gateway", settings(cloud, sign_in.key_file("nobody@p1"))) as daemon:
        dcmsend(daemon.dimse_port, folder / "study")
        deadline = time.monotonic() + 60
        while "account not found" not in daemon.log_path.read_text():
            if not daemon.alive() or time.monotonic() > deadline:
                fail("the log does not say why: " + daemon.log_tail())
            time.sleep(0.05)
        totals = daemon.totals()
        if totals["received"] != 2 or totals["imported"] != 0:
            fail(f"{totals}")


@with_cloud
def refused_and_there_before(folder, cloud, sign_in):
    """A batch of which one file is refused, and one is there already with other bytes."""
    good = make_study(folder / "study", series=1, instances=3)
    make_study(folder / "odd", series=1, instances=1, seed=9,
               extra=("--transfer-syntax", "1.2.840.10008.1.2.4.9999"))
    twin = folder / "twin.dcm"
    twin.write_bytes(good[0].read_bytes().replace(b"Synthetic", b"Somebody!"))
    if twin.read_bytes() == good[0].read_bytes():
        fail("the twin has the same bytes")
    cloud.keep_first(twin)
    with gateway(folder / "gateway", settings(cloud, sign_in.key_file(), verified_instances=100)) as daemon:
        raw_send(daemon.dimse_port, folder / "study", check=True)
        raw_send(daemon.dimse_port, folder / "odd", check=True)
        asks = daemon.wait_settled()["asks_for_person"]
        totals = daemon.totals()
        reasons = sorted(f"{one['state']} {one['reason_code']}" for one in asks)
        if totals["imported"] != 2 or len(asks) != 2 or "rejected import.duplicate" not in reasons:
            fail(f"{totals} {asks} {daemon.log_tail()}")
        if not any("import.rpc_" in one for one in reasons):
            fail(f"the log's reason is missing: {asks}")


@with_cloud
def killed_in_mid_upload(folder, cloud, sign_in):
    make_study(folder / "study", series=1, instances=1, extra=("--big-mb", "40"))
    line = Line(int(cloud.url.rsplit(":", 1)[1]))
    line.hold_after = 20_000_000
    daemon = gateway(folder / "gateway", settings(cloud, sign_in.key_file(), line=line.url)).start()
    try:
        raw_send(daemon.dimse_port, folder / "study", check=True)
        if not line.held.wait(60):
            fail("nothing was uploaded: " + daemon.log_tail())
        daemon.kill()
        before = line.up
        daemon.start()
        daemon.wait_settled()
        if daemon.totals()["imported"] != 1 or cloud.instances() != 1:
            fail(f"{daemon.totals()} {daemon.log_tail()}")
        log = daemon.log_path.read_text()
        if "store.upload_resumed" not in log:
            fail("the upload started over: " + daemon.log_tail())
        again = line.up - before
        if again > 32_000_000:
            fail(f"{again} bytes went up after the restart")
        print(f"killed after {before} bytes, {again} more went up")
    finally:
        daemon.kill()


for test in (from_store_to_reconciled, by_stow, wrong_account, refused_and_there_before, killed_in_mid_upload):
    in_temp_folder(test)
    print("passed:", test.__name__, flush=True)
