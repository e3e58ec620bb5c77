"""The plugin in Debian's Orthanc: whatever way an instance comes, it is imported and reconciled once.

usage: orthanc_test.py [TEST …]
"""

import contextlib
import http.server
import json
import pathlib
import subprocess
import sys
import threading
import time
import urllib.error

import yaml

from api_test import faults
from commitment_scu import references_of
from disk_full_test import MARKS, SmallDisk
from harness import BIN, ROOT, dcmsend, fail, in_temp_folder, make_study, shared_or_none
from orthanc import PLUGIN, Orthanc, basic, need_orthanc
from truth import imported_exactly_once, rows


def uids_of(files):
    return [instance for _, instance in references_of(files)]


def stow(orthanc, files):
    boundary = "isthmus-boundary"
    body = b""
    for path in files:
        body += (f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
                 + pathlib.Path(path).read_bytes() + b"\r\n")
    body += f"--{boundary}--\r\n".encode()
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    return json.loads(orthanc.rest("/dicom-web/studies", "POST", body,
                                   {"Content-Type": kind, "Accept": "application/dicom+json"}))


def storescu(orthanc, folder, *more):
    return subprocess.run(["storescu", "-d", "-aet", "CT1", "-aec", "ORTHANC", "127.0.0.1",
                           str(orthanc.dimse_port), "+sd", "+r", *more, str(folder)],
                          capture_output=True, text=True, timeout=300)


def only_four_symbols(_):
    done = subprocess.run(["nm", "-D", "--defined-only", str(PLUGIN)], check=True,
                          capture_output=True, text=True)
    names = sorted(line.split()[-1].split("@")[0] for line in done.stdout.splitlines())
    wanted = ["OrthancPluginFinalize", "OrthancPluginGetName", "OrthancPluginGetVersion",
              "OrthancPluginInitialize"]
    if names != wanted:
        fail(f"exported: {names}")
    print(f"exports {names}")


def a_bad_configuration_is_named(folder):
    orthanc = Orthanc(folder, batch__quite_s=1)
    orthanc.start(wait=False)
    status = orthanc.reap(60)
    log = orthanc.log_path.read_text(errors="replace")
    if status == 0 or "batch.quite_s is not a setting; the nearest is batch.quiet_s" not in log:
        fail(f"Orthanc ended with {status}: {orthanc.log_tail()}")
    orthanc = Orthanc(folder, orthanc__scopes='["read", "everything"]')
    orthanc.start(wait=False)
    if orthanc.reap(60) == 0 or 'orthanc.scopes: "everything" is no scope' not in \
            orthanc.log_path.read_text(errors="replace"):
        fail(f"a scope that is none was not refused: {orthanc.log_tail()}")
    orthanc = Orthanc(folder, dimse__enabled="true")
    orthanc.settings["dimse.enabled"] = "true"
    orthanc.start(wait=False)
    if orthanc.reap(60) == 0 or "dimse.enabled must be false inside Orthanc" not in \
            orthanc.log_path.read_text(errors="replace"):
        fail(f"a second SCP was not refused: {orthanc.log_tail()}")


