"""A web viewer nobody here wrote (OHIF, from npm) opens studies from the data store over DICOMweb, in
headless Chromium. Screenshots are kept in build/viewer/shots."""

import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request

from harness import ROOT, SKIP, Daemon, fail, imaging_models, in_temp_folder, raw_send, shared

VIEWER = ROOT / "build/viewer"
SHOTS = VIEWER / "shots"
FORWARDED = ("Accept", "Content-Type")


class Site(http.server.SimpleHTTPRequestHandler):
    """The viewer's files, and the data store under /dicomweb, signed as a site's proxy would."""

    sign = None  # request URL and headers → what is sent

    def __init__(self, *args):
        super().__init__(*args, directory=str(VIEWER / "package/dist"))

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path.startswith("/dicomweb/"):
            return self.forward(self.path.removeprefix("/dicomweb"))
        path = self.path.split("?")[0]
        if path == "/app-config.js":
            return self.give((ROOT / "tests/e2e/viewer/app-config.js").read_bytes(),
                             "text/javascript")
        if not pathlib.Path(self.translate_path(path)).is_file():
            self.path = "/index.html"  # the viewer's own paths
        return super().do_GET()

    def forward(self, path):
        headers = {name: self.headers[name] for name in FORWARDED if self.headers[name]}
        request = type(self).sign(path, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                self.give(answer.read(), answer.headers["Content-Type"], answer.status)
        except urllib.error.HTTPError as refused:
            self.give(refused.read(), refused.headers["Content-Type"] or "text/plain", refused.code)

    def give(self, body, kind, status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def signer(daemon, store):
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    key = daemon.access_key()
    credentials = Credentials(key["access_key_id"], key["secret_access_key"])

    def sign(path, headers):
        url = f"http://127.0.0.1:{daemon.datastore_port}/datastore/{store}{path}"
        request = AWSRequest("GET", url, headers=headers)
        SigV4Auth(credentials, "medical-imaging", "us-east-1").add_auth(request)
        return urllib.request.Request(url, headers=dict(request.headers.items()))

    return sign


def study_of(path):
    done = subprocess.run(["dcmdump", "-q", "-Un", "+P", "0020,000d", str(path)], check=True,
                          capture_output=True, text=True)
    return done.stdout.split("[")[1].split("]")[0]


def check_description(path, photometric):
    """Metadata describe the frames as they are given: by pixel, with three samples."""
    with urllib.request.urlopen(Site.sign(f"/studies/{study_of(path)}/metadata", {})) as answer:
        (instance,) = json.loads(answer.read())
    if instance["00280004"]["Value"] != [photometric] or instance["00280006"]["Value"] != [0]:
        fail(f"{path.name}: {instance['00280004']} {instance['00280006']}")


def viewer(folder):
    if not (VIEWER / "package/dist/index.html").exists() or not shutil.which("chromium"):
        print("skipped: the viewer and chromium are not installed (./dev test --all installs them)")
        sys.exit(SKIP)
    shutil.rmtree(SHOTS, ignore_errors=True)
    SHOTS.mkdir(parents=True)
    dicom = shared() / "dicom"
    ct = sorted((dicom / "studies/ct-gantrytilt").glob("*.dcm"))
    us = dicom / "modality/US-YBR_FULL_422-EVRLE.dcm"
    planar = dicom / "modality/color-pl.dcm"
    with Daemon(folder) as daemon:
        raw_send(daemon.dimse_port, *ct, us, planar, check=True)
        daemon.wait_settled()
        if daemon.totals()["imported"] != len(ct) + 2:
            fail(f"not all is imported: {daemon.totals()}")
        stores = daemon.imaging(imaging_models(folder)).list_datastores()["datastoreSummaries"]
        Site.sign = staticmethod(signer(daemon, stores[0]["datastoreId"]))
        check_description(us, "YBR_FULL")
        check_description(planar, "RGB")
        site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
        threading.Thread(target=site.serve_forever, daemon=True).start()
        studies = [  # what the list says, what the viewport says, how many colours it shows
            {"uid": study_of(ct[0]), "listed": "CT", "shot": "ct", "images": "1/4", "colours": 50},
            # Its background is black: as red, green and blue its YCbCr would be green.
            {"uid": study_of(us), "listed": "US", "shot": "ultrasound", "images": "US",
             "colours": 50, "dark": True},
        ]
        done = subprocess.run(
            ["node", str(ROOT / "tests/e2e/viewer/viewer_test.mjs")], capture_output=True,
            text=True, timeout=600, env=dict(
                os.environ, URL=f"http://127.0.0.1:{site.server_port}/", SHOTS=str(SHOTS),
                CHROMIUM=shutil.which("chromium"), MODULES=str(VIEWER),
                STUDIES=json.dumps(studies)))
        site.shutdown()
        print(done.stdout.strip())
        if done.returncode != 0:
            fail(done.stderr[-3000:] + daemon.log_tail(5))


in_temp_folder(viewer)
