"""Credentials of every kind against stand-ins that check what the real ones check, and a cloud that refuses a
session which is over: renewed in the middle of what is under way, and clear words when they are wrong."""

import http.server
import json
import os
import threading
import time

from harness import Daemon, dcmsend, fail, imaging_models, in_temp_folder, make_study
from proxy import Proxy
from sts import Sts

AWS = [name for name in os.environ if name.startswith("AWS_")]
EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"


class Cloud:
    """A data store, a bucket, a service; sessions that are over are refused in front of it."""

    def __init__(self, folder):
        (folder / "cloud").mkdir()
        self.daemon = Daemon(folder / "cloud").start()
        self.key = self.daemon.access_key()
        imaging = self.daemon.imaging(imaging_models(folder))
        self.store = imaging.create_datastore(datastoreName="cloud")["datastoreId"]
        self.daemon.s3().create_bucket(Bucket="staging")
        self.least_session = 0  # older ones are over
        self.refused = 0
        self.seen = set()
        self.proxy = Proxy(self.daemon.datastore_port, guard=self.guard)
        self.none = {"AWS_CONFIG_FILE": str(folder / "none"),
                     "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
                     "AWS_EC2_METADATA_DISABLED": "true"}

    def guard(self, method, path, headers):
        token = headers.get("x-amz-security-token")
        if token is None:
            return None
        self.seen.add(token)
        if int(token.rsplit("-", 1)[1]) >= self.least_session:
            return None
        self.refused += 1
        return 400, EXPIRED

    def pair(self):
        return self.key["access_key_id"], self.key["secret_access_key"]

    def gateway(self, folder, environment, **settings):
        for name in list(os.environ):
            if name.startswith("AWS_") and name != "AWS_DATA_PATH":
                os.environ.pop(name)
        os.environ.update(dict(self.none, **environment))
        folder.mkdir()
        endpoint = f"http://127.0.0.1:{self.proxy.port}"
        main = dict(kind="aws", region="us-east-1", datastore_id=self.store, bucket="staging",
                    endpoint=endpoint, s3_endpoint=endpoint, **settings)
        return Daemon(folder, datastore__listen="false",
                      **{f"destinations__main__{name}": value for name, value in main.items()})


def deliver(daemon, folder, count, seed):
    make_study(folder / f"study{seed}", series=1, instances=count, seed=seed)
    dcmsend(daemon.dimse_port, folder / f"study{seed}")
    daemon.wait_settled()
    if daemon.totals()["imported"] != count:
        fail(f"{daemon.totals()} {daemon.log_tail()}")


def no_secret(daemon, *secrets):
    log = daemon.log_path.read_text()
    for secret in secrets:
        if secret in log:
            fail("a secret is in the log")
    return log


def assumed_role(cloud, folder):
    sts = Sts({"AKIDSITE": "the-sites-secret"}, given=cloud.pair(), external_id="the-external-id")
    keys = {"AWS_ACCESS_KEY_ID": "AKIDSITE", "AWS_SECRET_ACCESS_KEY": "the-sites-secret"}
    role = dict(sts_endpoint=sts.url, role_arn="arn:aws:iam::123456789012:role/gateway")
    with cloud.gateway(folder / "role", keys, external_id="the-external-id", **role) as daemon:
        deliver(daemon, folder, 3, 401)
        no_secret(daemon, "the-sites-secret", cloud.pair()[1], "session-1")
    if sts.asked != ["AssumeRole"]:
        fail(f"{sts.asked}")

    for name, changed, said in [
            ("a wrong external id", dict(keys), "AccessDenied"),
            ("a wrong secret", dict(keys, AWS_SECRET_ACCESS_KEY="another"), "SignatureDoesNotMatch"),
            ("an unknown key", dict(keys, AWS_ACCESS_KEY_ID="AKIDNOBODY"), "InvalidClientTokenId")]:
        make_study(folder / "waits", series=1, instances=1, seed=402)
        external = "another" if name == "a wrong external id" else "the-external-id"
        with cloud.gateway(folder / name.replace(" ", "_"), changed, external_id=external,
                           **role) as daemon:
            dcmsend(daemon.dimse_port, folder / "waits")
            deadline = time.monotonic() + 30
            while said not in reasons(daemon):
                if time.monotonic() > deadline:
                    fail(f"{name}: nobody says {said}: {reasons(daemon)} {daemon.log_tail()}")
                time.sleep(0.2)
            if daemon.totals()["imported"]:
                fail(f"{name}: something was imported")
            no_secret(daemon, "the-sites-secret")
    sts.close()
    print("credentials: assumed role, and three ways in which it is refused", flush=True)


