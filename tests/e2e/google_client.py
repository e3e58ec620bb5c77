"""The few calls of Google's APIs that tests make of the data store, with nothing but http.client."""

import http.client
import json
import time

from harness import fail

DATASET = "projects/p1/locations/l1/datasets/ds1"
STORE = f"{DATASET}/dicomStores/st1"


class Google:
    """The calls that are needed, with a token of the metadata server that stands in."""

    def __init__(self, daemon):
        self.port = daemon.datastore_port
        answer = self.send("GET", "/computeMetadata/v1/instance/service-accounts/default/token",
                           headers={"Metadata-Flavor": "Google"})[1]
        self.token = json.loads(answer)["access_token"]

    def send(self, method, target, body=b"", headers=None):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            link.request(method, target, body, headers or {})
            answer = link.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            link.close()

    def call(self, method, target, body=b"", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send(method, target, body, dict(headers, Authorization=f"Bearer {self.token}"))

    def json(self, method, target, body=b""):
        status, text, _ = self.call(method, target, body)
        if status != 200:
            fail(f"{method} {target}: {status} {text[:300]}")
        return json.loads(text)

    def instances(self):
        return int(self.json("GET", f"/v1/{STORE}:getDICOMStoreMetrics")["instanceCount"])

    def operations(self):
        return self.json("GET", f"/v1/{DATASET}/operations").get("operations", [])

    def wait_for_imports(self):
        deadline = time.monotonic() + 60
        while True:
            imports = [one for one in self.operations() if "Import" in one["metadata"]["apiMethodName"]]
            if imports and all(one.get("done") for one in imports):
                return imports
            if time.monotonic() > deadline:
                fail(f"the import does not go on: {imports}")
            time.sleep(0.05)
