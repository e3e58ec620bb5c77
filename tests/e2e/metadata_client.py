"""The gateway's metadata routes and, to read back what they did, the stock AWS SDK for JavaScript."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

from harness import ROOT, SKIP

CLIENTS = ROOT / "build/clients"
LIVE = ("pending", "applying")


def need_clients():
    if not (CLIENTS / "node_modules/@aws-sdk/client-medical-imaging").exists():
        print("skipped: the npm clients are not installed (./dev setup)")
        sys.exit(SKIP)


def call(daemon, method, path, body=None):
    """Status and JSON body of one call."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{daemon.http_port}{path}", data=data, method=method,
                                     headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text else None


def order(daemon, method, path, body=None):
    """An order that is accepted: its resource."""
    status, resource = call(daemon, method, path, body)
    assert status == 202, (status, resource)
    return resource


def wait_for(daemon, identity, states, timeout=60):
    """The resource, once it is in one of these states."""
    deadline = time.monotonic() + timeout
    while True:
        status, resource = call(daemon, "GET", f"/v1/metadata-updates/{identity}")
        assert status == 200, (status, resource)
        if resource["state"] in states:
            return resource
        assert time.monotonic() < deadline, f"{resource}\n{daemon.log_tail()}"
        time.sleep(0.05)


def ended(daemon, resource, state="applied", timeout=60):
    """Waits until it goes on no more, and checks how it ended."""
    resource = wait_for(daemon, resource["id"], ("applied", "conflict", "failed", "reverted"), timeout)
    assert resource["state"] == state, f"{json.dumps(resource, indent=1)}\n{daemon.log_tail()}"
    return resource


class Reader:
    """The SDK client, in a process of its own."""

    def __init__(self, daemon):
        key = daemon.access_key()
        self.process = subprocess.Popen(
            ["node", str(ROOT / "tests/e2e/clients/read_image_sets.mjs")], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1, env=dict(
                os.environ, ENDPOINT=f"http://127.0.0.1:{daemon.datastore_port}",
                KEY_ID=key["access_key_id"], SECRET=key["secret_access_key"], CLIENTS=str(CLIENTS)))

    def ask(self, order_name, **arguments):
        self.process.stdin.write(json.dumps({"order": order_name, **arguments}) + "\n")
        answer = json.loads(self.process.stdout.readline())
        assert "answer" in answer, answer
        return answer["answer"]

    def document(self, image_set, version=None):
        return self.ask("read", imageSetId=image_set, **({"versionId": version} if version else {}))

    def patient(self, image_set):
        return self.document(image_set)["Patient"]["DICOM"]

    def series(self, image_set):
        [(uid, series)] = self.document(image_set)["Study"]["Series"].items()
        return uid, series

    def change(self, image_set, document):
        return self.ask("change", imageSetId=image_set, document=dict(document, SchemaVersion=1.1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