def by_every_way_in(folder):
    ways = {name: make_study(folder / name, series=1, instances=4, seed=seed)
            for seed, name in enumerate(("dcmsend", "storescu", "rest", "stow", "peer"), 10)}
    with Orthanc(folder) as orthanc:
        peer = Orthanc(folder / "peer-orthanc", plugin=False, orthanc={
            "OrthancPeers": {"here": [f"http://127.0.0.1:{orthanc.http_port}/", "", ""]}})
        peer.folder.mkdir()
        dcmsend(orthanc.dimse_port, folder / "dcmsend")
        if storescu(orthanc, folder / "storescu").returncode != 0:
            fail("storescu failed")
        for path in ways["rest"]:
            answer = json.loads(orthanc.rest("/instances", "POST", path.read_bytes()))
            if answer["Status"] != "Success":
                fail(f"POST /instances: {answer}")
        stow(orthanc, ways["stow"])
        with peer:
            for path in ways["peer"]:
                peer.rest("/instances", "POST", path.read_bytes())
            [study] = peer.json("/studies")
            peer.rest("/peers/here/store", "POST", study.encode())
        # Known before anybody looked at the change feed: the callback is the receiver.
        sent = [uid for files in ways.values() for uid in uids_of(files)]
        known = {row[0] for row in rows(orthanc, "SELECT sop_instance_uid FROM instance")}
        orthanc.wait_settled()
        total = imported_exactly_once(orthanc, sent, folder)
        if total != len(sent) or orthanc.metric("isthmus_orthanc_fetched_total") != 0:
            fail(f"{total} imported of {len(sent)}, {orthanc.metric('isthmus_orthanc_fetched_total')} fetched")
        if f'isthmus_orthanc_ahead_total{{result="taken"}} {len(sent)}\n' not in orthanc.get("/metrics"):
            fail(f"begun beside Orthanc: {orthanc.metric('isthmus_orthanc_ahead_total')} of {len(sent)}")
        origins = set(rows(orthanc, "SELECT receiver, calling_ae_title, called_ae_title FROM instance"))
        if ("orthanc", "CT1", "ORTHANC") not in origins or {one[0] for one in origins} != {"orthanc"}:
            fail(f"origins: {origins}")
        print(f"{total} imported, {len(known)} of them with a row at once")


def handlers_under_isthmus(folder):
    account = {"Authorization": "Basic aXN0aG11czpzZWNyZXQ="}  # isthmus:secret
    orthanc = Orthanc(folder)
    with orthanc:
        ready = json.loads(orthanc.get("/readyz"))
        if not ready["ready"] or "isthmus_orthanc_feed_behind_count" not in orthanc.get("/metrics"):
            fail(f"not ready: {ready}")
        for path, status in (("/isthmus/nothing", 404), ("/isthmus/control/retry", 405)):
            try:
                orthanc.rest(path)
                fail(f"{path} was answered")
            except urllib.error.HTTPError as error:
                if error.code != status:
                    fail(f"{path} was answered {error.code}")
        moved = json.loads(orthanc.rest("/isthmus/control/retry", "POST", b'{"what": "all"}'))
        if moved != {"moved": 0}:
            fail(f"retry: {moved}")
        # Orthanc takes everything down and up again, this library included.
        orthanc.rest("/tools/reset", "POST", b"")
        deadline = time.monotonic() + 60
        while orthanc.log_path.read_text(errors="replace").count("isthmus bridge.started") < 2:
            if time.monotonic() > deadline:
                fail(f"no second start: {orthanc.log_tail()}")
            time.sleep(0.1)
        orthanc.wait_listening()
        make_study(folder / "study", series=1, instances=2)
        dcmsend(orthanc.dimse_port, folder / "study")
        orthanc.wait_settled()
        if orthanc.totals()["imported"] != 2:
            fail(f"after a reset: {orthanc.totals()}")
        # Deep work of a handler: Orthanc's own threads have little stack.
        uid = orthanc.studies()[0]["study_instance_uid"]
        change = json.dumps({"set": {"StudyDescription": {"Value": ["CORRECTED"]}}}).encode()
        found = json.loads(orthanc.rest(f"/isthmus/v1/studies/{uid}", "POST", change, {
            "Content-Type": "application/json", "X-Isthmus-Method": "PATCH?dryRun=true"}))
        [attribute] = found["updates"][0]["image_sets"][0]["attributes"]
        if not attribute["changes"] or attribute["wanted"] != "CORRECTED":
            fail(f"dry run: {found}")
    if orthanc.start().stop() != 0:
        fail(f"not ended cleanly: {orthanc.log_tail()}")
    locked = Orthanc(folder, orthanc={"AuthenticationEnabled": True,
                                      "RegisteredUsers": {"isthmus": "secret"}})
    locked.start(wait=False)
    deadline = time.monotonic() + 60
    while True:
        try:
            locked.rest("/isthmus/readyz")
            fail("Orthanc did not ask who calls")
        except urllib.error.HTTPError as error:
            if error.code == 401:
                break
            fail(f"without an account: {error.code}")
        except OSError:
            if time.monotonic() > deadline:
                fail(locked.log_tail())
            time.sleep(0.05)
    locked.rest("/isthmus/readyz", headers=account)
    locked.kill()


