"""The S3 face under stock clients: the AWS SDK for JavaScript, awscli, s3cmd, and botocore's signer."""

import hashlib
import os
import shutil
import subprocess
import sys

from harness import ROOT, SKIP, Daemon, fail, in_temp_folder

CLIENTS = ROOT / "build/clients"
LARGE = 200 * 1024 * 1024


def run(words, timeout=300, check=True, **environment):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          timeout=timeout, env=dict(os.environ, **environment))
    if check and done.returncode != 0:
        fail(f"{words[:6]} gave {done.returncode}: {done.stdout[-1500:]} {done.stderr[-3000:]}")
    return done


def make_large(path):
    seed = hashlib.sha512(b"large").digest()
    with open(path, "wb") as file:
        for number in range(LARGE // (1 << 20)):
            file.write((number.to_bytes(8, "big") + seed * (1 << 14))[:1 << 20])
    return path


def digest(path):
    whole = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            whole.update(block)
    return whole.hexdigest()


def javascript(folder):
    if not (CLIENTS / "node_modules/@aws-sdk/lib-storage").exists():
        print("skipped: the npm clients are not installed (./dev setup)")
        sys.exit(SKIP)
    with Daemon(folder) as daemon:
        key = daemon.access_key()
        done = run(["node", ROOT / "tests/e2e/clients/s3_test.mjs"],
                   ENDPOINT=f"http://127.0.0.1:{daemon.datastore_port}", CLIENTS=str(CLIENTS),
                   KEY_ID=key["access_key_id"], SECRET=key["secret_access_key"])
        print(done.stdout.strip())


def same_tree(one, other):
    done = run(["diff", "-r", one, other], check=False)
    if done.returncode != 0:
        fail(f"the trees differ: {done.stdout[:1000]}")


def make_tree(folder):
    tree = folder / "tree"
    (tree / "sub folder").mkdir(parents=True)
    for number in range(12):
        (tree / "sub folder" / f"file {number}.bin").write_bytes(bytes([number]) * (1000 + number))
    (tree / "plus+and'quote.txt").write_text("text")
    return tree


def awscli(folder):
    program = "/usr/bin/aws"  # Debian's
    if not os.path.exists(program):
        print("skipped: awscli is not installed (./dev setup)")
        sys.exit(SKIP)
    large, tree = make_large(folder / "large.bin"), make_tree(folder)
    with Daemon(folder) as daemon:
        key = daemon.access_key()

        def aws(*words, check=True):
            return run([program, "--endpoint-url", f"http://127.0.0.1:{daemon.datastore_port}", *words],
                       check=check, HOME=str(folder), AWS_ACCESS_KEY_ID=key["access_key_id"],
                       AWS_SECRET_ACCESS_KEY=key["secret_access_key"], AWS_DEFAULT_REGION="us-east-1",
                       AWS_EC2_METADATA_DISABLED="true").stdout

        aws("s3", "mb", "s3://cli-bucket")
        aws("s3", "cp", large, "s3://cli-bucket/large.bin")
        aws("s3", "cp", "s3://cli-bucket/large.bin", folder / "back.bin")
        assert digest(folder / "back.bin") == digest(large)
        aws("s3", "cp", "s3://cli-bucket/large.bin", "s3://cli-bucket/copy.bin")  # UploadPartCopy
        assert f"{LARGE} copy.bin" in aws("s3", "ls", "s3://cli-bucket"), "the copy is not listed"
        aws("s3", "cp", "--recursive", tree, "s3://cli-bucket/tree/")
        listed = aws("s3", "ls", "--recursive", "s3://cli-bucket/tree/")
        assert len(listed.splitlines()) == 13, listed
        aws("s3", "sync", "s3://cli-bucket/tree/", folder / "synced")
        same_tree(tree, folder / "synced")
        aws("s3", "mv", "s3://cli-bucket/tree/plus+and'quote.txt", "s3://cli-bucket/moved.txt")
        url = aws("s3", "presign", "s3://cli-bucket/moved.txt").strip()
        assert run(["curl", "-sf", url]).stdout == "text", url
        assert "KeyError" not in aws("s3api", "list-objects", "--bucket", "cli-bucket", "--max-items", "3")
        aws("s3", "rm", "--recursive", "s3://cli-bucket")
        assert aws("s3", "ls", "--recursive", "s3://cli-bucket", check=False).strip() == ""
        aws("s3", "rb", "s3://cli-bucket")
        print(f"awscli: {LARGE >> 20} MB up, down and copied in parts")


def s3cmd(folder):
    if shutil.which("s3cmd") is None:
        print("skipped: s3cmd is not installed (./dev setup)")
        sys.exit(SKIP)
    large, tree = make_large(folder / "large.bin"), make_tree(folder)
    with Daemon(folder) as daemon:
        key = daemon.access_key()
        host = f"127.0.0.1:{daemon.datastore_port}"
        config = folder / "s3cfg"
        config.write_text(
            f"[default]\naccess_key = {key['access_key_id']}\nsecret_key = {key['secret_access_key']}\n"
            f"host_base = {host}\nhost_bucket = {host}\nuse_https = False\nbucket_location = us-east-1\n")

        def s3(*words, check=True):
            return run(["/usr/bin/s3cmd", "-c", config, "--no-progress", *words], check=check).stdout

        s3("mb", "s3://cmd-bucket")
        s3("put", large, "s3://cmd-bucket/large.bin")
        s3("get", "s3://cmd-bucket/large.bin", folder / "back.bin")
        assert digest(folder / "back.bin") == digest(large)
        s3("put", "--recursive", f"{tree}/", "s3://cmd-bucket/tree/")
        (folder / "gotten").mkdir()
        s3("get", "--recursive", "s3://cmd-bucket/tree/", f"{folder}/gotten/")
        same_tree(tree, folder / "gotten")
        s3("cp", "s3://cmd-bucket/tree/plus+and'quote.txt", "s3://cmd-bucket/copied.txt")
        assert "copied.txt" in s3("ls", "s3://cmd-bucket")
        s3("rm", "--recursive", "--force", "s3://cmd-bucket/")
        s3("rb", "s3://cmd-bucket")
        assert "cmd-bucket" not in s3("ls")
        print(f"s3cmd: {LARGE >> 20} MB up and down in parts")


for test in (javascript, awscli, s3cmd):
    in_temp_folder(test)
    print("passed:", test.__name__, flush=True)
