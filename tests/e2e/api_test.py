"""The gateway's own API: held against openapi.yaml, by everybody who may call and everybody who may not."""

import base64
import csv
import http.server
import io
import json
import pathlib
import re
import shutil
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

import yaml

from harness import BIN, Daemon, dcmsend, in_temp_folder, make_study
from pki import Authority, openssl

DESCRIPTION = yaml.safe_load(
    (pathlib.Path(__file__).parents[2] / "bridge/api/openapi.yaml").read_text())
SCOPES = ["store", "read", "read-phi", "operate", "update", "admin"]
OPEN = {"/healthz", "/readyz"}


def call(daemon, method, path, token=None, body=None, headers=None):
    """Status, headers and body of the answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{daemon.http_port}{path}", method=method,
                                     data=body.encode() if body is not None else None)
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers, answer.read().decode()


def control_token(daemon):
    return (daemon.folder / "data" / "control.token").read_text()


# --- JSON Schema, as much of it as the description uses ---------------------------------------------
KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def is_kind(value, kind):
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, KINDS[kind])


def resolved(schema):
    while "$ref" in schema:
        found = DESCRIPTION
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        schema = found
    return schema


def faults(value, schema, at="$"):
    schema = resolved(schema)
    unknown = set(schema) - {"type", "enum", "pattern", "format", "required", "properties", "oneOf",
                             "additionalProperties", "items", "description", "minimum", "minItems"}
    assert not unknown, f"the test knows no {unknown}"
    found = []
    if "oneOf" in schema:
        if sum(not faults(value, one) for one in schema["oneOf"]) != 1:
            found.append(f"{at}: not one of oneOf")
        return found
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(is_kind(value, kind) for kind in kinds):
        return [f"{at}: {value!r} is no {kinds}"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: {value!r} is none of {schema['enum']}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{at}: {value!r} is not {schema['pattern']}")
    if schema.get("format") == "date-time" and not re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value):
        found.append(f"{at}: {value!r} is no date")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += [f"{at}: {name} is missing" for name in schema.get("required", [])
                  if name not in value]
        for name, item in value.items():
            if name in properties:
                found += faults(item, properties[name], f"{at}.{name}")
            elif schema.get("additionalProperties") is False:
                found.append(f"{at}: {name} is not described")
    if isinstance(value, list) and "items" in schema:
        for place, item in enumerate(value):
            found += faults(item, schema["items"], f"{at}[{place}]")
    return found


def described(method, template, status, headers, text):
    """The answer is one that the description has for that route."""
    responses = DESCRIPTION["paths"][template][method.lower()]["responses"]
    response = resolved(responses.get(str(status), responses.get("default")))
    kind = headers["Content-Type"].split(";")[0]
    assert kind in response["content"], f"{method} {template} answered {status} as {kind}"
    if kind.endswith("json"):
        wrong = faults(json.loads(text), response["content"][kind]["schema"])
        assert not wrong, f"{method} {template} {status}: {wrong}"


def ask(daemon, template, query="", method="GET", expected=200, token=None, **names):
    path = template
    for name, value in names.items():
        path = path.replace("{" + name + "}", value)
    status, headers, text = call(daemon, method, path + query, token,
                                 "{}" if method == "POST" else None)
    assert status == expected, f"{method} {path}{query} gave {status}: {text}"
    described(method, template, status, headers, text)
    return json.loads(text) if "json" in headers["Content-Type"] else text


def routes_of(daemon, token=None):
    table = ask(daemon, "/v1/routes", token=token)["items"]
    return {(route["method"], route["path"]): route["scope"] for route in table}


# --- the tests --------------------------------------------------------------------------------------
def the_description_has_the_routes_that_there_are(folder):
    with Daemon(folder) as daemon:
        there = routes_of(daemon)
    said = {(method.upper(), path): operation["x-scope"]
            for path, item in DESCRIPTION["paths"].items() for method, operation in item.items()}
    assert there == said, f"only there: {there.items() - said.items()}; " \
                          f"only described: {said.items() - there.items()}"
    for path, item in DESCRIPTION["paths"].items():
        for operation in item.values():
            named = {resolved(one)["name"] for one in operation.get("parameters", [])
                     if resolved(one)["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path)), path


def filled(path):
    return re.sub(r"{\w+\+?}", "1.2.3", path)


def nobody_is_answered_without_permission(folder):
    with Daemon(folder, api__authentication="required", api__failures_per_minute=0) as daemon:
        master = control_token(daemon)
        routes = routes_of(daemon, master)
        tokens = {}
        for scope in SCOPES:
            status, _, text = call(daemon, "POST", "/v1/tokens", master,
                                   json.dumps({"name": scope, "scopes": [scope]}))
            assert status == 201, text
            tokens[scope] = json.loads(text)["token"]
        checked = 0
        for (method, path), needs in routes.items():
            body = "{}" if method == "POST" else None
            for token in [None, "wrong", tokens["read"][:-1] + "x"]:
                status, headers, _ = call(daemon, method, filled(path), token, body)
                assert (status != 401) == (path in OPEN), f"{method} {path} {token}: {status}"
                assert headers["X-Content-Type-Options"] == "nosniff", path
            for scope, token in tokens.items():
                if needs is None:
                    continue
                status, _, text = call(daemon, method, filled(path), token, body)
                may = scope == needs or (scope, needs) == ("read-phi", "read")
                assert (status == 403) != may, f"{method} {path} by {scope}: {status} {text}"
                assert status != 401, f"{method} {path} by {scope}: {status}"
                checked += 1
        # What is a patient's takes read-phi even to ask for; the hash of it does not.
        for path in ["/v1/studies", "/v1/instances"]:
            for query, least in [("patient_id=P", "read-phi"), ("accession_number=A", "read-phi"),
                                 (f"accession_hash={'0' * 64}", "read")]:
                for scope in ["read", "read-phi"]:
                    status, _, text = call(daemon, "GET", f"{path}?{query}", tokens[scope])
                    assert status == (200 if scope in (least, "read-phi") else 403), (path, query, scope, text)
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]:
            for path in ["/", "/v1", "/nothing", "/v1/studies/../../healthz", "/healthz/", "//healthz",
                         "/%68ealthz", "/v1/studies/1/2/3"]:
                status, _, text = call(daemon, method, path)
                assert status == 401, f"{method} {path} gave {status}: {text}"
        print(f"  {len(routes)} routes, {checked} pairs of route and scope")


def tokens_end_when_they_are_revoked(folder):
    settings = {"api__authentication": "required"}
    offline = Daemon(folder, **settings)
    with Daemon(folder, **settings):
        pass  # makes the ledger
    made = json.loads(offline.command("token", "add", "desk", "--scope", "read", "--json").stdout)
    with Daemon(folder, **settings) as daemon:
        daemon.settings["http.port"] = str(daemon.http_port)
        assert call(daemon, "GET", "/v1/studies", made["token"])[0] == 200
        bench = daemon.command("token", "add", "bench", "--scope", "read", "--scope", "operate",
                               "--expires-in-days", "1").stdout.strip()
        assert call(daemon, "GET", "/v1/studies", bench)[0] == 200
        assert "desk" in daemon.command("token", "list").stdout
        assert bench not in daemon.command("token", "list", "--json").stdout
        daemon.command("token", "revoke", "desk")
        assert call(daemon, "GET", "/v1/studies", made["token"])[0] == 401
        assert call(daemon, "GET", "/v1/studies", bench)[0] == 200
        assert daemon.command("token", "revoke", "desk", check=False).returncode == 1
        log = ask(daemon, "/v1/audit", token=control_token(daemon))["items"]
        actions = [(entry["action"], entry["status"]) for entry in reversed(log)]
        assert ("isthmus token add", 0) in actions and ("isthmus token add", 200) in actions, actions
        assert ("POST /v1/tokens", 201) in actions, actions
        assert ("POST /v1/tokens/{id}/revoke", 404) in actions, actions
        text = daemon.log_path.read_text()
        assert bench not in text and made["token"] not in text, "a token is in the log"
        for path in (folder / "data").rglob("*"):
            if path.is_file() and bench.encode() in path.read_bytes():
                raise AssertionError(f"a token lies in {path}")


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Provider:
    """An identity provider: an RSA key, its JWK set, and tokens as asked for."""

    def __init__(self, folder, kid="k1"):
        self.kid = kid
        self.key = folder / f"idp-{kid}.key"
        openssl("genrsa", "-out", self.key, "2048")
        modulus = openssl("rsa", "-in", self.key, "-noout", "-modulus").stdout.strip().split("=")[1]
        self.keys = folder / "jwks.json"
        self.keys.write_text(json.dumps({"keys": [
            {"kty": "RSA", "kid": kid, "use": "sig", "n": b64(bytes.fromhex(modulus)), "e": "AQAB"}]}))

    def token(self, alg="RS256", **claims):
        claims = {"iss": "https://id.example", "aud": "isthmus", "sub": "u1", "scope": "read",
                  "exp": int(time.time()) + 600} | claims
        text = b64(json.dumps({"alg": alg, "kid": self.kid}).encode()) + "." + \
            b64(json.dumps({k: v for k, v in claims.items() if v is not None}).encode())
        if alg == "none":
            return text + "."
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(self.key)],
                                   input=text.encode(), capture_output=True, check=True).stdout
        return text + "." + b64(signature)


def jwts_are_held_to_their_rules(folder):
    provider = Provider(folder)
    settings = {"api__authentication": "required", "api__oidc__issuer": "https://id.example",
                "api__oidc__audience": "isthmus", "api__oidc__keys": provider.keys,
                "api__oidc__clock_skew_s": 5}
    now = int(time.time())
    with Daemon(folder, **settings) as daemon:
        for expected, token in {
            200: provider.token(), 403: provider.token(scope="operate openid"),
        }.items():
            assert call(daemon, "GET", "/v1/studies", token)[0] == expected
        bad = {"none": provider.token("none"), "alg": provider.token("HS256"),
               "audience": provider.token(aud="other"), "issuer": provider.token(iss="https://evil"),
               "expired": provider.token(exp=now - 60), "not yet": provider.token(nbf=now + 600),
               "no exp": provider.token(exp=None), "no aud": provider.token(aud=None)}
        for what, token in bad.items():
            status, _, text = call(daemon, "GET", "/v1/studies", token)
            assert status == 401, f"{what}: {status}"
            code = json.loads(text)["code"]
            assert code == ("api.expired" if what == "expired" else "api.unauthorized"), (what, code)
        good = provider.token()
        forged = good[:-8] + ("AAAAAAAA" if good[-8:] != "AAAAAAAA" else "BBBBBBBB")
        assert call(daemon, "GET", "/v1/studies", forged)[0] == 401
    with Daemon(folder, api__oidc__once="true", **settings) as daemon:
        once = provider.token(jti="1")
        assert call(daemon, "GET", "/v1/studies", once)[0] == 200
        assert call(daemon, "GET", "/v1/studies", once)[0] == 401, "replayed"
        assert call(daemon, "GET", "/v1/studies", provider.token())[0] == 401, "no jti"


class KeyServer:
    """Gives a JWK set over HTTPS, and counts how often it is asked."""

    def __init__(self, folder, pair):
        self.asked, self.keys = 0, folder / "jwks.json"
        server = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked += 1
                body = server.keys.read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_address[1]}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def keys_of_a_provider_are_fetched_rotated_and_outlive_it(folder):
    authority = Authority(folder / "pki")
    server = KeyServer(folder, authority.issue("idp"))
    # The last one made is what the server gives; tokens beforehand, for what counts is time.
    unknown, new = Provider(folder, "k3").token(), Provider(folder, "k2").token()
    rotated = server.keys.read_text()
    old = Provider(folder, "k1").token()
    settings = {"api__authentication": "required", "api__failures_per_minute": 0,
                "api__oidc__issuer": "https://id.example", "api__oidc__audience": "isthmus",
                "api__oidc__keys": server.url, "api__oidc__ca": authority.certificate}
    with Daemon(folder, **settings) as daemon:
        def status(token):
            return call(daemon, "GET", "/v1/studies", token)[0]

        assert status(old) == 200 and server.asked == 1, server.asked
        assert status(old) == 200 and server.asked == 1, "the keys are kept"
        server.keys.write_text(rotated)
        refused = [status(new) for _ in range(5)]
        assert refused == [401] * 5 and server.asked == 1, "an unknown key is looked for too often"
        deadline = time.monotonic() + 60
        while status(new) != 200:
            assert time.monotonic() < deadline, "the new key never came"
            time.sleep(0.5)
        assert server.asked == 2, server.asked
        assert status(old) == 401, "a key that was taken back"
        server.stop()
        assert status(new) == 200, "the provider is down, its keys are known"
        assert status(unknown) == 401
    with Daemon(folder, **settings) as daemon:
        answer = call(daemon, "GET", "/v1/studies", new)
        assert answer[0] in (401, 503), answer
        assert call(daemon, "GET", "/healthz")[0] == 200


def other_hosts_are_not_let_in_by_mistake(folder):
    for settings, missing in [({}, "callers are not asked"),
                              ({"api.authentication": "required"}, "there is no TLS")]:
        words = [f"--set={name}={value}" for name, value in
                 (Daemon.FAST | {"data_dir": folder / "data", "http.address": "0.0.0.0"} | settings).items()]
        done = subprocess.run([str(BIN / "isthmus"), "serve", *words], capture_output=True, text=True,
                              timeout=60)
        assert done.returncode == 2 and missing in done.stderr, done
    with Daemon(folder) as daemon:
        for headers in [{"Host": "rebound.example"}, {"Origin": "https://evil.example"}]:
            assert call(daemon, "GET", "/v1/studies", headers=headers)[0] == 421, headers


def callers_of_other_hosts_talk_tls(folder):
    authority = Authority(folder / "pki")
    own = authority.issue("gate")
    settings = {"http__address": "0.0.0.0", "api__authentication": "required", "http__tls__enabled": "true",
                "http__tls__certificate": own.certificate, "http__tls__key": own.key,
                "http__tls__check_interval_s": 0.2}
    with Daemon(folder, **settings) as daemon:
        token = daemon.command("token", "add", "desk", "--scope", "read").stdout.strip()
        curl = ["curl", "-s", "--cacert", str(authority.certificate), "-o", "/dev/null", "-w",
                "%{http_code} %{ssl_verify_result}"]
        url = f"https://localhost:{daemon.http_port}/v1/studies"

        def curled(*words):
            return subprocess.run([*curl, *words], capture_output=True, text=True, timeout=30).stdout

        assert curled(url) == "401 0"
        assert curled(url, "-H", f"Authorization: Bearer {token}") == "200 0"
        assert curled(f"http://127.0.0.1:{daemon.http_port}/healthz").startswith("000")
        headers = subprocess.run(["curl", "-sI", "--cacert", str(authority.certificate), url],
                                 capture_output=True, text=True, timeout=30).stdout.lower()
        assert "strict-transport-security" in headers, headers
        assert "certificate http: until" in daemon.command("status").stdout
        other = Authority(folder / "other").issue("gate")
        shutil.copy(other.key, own.key)
        shutil.copy(other.certificate, own.certificate)
        deadline = time.monotonic() + 20
        while curled(url).startswith("401"):
            assert time.monotonic() < deadline, "the old certificate is still shown"
            time.sleep(0.05)


def accession_number_of(path):
    data = path.read_bytes()
    at = data.index(b"\x08\x00\x50\x00SH")
    return data[at + 8:at + 8 + data[at + 6]].decode().strip()


def a_study_is_followed_by_the_api(folder):
    make_study(folder / "study", series=2, instances=3)
    with Daemon(folder, batch__quiet_s=2) as daemon:  # one batch, however slow the sender is
        begin = ask(daemon, "/v1/events")
        at = re.search(r"^id: (\d+)$", begin, re.M).group(1)
        dcmsend(daemon.dimse_port, folder / "study", "-aet", "CT_ONE")
        daemon.wait_settled()

        [study] = ask(daemon, "/v1/studies")["items"]
        uid = study["study_instance_uid"]
        assert study["instances"] == 6 and study["series"] == 2, study
        assert study["destinations"][0]["imported"] == 6, study
        assert study["last_sender"] == "CT_ONE"
        assert len(ask(daemon, "/v1/studies/{study}", study=uid)["series_list"]) == 2

        seen, query = [], "?limit=4"
        while query:
            page = ask(daemon, "/v1/instances", query)
            seen += [one["sop_instance_uid"] for one in page["items"]]
            query = f"?limit=4&cursor={page['next']}" if "next" in page else None
        assert len(seen) == 6 == len(set(seen)), seen
        one = ask(daemon, "/v1/instances/{id}", id=seen[0])
        assert one["deliveries"][0]["state"] == "imported", one
        assert ask(daemon, "/v1/instances/{id}", id=one["id"]) == one
        for query, count in [("?sender=CT_ONE", 6), ("?sender=MR", 0), ("?state=imported", 6),
                             ("?state=waiting", 0), (f"?series={one['series_instance_uid']}", 3),
                             (f"?sop={seen[0]}", 1), ("?until=2020-01-01T00:00:00.000Z", 0),
                             ("?since=2020-01-01T00:00:00.000Z", 6), ("?destination=main", 6),
                             ("?patient_id=nobody", 0)]:
            assert len(ask(daemon, "/v1/instances", query)["items"]) == count, query
        # By accession number: the value is the patient's and audited, its hash under the gateway's key is not.
        hash_of = one["accession_hash"]
        assert study["accession_hashes"] == [hash_of] and len(hash_of) == 64, study
        number = accession_number_of(next((folder / "study").rglob("*.dcm")))
        for query, count in [(f"?accession_number={number}", 6), (f"?accession_hash={hash_of}", 6),
                             (f"?accession_number={number}&accession_hash={hash_of}", 6),
                             (f"?accession_number={number}X", 0), (f"?accession_hash={'0' * 64}", 0),
                             (f"?accession_hash={hash_of}&state=waiting", 0)]:
            assert len(ask(daemon, "/v1/instances", query)["items"]) == count, query
            assert len(ask(daemon, "/v1/studies", query)["items"]) == min(count, 1), query
        assert ask(daemon, "/v1/instances", "?accession_hash=A1", expected=400)["code"] == "api.bad_query"
        for query in ["?state=odd", "?cursor=x", "?limit=0", "?limit=501", "?nothing=1", "?study=a",
                      "?since=yesterday", "?limit=1&limit=2"]:
            assert ask(daemon, "/v1/instances", query, expected=400)["code"] == "api.bad_query"

        [job] = ask(daemon, "/v1/import-jobs", "?state=succeeded")["items"]
        assert job["manifests"].startswith("s3://isthmus-staging/"), job
        assert ask(daemon, "/v1/import-jobs/{id}", id=job["id"]) == job
        [batch] = ask(daemon, "/v1/batches", "?state=reconciled")["items"]
        assert batch["id"] == job["batch"] and batch["imported"] == 6, batch
        assert ask(daemon, "/v1/batches/{id}", id=batch["id"]) == batch

        events = [entry["event"] for entry in
                  ask(daemon, "/v1/studies/{study}/timeline", study=uid)["items"]]
        assert events.count("received") == 6 and "outcomes_recorded" in events, events
        receipt = ask(daemon, "/v1/studies/{study}/receipt", study=uid)
        assert sorted(line["sop_instance_uid"] for line in receipt["lines"]) == sorted(seen)
        assert {line["import_job"] for line in receipt["lines"]} == {job["remote_id"]}
        table = list(csv.DictReader(io.StringIO(
            ask(daemon, "/v1/studies/{study}/receipt", "?format=csv", study=uid))))
        assert [row["dataset_digest"] for row in table] == \
            [line["dataset_digest"] for line in receipt["lines"]]
        assert all(row["image_set"] and row["concluded_at"] and row["object_key"] for row in table)
        assert all(row["object_key"].endswith(f"/in/{row['instance']}.dcm") for row in table), table[0]

        happened = call(daemon, "GET", "/v1/events", headers={"Last-Event-ID": at})[2]
        assert happened.count("event: instance") == 6, happened
        last = re.findall(r"^id: (\d+)$", happened, re.M)[-1]
        assert "event:" not in ask(daemon, "/v1/events", f"?after={last}")

        assert ask(daemon, "/v1/quarantine")["items"] == []
        assert ask(daemon, "/v1/destinations")["items"][0]["health"] == "ok"
        ask(daemon, "/v1/senders")
        ask(daemon, "/v1/tokens")
        assert ask(daemon, "/v1/studies/{study}/retry", method="POST", study=uid)["moved"] == 0
        for template, names in [("/v1/studies/{study}", {"study": "1.2.3"}),
                                ("/v1/studies/{study}/receipt", {"study": "1.2.3"}),
                                ("/v1/studies/{study}/timeline", {"study": "1.2.3"}),
                                ("/v1/instances/{id}", {"id": "1.2.3"}),
                                ("/v1/batches/{id}", {"id": "1.2.3"}),
                                ("/v1/import-jobs/{id}", {"id": "f" * 32})]:
            ask(daemon, template, expected=404, **names)
        ask(daemon, "/v1/batches/{id}/retry", method="POST", expected=404, id="all")
        ask(daemon, "/v1/studies/{study}", expected=400, study="abc")
        audited = ask(daemon, "/v1/audit")["items"]
        assert {entry["caller"] for entry in audited} == {"local"}, audited
        looked = [entry for entry in audited if entry["action"] == "GET /v1/instances?patient_id"]
        assert len(looked) == 1 and "nobody" not in json.dumps(looked), looked
        by_accession = [entry for entry in audited if entry["action"].endswith("?accession_number")]
        assert len(by_accession) == 6 and f'"{number}' not in json.dumps(by_accession), by_accession
        assert not [entry for entry in audited if "accession_hash" in entry["action"]]


def a_paused_destination_begins_nothing(folder):
    make_study(folder / "study", series=1, instances=2)
    with Daemon(folder) as daemon:
        assert ask(daemon, "/v1/destinations/{name}/pause", method="POST", name="main")["paused"]
        dcmsend(daemon.dimse_port, folder / "study")
    with Daemon(folder) as daemon:
        assert "destination.paused" in daemon.log_path.read_text()
        assert ask(daemon, "/v1/destinations")["items"][0]["paused"]
        deadline = time.monotonic() + 30
        while not ask(daemon, "/v1/batches", "?state=sealed")["items"]:
            assert time.monotonic() < deadline, "never sealed"
            time.sleep(0.05)
        assert ask(daemon, "/v1/import-jobs")["items"] == []
        assert len(ask(daemon, "/v1/instances", "?state=waiting")["items"]) == 2
        assert not ask(daemon, "/v1/destinations/{name}/resume", method="POST", name="main")["paused"]
        daemon.wait_settled()
        assert len(ask(daemon, "/v1/instances", "?state=imported")["items"]) == 2
        ask(daemon, "/v1/destinations/{name}/pause", method="POST", name="nowhere", expected=404)


def what_asks_for_a_person_can_be_discarded(folder):
    first, other = folder / "first", folder / "other"
    make_study(first, series=1, instances=2)
    with Daemon(folder, destinations__main__on_conflict="quarantine") as daemon:
        dcmsend(daemon.dimse_port, first)
        daemon.wait_settled()
        shutil.copytree(first, other)  # the same instances with another last byte
        for path in other.rglob("*"):
            if path.is_file():
                path.write_bytes(path.read_bytes()[:-1] + b"\x77")
        dcmsend(daemon.dimse_port, other)
        deadline = time.monotonic() + 30
        while len(asks := ask(daemon, "/v1/quarantine")["items"]) < 2:
            assert time.monotonic() < deadline, asks
            time.sleep(0.05)
        held = [ask_["id"] for ask_ in asks]
        path = "/v1/deliveries/{id}/discard".replace("{id}", held[0])
        assert call(daemon, "POST", path, body="{}")[0] == 400
        assert call(daemon, "POST", path, body=json.dumps({"reason": "two\nlines"}))[0] == 400
        status, headers, text = call(daemon, "POST", path, body=json.dumps({"reason": "a double"}))
        described("POST", "/v1/deliveries/{id}/discard", status, headers, text)
        assert json.loads(text) == {"moved": 1}, text
        said = daemon.command("discard", held[1], "--reason", "a double too").stdout
        assert "1 discarded" in said, said
        assert daemon.command("discard", held[1], "--reason", "again", check=False).returncode == 1
        assert ask(daemon, "/v1/quarantine")["items"] == []
        gone = ask(daemon, "/v1/instances", "?state=discarded")["items"]
        reasons = sorted(one["deliveries"][0]["reason"]["message"] for one in gone)
        assert reasons[0] == "a double (ordered by local)" and len(reasons) == 2, reasons
        assert reasons[1].startswith("a double too (ordered "), reasons
        assert "discard_ordered" in daemon.command("history", held[0]).stdout
        lines = ask(daemon, "/v1/studies/{study}/receipt", study=gone[0]["study_instance_uid"])["lines"]
        assert {line["reason_code"] for line in lines if line["state"] == "discarded"} == {"discarded"}
        dcmsend(daemon.dimse_port, other)
        deadline = time.monotonic() + 30
        while len(asks := ask(daemon, "/v1/quarantine")["items"]) < 2:
            assert time.monotonic() < deadline, asks
            time.sleep(0.05)
        assert {one["reason"]["code"] for one in asks} == {"discarded_before"}, asks


def a_drained_daemon_finishes_and_takes_nothing_new(folder):
    make_study(folder / "study", series=1, instances=3)
    make_study(folder / "later", series=1, instances=1)
    with Daemon(folder, batch__quiet_s=1) as daemon:
        dcmsend(daemon.dimse_port, folder / "study")

        def drain(on):
            status, headers, text = call(daemon, "POST", "/v1/drain", body=json.dumps({"draining": on}))
            described("POST", "/v1/drain", status, headers, text)
            return json.loads(text)

        assert call(daemon, "POST", "/v1/drain", body="{}")[0] == 400
        assert drain(True)["draining"]
        status, headers, _ = call(daemon, "POST", "/dicom-web/studies", body="x",
                                  headers={"Content-Type": "application/dicom"})
        assert status == 503 and int(headers["Retry-After"]) > 0, status
        assert call(daemon, "GET", "/readyz")[0] == 503
        assert dcmsend(daemon.dimse_port, folder / "later", check=False).returncode != 0
        daemon.settings["http.port"] = str(daemon.http_port)
        assert "all is done" in daemon.command("drain", "--wait").stdout
        assert ask(daemon, "/v1/drain")["done"]
        assert len(ask(daemon, "/v1/instances", "?state=imported")["items"]) == 3
        assert "draining" in daemon.command("status").stdout
        assert "taken again" in daemon.command("drain", "--end").stdout
        assert not ask(daemon, "/v1/drain")["draining"]
        dcmsend(daemon.dimse_port, folder / "later")
        daemon.wait_settled()


def events_are_told_while_they_happen(folder):
    make_study(folder / "study", series=1, instances=2)
    with Daemon(folder) as daemon:
        request = urllib.request.Request(f"http://127.0.0.1:{daemon.http_port}/v1/events",
                                         headers={"Accept": "text/event-stream"})
        with urllib.request.urlopen(request, timeout=30) as stream:
            assert stream.headers["Transfer-Encoding"] == "chunked", stream.headers
            dcmsend(daemon.dimse_port, folder / "study")
            seen = []
            while "outcome_imported" not in "".join(seen):
                seen.append(stream.readline().decode())
        first = next(line for line in seen if line.startswith("event:"))
        assert first.strip() == "event: begin", first
        assert "".join(seen).count("event: instance") == 2, seen
        daemon.wait_settled()
        last = [line for line in seen if line.startswith("id:")][-1].split()[1]
        request = urllib.request.Request(f"http://127.0.0.1:{daemon.http_port}/v1/events", headers={
            "Accept": "text/event-stream", "Last-Event-ID": last})
        with urllib.request.urlopen(request, timeout=30) as stream:
            assert stream.readline().decode().startswith("retry:")
            assert stream.readline() == b"\n"
            assert int(stream.readline().decode().split()[1]) == int(last) + 1


def commitment_request(*pairs):
    return json.dumps({"00081199": {"vr": "SQ", "Value": [
        {"00081150": {"vr": "UI", "Value": [sop_class]}, "00081155": {"vr": "UI", "Value": [uid]}}
        for sop_class, uid in pairs]}})


def commitment_is_asked_by_dicomweb(folder):
    kind = {"Content-Type": "application/dicom+json"}
    make_study(folder / "study", series=1, instances=3)
    with Daemon(folder, commitment__unknown_after_s=1, api__authentication="required") as daemon:
        master = control_token(daemon)
        tokens = [json.loads(call(daemon, "POST", "/v1/tokens", master, json.dumps(
            {"name": name, "scopes": ["store"]}))[2])["token"] for name in ["desk", "other"]]
        dcmsend(daemon.dimse_port, folder / "study")
        daemon.wait_settled()
        instances = ask(daemon, "/v1/instances", token=master)["items"]
        pairs = [(one["sop_class_uid"], one["sop_instance_uid"]) for one in instances]
        path = "/dicom-web/commitment-requests/{transaction}"

        def send(method, transaction, token, body=None):
            status, headers, text = call(daemon, method, path.replace("{transaction}", transaction), token,
                                         body, kind)
            described(method, path, status, headers, text)
            return status, json.loads(text)

        def decided(transaction):
            deadline = time.monotonic() + 30
            while True:
                status, result = send("GET", transaction, tokens[0])
                if status != 202:
                    return status, result
                assert time.monotonic() < deadline, "not decided"
                time.sleep(0.05)

        assert send("POST", "1.2.3.1", tokens[0], commitment_request(*pairs))[0] in (200, 202)
        status, result = decided("1.2.3.1")
        assert status == 200 and "00081198" not in result, result
        assert {one["00081155"]["Value"][0] for one in result["00081199"]["Value"]} == \
            {uid for _, uid in pairs}
        assert result["00081195"]["Value"] == ["1.2.3.1"]
        assert send("GET", "1.2.3.1", tokens[1])[0] == 404, "another caller's"
        assert send("GET", "1.2.3.9", tokens[0])[0] == 404

        send("POST", "1.2.3.2", tokens[0], commitment_request(*pairs, (pairs[0][0], "1.2.3.4.5")))
        assert send("POST", "1.2.3.2", tokens[0], commitment_request(*pairs))[0] == 409
        status, result = decided("1.2.3.2")
        [failed] = result["00081198"]["Value"]
        assert failed["00081155"]["Value"] == ["1.2.3.4.5"] and failed["00081197"]["Value"] == [0x112]
        assert len(result["00081199"]["Value"]) == 3

        for body in ["", "[]", "{}", commitment_request(), commitment_request(("x", "1.2")),
                     commitment_request(("1.2", "")), '{"00081199": {"vr": "SQ"}}']:
            assert send("POST", "1.2.3.3", tokens[0], body)[0] == 400, body
        assert send("POST", "abc", tokens[0], commitment_request(*pairs))[0] == 400
        status = call(daemon, "POST", path.replace("{transaction}", "1.2"), tokens[0], "<x/>",
                      {"Content-Type": "application/dicom+xml"})[0]
        assert status == 415


if __name__ == "__main__":
    for test in [the_description_has_the_routes_that_there_are, nobody_is_answered_without_permission,
                 tokens_end_when_they_are_revoked, jwts_are_held_to_their_rules,
                 keys_of_a_provider_are_fetched_rotated_and_outlive_it,
                 other_hosts_are_not_let_in_by_mistake, callers_of_other_hosts_talk_tls,
                 a_study_is_followed_by_the_api, what_asks_for_a_person_can_be_discarded,
                 a_drained_daemon_finishes_and_takes_nothing_new, events_are_told_while_they_happen,
                 a_paused_destination_begins_nothing,
                 commitment_is_asked_by_dicomweb]:
        print(test.__name__.replace("_", " "), flush=True)
        in_temp_folder(test)