def threads_of(orthanc):
    """How many there are of each name, but for Orthanc's own, which its web server begins when it likes."""
    names = [(task / "comm").read_text().strip()
             for task in pathlib.Path(f"/proc/{orthanc.process.pid}/task").iterdir()]
    return {name: names.count(name) for name in names
            if name != "Orthanc" and not name.startswith("civetweb")}


def settled_threads_of(orthanc):
    """When none came or went for a second: a start begins the last of them after it says that it is done."""
    now, since = threads_of(orthanc), time.monotonic()
    while time.monotonic() < since + 1:
        time.sleep(0.1)
        if (then := threads_of(orthanc)) != now:
            now, since = then, time.monotonic()
    return now


def unloaded_and_loaded_again(folder):
    """Orthanc takes everything down and up again, this library included: nothing of it is left behind."""
    files = make_study(folder / "study", series=1, instances=2)
    with Orthanc(folder) as orthanc:
        first = settled_threads_of(orthanc)
        for start in (2, 3, 4):
            orthanc.rest("/tools/reset", "POST", b"")
            deadline = time.monotonic() + 60
            while orthanc.log_path.read_text(errors="replace").count("isthmus bridge.started") < start:
                if time.monotonic() > deadline:
                    fail(f"no start {start}: {orthanc.log_tail()}")
                time.sleep(0.1)
            orthanc.wait_listening()
        dcmsend(orthanc.dimse_port, folder / "study")
        orthanc.wait_settled()
        if imported_exactly_once(orthanc, uids_of(files), folder) != len(files):
            fail("not all were imported")
        deadline = time.monotonic() + 30
        while {name: count for name, count in threads_of(orthanc).items()
               if count > first.get(name, 0)} and time.monotonic() < deadline:
            time.sleep(0.1)  # one that a request of this test just used may still end
        more = {name: count for name, count in threads_of(orthanc).items()
                if count > first.get(name, 0)}
        if "orthanc-feed" not in first or more:
            fail(f"threads left behind: {more}, at first {first}")
        if orthanc.stop() != 0:
            fail(f"not ended cleanly: {orthanc.log_tail()}")
        print(f"loaded four times, {len(first)} kinds of threads each time")


def one_dcmtk_for_both(folder):
    """Two versions of DCMTK in one process would share names and not layouts."""
    with Orthanc(folder) as orthanc:
        maps = pathlib.Path(f"/proc/{orthanc.process.pid}/maps").read_text()
        held = {name: {line.split()[-1] for line in maps.splitlines() if f"/{name}." in line}
                for name in ("libdcmdata.so", "libdcmnet.so", "liboflog.so", "libsqlite3.so", "libssl.so")}
    if not held["libdcmdata.so"] or any(len(paths) > 1 for paths in held.values()):
        fail(f"in one process: {held}")
    print("one each of", ", ".join(held))


