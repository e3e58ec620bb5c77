"""The Google faces under Google's own clients for Node, signed in by the metadata server stand-in."""

import os
import subprocess
import sys
import urllib.request

from harness import ROOT, SKIP, Daemon, fail, in_temp_folder, make_study

CLIENTS = ROOT / "build/clients"


def run_script(daemon, script, **environment):
    address = f"127.0.0.1:{daemon.datastore_port}"
    done = subprocess.run(
        ["node", str(ROOT / "tests/e2e/clients" / script)], capture_output=True, text=True, timeout=180,
        env=dict(os.environ, ENDPOINT=f"http://{address}", CLIENTS=str(CLIENTS),
                 GCE_METADATA_HOST=address, **environment))
    print(done.stdout.strip())
    if done.returncode != 0:
        fail(script + ": " + done.stderr[-4000:] + daemon.log_tail(10))


def cloud_storage(folder):
    if not (CLIENTS / "node_modules/@google-cloud/storage").exists():
        print("skipped: the npm clients are not installed (./dev setup)")
        sys.exit(SKIP)
    with Daemon(folder, datastore__google_metadata_server="true") as daemon:
        run_script(daemon, "gcs_test.mjs")


def healthcare(folder):
    make_study(folder / "study", series=2, instances=3)
    with Daemon(folder, datastore__google_metadata_server="true") as daemon:
        run_script(daemon, "healthcare_test.mjs", FILES=str(folder / "study"))


def nobody_without_a_token(folder):
    with Daemon(folder) as daemon:
        for path in ("/storage/v1/b", "/computeMetadata/v1/instance/service-accounts/default/token"):
            request = urllib.request.Request(f"http://127.0.0.1:{daemon.datastore_port}{path}",
                                             headers={"Metadata-Flavor": "Google"} if "meta" in path else {})
            try:
                urllib.request.urlopen(request, timeout=30)
            except urllib.error.HTTPError as error:
                if error.code not in (401, 404):
                    fail(f"{path}: {error.code}")
                continue
            fail(f"{path} was answered")


for test in (cloud_storage, healthcare, nobody_without_a_token):
    in_temp_folder(test)
    print("passed:", test.__name__, flush=True)