def reasons(daemon):
    """What a person sees of why it waits."""
    items = json.loads(daemon.get("/v1/instances?limit=10"))["items"]
    return json.dumps(items) + daemon.log_path.read_text()


def web_identity(cloud, folder):
    sts = Sts({}, given=cloud.pair(), web_token="a-token-of-the-cluster")
    token = folder / "token"
    token.write_text("a-token-of-the-cluster\n")
    pod = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
           "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/pod"}
    with cloud.gateway(folder / "pod", pod, sts_endpoint=sts.url) as daemon:
        deliver(daemon, folder, 2, 403)
        no_secret(daemon, "a-token-of-the-cluster")
    token.write_text("a-token-of-yesterday")
    make_study(folder / "waits2", series=1, instances=1, seed=404)
    with cloud.gateway(folder / "pod2", pod, sts_endpoint=sts.url) as daemon:
        dcmsend(daemon.dimse_port, folder / "waits2")
        deadline = time.monotonic() + 30
        while "InvalidIdentityToken" not in reasons(daemon):
            if time.monotonic() > deadline:
                fail(f"nobody says it: {daemon.log_tail()}")
            time.sleep(0.2)
    sts.close()
    print("credentials: web identity, and a token that is over", flush=True)


class Container(http.server.BaseHTTPRequestHandler):
    """The agent of a pod: nothing without the authorization that it gave."""

    key = None

    def log_message(self, *_):
        pass

    def do_GET(self):
        status, text = 401, "no"
        if self.headers.get("Authorization") == "the-pods-authorization" and self.path == "/v1/credentials":
            status = 200
            text = json.dumps({"AccessKeyId": self.key[0], "SecretAccessKey": self.key[1],
                               "Token": "session-900", "Expiration": "2099-01-01T00:00:00Z"})
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


def container(cloud, folder):
    Container.key = cloud.pair()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Container)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    authorization = folder / "authorization"
    authorization.write_text("the-pods-authorization")
    with cloud.gateway(folder / "container", {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{server.server_port}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(authorization)}) as daemon:
        deliver(daemon, folder, 2, 405)
        no_secret(daemon, "the-pods-authorization")
    server.shutdown()
    print("credentials: a pod's agent", flush=True)


class Metadata(http.server.BaseHTTPRequestHandler):
    """Instance metadata, version 2 only: a token is asked for first, by PUT with its lifetime, and every
    question shows it; nobody comes by a proxy."""

    ROLE = "/latest/meta-data/iam/security-credentials/"
    key, asked = None, []

    def log_message(self, *_):
        pass

    def answer(self, status, text=""):
        type(self).asked.append((self.command, self.path, status))
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_PUT(self):
        lifetime = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if "X-Forwarded-For" in self.headers:
            return self.answer(403)
        if self.path != "/latest/api/token" or not lifetime.isdigit() or not 1 <= int(lifetime) <= 21600:
            return self.answer(400)
        return self.answer(200, "the-token-of-this-machine")

    def do_GET(self):
        if self.headers.get("X-aws-ec2-metadata-token") != "the-token-of-this-machine":
            return self.answer(401)
        if self.path == self.ROLE:
            return self.answer(200, "gateway-role")
        if self.path != self.ROLE + "gateway-role":
            return self.answer(404)
        return self.answer(200, json.dumps({
            "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
            "AccessKeyId": self.key[0], "SecretAccessKey": self.key[1], "Token": "session-901",
            "Expiration": "2099-01-01T00:00:00Z"}))


