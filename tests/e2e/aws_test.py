"""kind=aws over TCP: a gateway stages into and imports by another process, an Isthmus data store that
answers as S3 and HealthImaging do, with credentials from each place where a site may have them."""

import datetime
import http.server
import json
import os
import threading

from harness import Daemon, dcmsend, fail, imaging_models, in_temp_folder, make_study


class Metadata(http.server.BaseHTTPRequestHandler):
    """Instance metadata version 2, as strict as the real one: nothing without its token."""

    key = None
    lifetime_s = 3600
    given = 0

    def log_message(self, *_):
        pass

    def give(self, status, text=""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_PUT(self):
        if self.path != "/latest/api/token" or not self.headers["X-aws-ec2-metadata-token-ttl-seconds"]:
            return self.give(400)
        return self.give(200, "a-token")

    def do_GET(self):
        if self.headers["X-aws-ec2-metadata-token"] != "a-token":
            return self.give(401)
        base = "/latest/meta-data/iam/security-credentials/"
        if self.path == base:
            return self.give(200, "gateway")
        if self.path != base + "gateway":
            return self.give(404)
        cls = type(self)
        cls.given += 1
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(
            seconds=cls.lifetime_s)
        return self.give(200, json.dumps({
            "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": cls.key["access_key_id"],
            "SecretAccessKey": cls.key["secret_access_key"], "Token": "a-session",
            "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ")}))


AWS_VARIABLES = [name for name in os.environ if name.startswith("AWS_")]


def gateway(folder, cloud, store, bucket, environment, count, **settings):
    """Sends a study through a gateway of its own; all of it must be imported in the other process."""
    folder.mkdir()
    make_study(folder / "study", series=1, instances=count, seed=count)
    endpoint = f"http://127.0.0.1:{cloud.datastore_port}"
    for name in AWS_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(environment)
    daemon = Daemon(
        folder, destinations__main__kind="aws", destinations__main__region="us-east-1",
        destinations__main__datastore_id=store, destinations__main__bucket=bucket,
        destinations__main__endpoint=endpoint, destinations__main__s3_endpoint=endpoint,
        **{f"destinations__main__{name}": value for name, value in settings.items()})
    try:
        with daemon:
            dcmsend(daemon.dimse_port, folder / "study")
            daemon.wait_settled()
            if daemon.totals()["imported"] != count:
                fail(f"not all is imported: {daemon.totals()} {daemon.log_tail()}")
            return daemon.log_path.read_text()
    finally:
        for name in environment:
            os.environ.pop(name, None)


def clouds(folder):
    with Daemon(folder) as cloud:
        key = cloud.access_key()
        imaging = cloud.imaging(imaging_models(folder))
        store = imaging.create_datastore(datastoreName="cloud")["datastoreId"]
        cloud.s3().create_bucket(Bucket="staging")
        site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
        threading.Thread(target=site.serve_forever, daemon=True).start()
        Metadata.key = key
        nowhere = str(folder / "nowhere")
        without_files = {"AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere}

        log = gateway(folder / "environment", cloud, store, "staging", dict(
            without_files, AWS_ACCESS_KEY_ID=key["access_key_id"],
            AWS_SECRET_ACCESS_KEY=key["secret_access_key"]), 3)
        if key["secret_access_key"] in log or "credentials.renewed source=environment" not in log:
            fail("the log names a secret, or not the source")

        printed = folder / "printed.json"
        printed.write_text(json.dumps({"Version": 1, "AccessKeyId": key["access_key_id"],
                                       "SecretAccessKey": key["secret_access_key"]}))
        config = folder / "config"
        config.write_text(f"[profile site]\ncredential_process = /bin/cat \"{printed}\"\n")
        gateway(folder / "process", cloud, store, "staging",
                dict(without_files, AWS_CONFIG_FILE=str(config)), 4, profile="site")

        Metadata.lifetime_s = 8  # renewed while the study is on its way
        gateway(folder / "instance", cloud, store, "staging", dict(
            without_files,
            AWS_EC2_METADATA_SERVICE_ENDPOINT=f"http://127.0.0.1:{site.server_port}"), 5)
        if Metadata.given == 0:
            fail("instance metadata was not asked")
        site.shutdown()

        found = imaging.search_image_sets(datastoreId=store)["imageSetsMetadataSummaries"]
        if len(found) != 3:
            fail(f"three series were sent, the data store has {len(found)} image sets")


def wrong_keys(folder):
    """Nothing is lost and nothing is silent: intake goes on, the study waits, the log says why."""
    with Daemon(folder) as cloud:
        store = cloud.imaging(imaging_models(folder)).create_datastore(
            datastoreName="cloud")["datastoreId"]
        inner = folder / "gateway"
        inner.mkdir()
        make_study(inner / "study", series=1, instances=2)
        endpoint = f"http://127.0.0.1:{cloud.datastore_port}"
        os.environ.update(AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE=str(inner / "none"),
                          AWS_SHARED_CREDENTIALS_FILE=str(inner / "none"))
        with Daemon(inner, destinations__main__kind="aws", destinations__main__region="us-east-1",
                    destinations__main__datastore_id=store, destinations__main__endpoint=endpoint,
                    destinations__main__s3_endpoint=endpoint) as daemon:
            dcmsend(daemon.dimse_port, inner / "study")
            while "auth.no_credentials" not in daemon.log_path.read_text():
                if not daemon.alive():
                    fail("the daemon ended")
            if daemon.totals()["received"] != 2 or daemon.totals()["imported"] != 0:
                fail(f"{daemon.totals()}")
        for name in ("AWS_EC2_METADATA_DISABLED", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            os.environ.pop(name)
    print("aws: environment, credential_process, instance metadata with renewal, none at all")


in_temp_folder(clouds)
in_temp_folder(wrong_keys)