def orthancs_users_have_scopes(folder):
    accounts = {"Jane": "a", "guest": "b", "boss": "c"}
    users = {"orthanc.scopes": '["operate"]', "orthanc_users.jane.name": "Jane",
             "orthanc_users.jane.scopes": '["read"]', "orthanc_users.boss.scopes": '["admin", "read"]'}
    orthanc = Orthanc(folder, orthanc={"AuthenticationEnabled": True, "RegisteredUsers": accounts}, **users)
    orthanc.account = "boss:c"

    def answered(name, path, method="GET", body=None, **headers):
        words = {"Authorization": basic(f"{name}:{accounts[name]}"),
                 **{key.replace("_", "-"): value for key, value in headers.items()}}
        try:
            orthanc.rest(path, method, body, words)
            return 200
        except urllib.error.HTTPError as error:
            return error.code

    retry = ("/isthmus/control/retry", "POST", b'{"what": "all"}')
    with orthanc:
        found = {
            "who reads reads": answered("Jane", "/isthmus/orthanc"),
            "and the API": answered("Jane", "/isthmus/v1/studies"),
            "and orders nothing": answered("Jane", *retry),
            "whatever it says": answered("Jane", *retry, X_Isthmus_On_Behalf_Of="admin operate;me"),
            "others order": answered("guest", *retry),
            "and read nothing": answered("guest", "/isthmus/orthanc"),
            "nor a study": answered("guest", "/isthmus/orthanc/study?uid=1.2"),
            "nor the API": answered("guest", "/isthmus/v1/studies"),
            "whether it lives all may know": answered("guest", "/isthmus/healthz"),
        }
        if list(found.values()) != [200, 200, 403, 403, 200, 403, 403, 403, 200]:
            fail(f"{found}")
        audit = json.loads(orthanc.get("/v1/audit"))
        if {item["caller"] for item in audit["items"]} != {"orthanc/guest"}:
            fail(f"audit: {audit}")
        print("scopes:", found)
    # Where Orthanc asks for no password, whoever writes a name is one of the others all the same.
    users = {"orthanc.scopes": '["read"]', "orthanc_users.boss.scopes": '["admin", "operate"]'}
    (folder / "unasked").mkdir()
    with Orthanc(folder / "unasked", **users) as unasked:
        try:
            unasked.rest(*retry, {"Authorization": basic("boss:whatever")})
            fail("a name was believed that nobody had checked")
        except urllib.error.HTTPError as error:
            if error.code != 403:
                fail(f"an unchecked name was answered {error.code}")
        if "orthanc.users_unchecked" not in unasked.log_path.read_text(errors="replace"):
            fail("nobody was told that names are not checked")


def answers_are_as_described(folder):
    schemas = yaml.safe_load((ROOT / "plugin/openapi.yaml").read_text())["components"]["schemas"]
    make_study(folder / "study", series=1, instances=2)
    with Orthanc(folder) as orthanc:
        dcmsend(orthanc.dimse_port, folder / "study")
        orthanc.wait_settled()
        uid = orthanc.studies()[0]["study_instance_uid"]
        wrong = (faults(orthanc.plugin_status(), schemas["Standing"])
                 + faults(orthanc.json(f"/isthmus/orthanc/study?uid={uid}"), schemas["Study"]))
        if wrong:
            fail("; ".join(wrong))
        try:
            orthanc.rest("/isthmus/orthanc/study?uid=1.2.3")
            fail("an unknown study was answered")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                fail(f"an unknown study was answered {error.code}")


def a_full_spool_refuses_and_recovers(folder):
    small = make_study(folder / "small", series=1, instances=3)
    with SmallDisk(folder) as disk, Orthanc(folder, spool__kind="files", spool__retention_s=0,
                                           **MARKS) as orthanc:
        dcmsend(orthanc.dimse_port, folder / "small")
        ballast = disk.path / "ballast"
        ballast.write_bytes(bytes(26 * 1024 * 1024))
        while json.loads(ready_or_not(orthanc))["admission"] != "full":
            time.sleep(0.1)

        refused = make_study(folder / "refused", series=1, instances=2, seed=2)
        done = storescu(orthanc, folder / "refused")
        if "0xa700" not in (done.stdout + done.stderr).lower():
            fail(f"heard: {done.stdout}{done.stderr}")
        # By REST there is no status that makes a sender come again: Orthanc keeps it, we fetch it.
        posted = make_study(folder / "posted", series=1, instances=2, seed=3)
        for path in posted:
            orthanc.rest("/instances", "POST", path.read_bytes())
        ballast.unlink()

        deadline = time.monotonic() + 60
        while json.loads(ready_or_not(orthanc))["admission"] not in ("open", "tight"):
            if time.monotonic() > deadline:
                fail("it did not recover")
            time.sleep(0.1)
        if storescu(orthanc, folder / "refused").returncode != 0:
            fail("refused although there is space")
        orthanc.wait_settled()
        sent = uids_of(small + refused + posted)
        if imported_exactly_once(orthanc, sent, folder) != len(sent):
            fail("not all were imported")
        print(f"0xA700 while full; {len(sent)} imported afterwards")