def instance_metadata(cloud, folder):
    Metadata.key = cloud.pair()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with cloud.gateway(folder / "machine", {
            "AWS_EC2_METADATA_DISABLED": "false",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}) as daemon:
        deliver(daemon, folder, 2, 407)
        no_secret(daemon, "the-token-of-this-machine", cloud.pair()[1])
    if Metadata.asked[0] != ("PUT", "/latest/api/token", 200) or any(s != 200 for _, _, s in Metadata.asked):
        fail(f"not by version 2: {Metadata.asked}")
    server.shutdown()
    print("credentials: instance metadata", flush=True)


def profiles(cloud, folder):
    """A profile assumes a role with the keys of another, which a program gives."""
    sts = Sts({"AKIDSITE": "the-sites-secret"}, given=cloud.pair(), external_id="the-external-id")
    program = folder / "give keys"
    program.write_text("#!/bin/sh\n[ \"$1\" = 'of the site' ] || exit 3\n"
                       "echo '{\"Version\": 1, \"AccessKeyId\": \"AKIDSITE\", "
                       "\"SecretAccessKey\": \"the-sites-secret\"}'\n")
    program.chmod(0o700)
    config = folder / "aws-config"
    config.write_text("[profile gateway]\nrole_arn = arn:aws:iam::123456789012:role/gateway\n"
                      "external_id = the-external-id\nsource_profile = site\n\n"
                      f"[profile site]\ncredential_process = \"{program}\" \"of the site\"\n")
    with cloud.gateway(folder / "profile", {"AWS_CONFIG_FILE": str(config)}, profile="gateway",
                       sts_endpoint=sts.url) as daemon:
        deliver(daemon, folder, 2, 408)
        no_secret(daemon, "the-sites-secret", "the-external-id")
    if sts.asked != ["AssumeRole"]:
        fail(f"{sts.asked}")

    program.write_text("#!/bin/sh\necho 'the vault is locked' >&2\nexit 1\n")
    make_study(folder / "waits3", series=1, instances=1, seed=409)
    with cloud.gateway(folder / "locked", {"AWS_CONFIG_FILE": str(config)}, profile="gateway",
                       sts_endpoint=sts.url) as daemon:
        dcmsend(daemon.dimse_port, folder / "waits3")
        deadline = time.monotonic() + 60
        while "auth.no_credentials" not in reasons(daemon):
            if time.monotonic() > deadline:
                fail(f"nobody says it: {reasons(daemon)}")
            time.sleep(0.2)
        if daemon.totals()["imported"]:
            fail("something was imported")
    sts.close()
    print("credentials: a profile, its source, its program; and a program that fails", flush=True)


def renewed_under_way(cloud, folder):
    """Sessions of some seconds, the old ones refused: what is under way goes on with the next."""
    sts = Sts({"AKIDSITE": "the-sites-secret"}, given=cloud.pair(), lifetime_s=6)
    keys = {"AWS_ACCESS_KEY_ID": "AKIDSITE", "AWS_SECRET_ACCESS_KEY": "the-sites-secret"}
    cloud.seen.clear()
    with cloud.gateway(folder / "short", keys, sts_endpoint=sts.url,
                       role_arn="arn:aws:iam::123456789012:role/gateway",
                       upload_bytes_per_second=40000) as daemon:
        make_study(folder / "long", series=1, instances=40, seed=406)
        dcmsend(daemon.dimse_port, folder / "long")
        deadline = time.monotonic() + 60
        while sts.tokens < 3 and time.monotonic() < deadline:
            cloud.least_session = max(0, sts.tokens - 1)
            time.sleep(0.1)
        cloud.least_session = 0
        daemon.wait_settled()
        totals = daemon.totals()
        if totals["imported"] != 40 or totals["quarantined"]:
            fail(f"{totals} {daemon.log_tail()}")
    if len(cloud.seen) < 2:
        fail(f"only {cloud.seen} were used")
    sts.close()
    print(f"credentials: {len(cloud.seen)} sessions for one study", flush=True)


def run(folder):
    cloud = Cloud(folder)
    try:
        assumed_role(cloud, folder)
        web_identity(cloud, folder)
        container(cloud, folder)
        instance_metadata(cloud, folder)
        profiles(cloud, folder)
        renewed_under_way(cloud, folder)
    finally:
        cloud.daemon.kill()


in_temp_folder(run)
