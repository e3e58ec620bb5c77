"""The Google faces under Google's own clients: signed in by the metadata server stand-in, by a token
that a service-account key was changed for, and by tokens that a key signed itself."""

import importlib.util
import json
import os
import subprocess
import sys
import time
import urllib.request

from harness import ROOT, SKIP, Daemon, fail, in_temp_folder, make_study

CLIENTS = ROOT / "build/clients"


def run_script(daemon, script, **environment):
    address = f"127.0.0.1:{daemon.datastore_port}"
    if "GOOGLE_APPLICATION_CREDENTIALS" not in environment:
        environment["GCE_METADATA_HOST"] = address
    program = "node" if script.endswith(".mjs") else "/usr/bin/python3"
    done = subprocess.run(
        [program, str(ROOT / "tests/e2e/clients" / script)], capture_output=True, text=True, timeout=180,
        env=dict(os.environ, ENDPOINT=f"http://{address}", CLIENTS=str(CLIENTS), **environment))
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


def key_file(daemon, folder, *more):
    file = folder / "key.json"
    file.write_text(daemon.command("datastore", "key", "add", "--url",
                                   f"http://127.0.0.1:{daemon.datastore_port}", *more).stdout)
    return file


def refused(daemon, script, **environment):
    try:
        run_script(daemon, script, **environment)
    except AssertionError:
        return
    fail(f"{script} was let in with {environment}")


def service_account_grant(folder):
    if importlib.util.find_spec("google") is None:
        print("not tried: python3-google-auth is not installed (./dev setup)")
        return
    with Daemon(folder) as daemon:
        file = key_file(daemon, folder)
        run_script(daemon, "google_auth.py", GOOGLE_APPLICATION_CREDENTIALS=str(file))
        identifier = json.loads(file.read_text())["private_key_id"]
        listed = daemon.command("datastore", "key", "list").stdout.split()
        if listed != [identifier]:
            fail(f"{listed} instead of {identifier}")
        daemon.command("datastore", "key", "remove", identifier)
        time.sleep(6)  # what a daemon goes on with at most: auth keys of a file
        refused(daemon, "google_auth.py", GOOGLE_APPLICATION_CREDENTIALS=str(file))


def service_account_of_another_universe(folder):
    """Node's library asks googleapis.com whatever the key says, unless the key is of another universe."""
    universe = "isthmus.example"
    make_study(folder / "study", series=2, instances=3)
    with Daemon(folder) as daemon:
        file = key_file(daemon, folder, "--universe", universe)
        key = dict(GOOGLE_APPLICATION_CREDENTIALS=str(file), GOOGLE_CLOUD_UNIVERSE_DOMAIN=universe)
        run_script(daemon, "gcs_test.mjs", **key)
        run_script(daemon, "healthcare_test.mjs", FILES=str(folder / "study"), **key)


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


for test in (cloud_storage, healthcare, service_account_grant, service_account_of_another_universe, nobody_without_a_token):
    in_temp_folder(test)
    print("passed:", test.__name__, flush=True)