def what_orthanc_refuses_is_not_ours(folder):
    """Orthanc's index has no room for the large one: it is refused after our part of storing it began."""
    large = make_study(folder / "large", series=1, instances=1, rows=1000, cols=1000)
    small = make_study(folder / "small", series=1, instances=2, seed=2)
    with Orthanc(folder, orthanc={"MaximumStorageSize": 1}) as orthanc:
        if storescu(orthanc, folder / "large").returncode == 0 and orthanc.json("/instances"):
            fail("Orthanc stored what it has no room for")
        # The next of the same thread, or ten seconds, tell that it was refused.
        orthanc.wait_metric("isthmus_orthanc_ahead_total", 1)
        dcmsend(orthanc.dimse_port, folder / "small")
        orthanc.wait_settled()
        if imported_exactly_once(orthanc, uids_of(small), folder) != len(small):
            fail(f"of {large + small}: {orthanc.totals()}")
        orthanc.stop()
        orthanc.start()
        orthanc.wait_settled()
        [[known]] = rows(orthanc, "SELECT count(*) FROM instance")
        if known != len(small):
            fail(f"{known} known after a restart")


def each_batch_is_a_job_of_orthanc(folder):
    def jobs(orthanc):
        return [job for job in orthanc.json("/jobs?expand") if job["Type"] == "IsthmusImport"]

    def wait_ended(orthanc, count):
        deadline = time.monotonic() + 60
        while [job["State"] for job in jobs(orthanc)].count("Success") < count:
            if time.monotonic() > deadline:
                fail(f"jobs: {jobs(orthanc)} {orthanc.log_tail()}")
            time.sleep(0.1)

    make_study(folder / "study", series=1, instances=3)
    make_study(folder / "later", series=1, instances=1, seed=2)
    with Orthanc(folder, batch__quiet_s=3) as orthanc:
        dcmsend(orthanc.dimse_port, folder / "study")
        deadline = time.monotonic() + 30
        while not jobs(orthanc):
            if time.monotonic() > deadline:
                fail(f"no job: {orthanc.log_tail()}")
            time.sleep(0.1)
        orthanc.wait_settled()
        wait_ended(orthanc, 1)
        [job] = jobs(orthanc)
        [[batch, members]] = rows(orthanc, "SELECT id, members FROM batch")
        if (job["Content"]["Batch"], job["Content"]["Instances"], job["Content"]["State"],
                job["Progress"]) != (batch, members, "reconciled", 100) or members != 3:
            fail(f"batch {batch} of {members}: {job}")
        # Killed on its way: a new job for what is not through.
        dcmsend(orthanc.dimse_port, folder / "later")
        orthanc.kill()
        orthanc.start()
        orthanc.wait_settled()
        wait_ended(orthanc, 1)
        if jobs(orthanc)[0]["Content"]["Batch"] == batch:
            fail(f"after a restart: {jobs(orthanc)}")
        print(f"{job['Type']}: {job['Content']}")


class Listener(http.server.BaseHTTPRequestHandler):
    heard, refuse = [], 2

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Listener.heard.append((self.headers["Idempotency-Key"], self.headers["Authorization"], body))
        self.send_response(503 if len(Listener.heard) <= Listener.refuse else 204)
        self.end_headers()

    def log_message(self, *_):
        pass


def an_imported_study_is_told_of(folder):
    files = make_study(folder / "study", series=1, instances=3)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        orthanc = Orthanc(folder, orthanc__notify_url=f"http://127.0.0.1:{server.server_port}/imported")
        orthanc.environment = {"ISTHMUS_ORTHANC_NOTIFY_TOKEN": "secret"}
        with orthanc:
            dcmsend(orthanc.dimse_port, folder / "study")
            orthanc.wait_settled()
            # Told until it was heard, of what is imported.
            orthanc.wait_metric("isthmus_orthanc_notified_total", 1)
            [study] = orthanc.json("/studies")
        server.shutdown()
    keys = {key for key, _, _ in Listener.heard}
    _, token, body = Listener.heard[-1]
    if len(Listener.heard) != 3 or len(keys) != 1 or token != "Bearer secret":
        fail(f"heard: {Listener.heard}")
    if (body["event"], body["orthanc_study"], body["instances"]) != ("StudyImported", study, len(files)):
        fail(f"told: {body}")
    print(f"told after {Listener.refuse} times 503: {body['event']} of {body['instances']} instances")


LYING_DISK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* Fails the sync of the ledger's files once a file of that name is there. */
static int fails(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return strstr(path, "/data/ledger/") && access(getenv("LYING_DISK"), F_OK) == 0;
}
int fsync(int fd) {
  if (fails(fd)) { errno = EIO; return -1; }
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
int fdatasync(int fd) {
  if (fails(fd)) { errno = EIO; return -1; }
  return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
"""


def a_fatal_error_closes_admission_and_orthanc_lives_on(folder):
    source, library, lie = folder / "lying.c", folder / "lying.so", folder / "lie"
    source.write_text(LYING_DISK)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    files = make_study(folder / "study", series=1, instances=2)
    late = make_study(folder / "late", series=1, instances=2, seed=2)
    by_rest = make_study(folder / "by_rest", series=1, instances=1, seed=3)
    orthanc = Orthanc(folder)
    orthanc.environment = {"LD_PRELOAD": str(library), "LYING_DISK": str(lie)}
    with orthanc:
        dcmsend(orthanc.dimse_port, folder / "study")
        orthanc.wait_settled()
        lie.write_text("from now on")

        # Orthanc has stored this one before the ledger fails: it answers success, and owes it to us.
        orthanc.rest("/instances", "POST", by_rest[0].read_bytes())
        deadline = time.monotonic() + 30
        while json.loads(ready_or_not(orthanc))["admission"] != "failed":
            if time.monotonic() > deadline:
                fail(f"admission stays open: {orthanc.log_tail()}")
            time.sleep(0.1)
        refused = storescu(orthanc, folder / "late")
        if "0xa700" not in (refused.stdout + refused.stderr).lower():
            fail(f"heard: {refused.stdout}{refused.stderr}")
        if not orthanc.alive() or len(orthanc.json("/instances")) != 3:
            fail("Orthanc does not live on")
        if "isthmus fatal" not in orthanc.log_path.read_text(errors="replace"):
            fail("no alarm")
        try:
            orthanc.rest("/isthmus/healthz")
            fail("healthy after a fatal error")
        except urllib.error.HTTPError as error:
            if error.code != 503:
                fail(f"/healthz said {error.code}")

        lie.unlink()
        if orthanc.stop() != 0:
            fail(f"Orthanc did not end cleanly: {orthanc.log_tail()}")
        orthanc.start()
        dcmsend(orthanc.dimse_port, folder / "late")
        orthanc.wait_settled()
        sent = uids_of(files + late + by_rest)
        if imported_exactly_once(orthanc, sent, folder) != len(sent):
            fail("not all were imported")
        print(f"0xA700 after the fatal error; {len(sent)} imported after a restart")


def ready_or_not(orthanc):
    try:
        return orthanc.rest("/isthmus/readyz")
    except urllib.error.HTTPError as error:
        return error.read()


def real_files():
    shared = shared_or_none()
    if shared is None:
        return []
    found = []
    for path in sorted((shared / "dicom").rglob("*")):
        if "hostile" in path.parts or "pdu-seeds" in path.parts or not path.is_file():
            continue
        if path.stat().st_size <= 20_000_000 and path.read_bytes()[128:132] == b"DICM":
            found.append(path)
    return found


def posted(orthanc, files, _):
    for path in files:
        with contextlib.suppress(urllib.error.HTTPError):  # Orthanc itself does not want it
            orthanc.rest("/instances", "POST", path.read_bytes())


def stowed(orthanc, files, _):
    for path in files:
        with contextlib.suppress(urllib.error.HTTPError):
            stow(orthanc, [path])


def c_stored(orthanc, files, folder):
    """By our own sender, which sends what it has: stock ones refuse to send what they do not know."""
    outbox = folder / "outbox"
    outbox.mkdir()
    for number, path in enumerate(files):
        (outbox / f"{number}.dcm").symlink_to(path)
    done = subprocess.run([str(BIN / "isthmus-raw-send"), "--port", str(orthanc.dimse_port), "--aec",
                           "ORTHANC", "--quiet", str(outbox)], capture_output=True, text=True, timeout=300)
    print(done.stdout.strip().splitlines()[-1][:160] if done.stdout.strip() else done.stderr[-300:])


def sent_by_a_peer(orthanc, files, folder):
    peer = Orthanc(folder / "peer-orthanc", plugin=False, orthanc={
        "OrthancPeers": {"here": [f"http://127.0.0.1:{orthanc.http_port}/", "", ""]}})
    peer.folder.mkdir()
    with peer:
        posted(peer, files, folder)
        for instance in peer.json("/instances"):
            with contextlib.suppress(urllib.error.HTTPError):
                peer.rest("/peers/here/store", "POST", instance.encode())


def the_real_files(folder):
    """By every way in: what Orthanc keeps is what is known, and each of it is at rest, with a reason unless imported."""
    files = real_files()
    if not files:
        print("no ../shared: the real files were not sent")
        return
    for way in (posted, stowed, c_stored, sent_by_a_peer):
        here = folder / way.__name__
        here.mkdir()
        with Orthanc(here) as orthanc:
            way(orthanc, files, here)
            orthanc.wait_settled(300)
            held = {one["MainDicomTags"]["SOPInstanceUID"] for one in orthanc.json("/instances?expand")}
            untaken = orthanc.plugin_status()["untaken"]
            known = {row[0] for row in rows(orthanc, "SELECT sop_instance_uid FROM instance")}
            states = dict(rows(orthanc, "SELECT state, count(*) FROM delivery GROUP BY state"))
            [[silent]] = rows(orthanc, "SELECT count(*) FROM delivery WHERE state <> 'imported' "
                                       "AND coalesce(reason_code, '') = ''")
        print(f"{way.__name__}: {len(files)} files, Orthanc holds {len(held)}, {len(known)} known, {states}, "
              f"{len(untaken)} untaken", flush=True)
        # More may be known than held: the set has other bytes under one UID, of which Orthanc keeps the first.
        if len(held - known) > len(untaken) or known - held or silent:
            fail(f"held and unknown: {len(held - known)}, untaken: {untaken}; known and not held: "
                 f"{len(known - held)}; without a reason: {silent}")
        if len(held) < len(files) / 2 or states.get("imported", 0) < len(held) / 2:
            fail("most were not stored or not imported")


TESTS = (only_four_symbols, one_dcmtk_for_both, a_bad_configuration_is_named, by_every_way_in, handlers_under_isthmus,
         orthancs_users_have_scopes, answers_are_as_described, unloaded_and_loaded_again,
         what_orthanc_refuses_is_not_ours, an_imported_study_is_told_of,
         each_batch_is_a_job_of_orthanc,
         a_full_spool_refuses_and_recovers, a_fatal_error_closes_admission_and_orthanc_lives_on)
WHEN_ASKED = (the_real_files,)  # minutes, for every way in

if __name__ == "__main__":
    need_orthanc()
    asked = [test for test in TESTS + WHEN_ASKED if test.__name__ in sys.argv[1:]]
    for test in asked or TESTS:
        in_temp_folder(test)
        print("passed:", test.__name__, flush=True)
