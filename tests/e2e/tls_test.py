"""DICOM over TLS with peers that nobody here wrote: DCMTK's programs and openssl's own client."""

import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time

from commitment_scu import CommitmentScu, references_of, settings_for
from dicomfile import dataset_of, padded
from harness import Daemon, fail, in_temp_folder, make_study, raw_send, shared_or_none
from pki import Authority, openssl
from truth import rows

# Of ../shared/dicom: a third of its valid files; real_input_test.py sends all of them in plain.
REAL = ("transfer-syntax", "charset", "modality", "edge")


def gate(folder, authority, **settings):
    pair = authority.issue("gate", key=settings.pop("own_key", "rsa:2048"))
    return Daemon(folder, dimse__tls__enabled="true", dimse__tls__port=0,
                  dimse__tls__certificate=pair.certificate, dimse__tls__key=pair.key,
                  dimse__tls__ca=authority.certificate, dimse__tls__check_interval_s="0.2", **settings)


def run(*words, timeout=60):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=timeout)


def echo(port, *options):
    return run("echoscu", "-aec", "ISTHMUS", "-ta", "5", "-td", "5", *options, "127.0.0.1", port)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_for(what, why, seconds=20):
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            fail(why)
        time.sleep(0.1)


def counted(daemon, metric, label):
    for line in daemon.get("/metrics").splitlines():
        if line.startswith(metric + "{") and label in line:
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def handshakes(daemon, result):
    return counted(daemon, "isthmus_dimse_tls_handshakes_total", f'result="{result}"')


def peers_of_every_profile(folder):
    authority = Authority(folder / "pki")
    ct1 = authority.issue("ct1")
    for own_key in ("rsa:2048", "ec"):
        own_folder = folder / own_key.replace(":", "")
        own_folder.mkdir()
        with gate(own_folder, authority, own_key=own_key) as daemon:
            port = daemon.listening["dimse_tls_port"]
            for profile in ("+py", "+px", "+pz"):
                done = echo(port, *ct1.dcmtk(authority), profile)
                # DCMTK 3.6.7 has TLS 1.2 alone in +pz, and its suites there are for RSA keys too.
                if done.returncode != 0:
                    fail(f"{own_key} {profile}: {done.stderr}{daemon.log_tail(5)}")
            for version in ("-tls1_2", "-tls1_3"):
                done = openssl("s_client", "-connect", f"127.0.0.1:{port}", version, "-cert",
                               ct1.certificate, "-key", ct1.key, "-CAfile", authority.certificate,
                               "-verify_return_error", text_in="", check=False)
                if done.returncode != 0 or "Verify return code: 0" not in done.stdout:
                    fail(f"{version}: {done.stderr[-300:]}")
            for version in ("-tls1", "-tls1_1"):
                done = openssl("s_client", "-connect", f"127.0.0.1:{port}", version, "-cipher",
                               "ALL:@SECLEVEL=0", text_in="", check=False)
                if done.returncode == 0:
                    fail(f"{version} was let in")
            wait_for(lambda: handshakes(daemon, "protocol_version") == 2, "old versions uncounted")
            if echo(daemon.dimse_port).returncode != 0:
                fail("the plain port does not answer beside it")


def wrong_ones_are_refused(folder):
    authority, stranger = Authority(folder / "pki"), Authority(folder / "stranger", "stranger")
    good, revoked = authority.issue("good"), authority.issue("revoked")
    crl = authority.crl(revoked)
    wrong = {"weak_certificate": authority.issue("weak", key="rsa:1024"),
             "certificate_expired": authority.issue("expired", days=-1),
             "unknown_ca": stranger.issue("other"),
             "certificate_revoked": revoked}
    with gate(folder, authority, dimse__tls__crl=crl) as daemon:
        port = daemon.listening["dimse_tls_port"]
        if echo(port, *good.dcmtk(authority)).returncode != 0:
            fail(f"the good one is refused: {daemon.log_tail(5)}")
        for reason, pair in wrong.items():
            if echo(port, *pair.dcmtk(authority)).returncode == 0:
                fail(f"let in: {reason}")
            wait_for(lambda: handshakes(daemon, reason) == 1, f"uncounted: {reason}")
        if echo(port, *authority.issue("sha1", digest="sha1").dcmtk(authority)).returncode == 0:
            fail("a certificate signed with SHA-1 was let in")
        wait_for(lambda: handshakes(daemon, "weak_certificate") == 2, "uncounted: SHA-1")
        if echo(port, "+tla", "-ic").returncode == 0:
            fail("let in without a certificate")
        wait_for(lambda: handshakes(daemon, "no_certificate") == 1, "uncounted: no certificate")
        begun = time.monotonic()
        if echo(port).returncode == 0:
            fail("a plain client was answered on the port that speaks TLS")
        if time.monotonic() - begun > 3:
            fail("a plain client hangs on the port that speaks TLS")
        wait_for(lambda: handshakes(daemon, "plain_on_tls_port") == 1, "uncounted: plain")
        if echo(daemon.dimse_port, *good.dcmtk(authority)).returncode == 0:
            fail("a TLS client was answered on the plain port")
        wait_for(lambda: 'reason="tls_on_plain_port"' in daemon.get("/metrics"), "uncounted: TLS")
        log = daemon.log_path.read_text(errors="replace")
        for reason in (*wrong, "no_certificate", "plain_on_tls_port"):
            if f"reason={reason}" not in log:
                fail(f"not in the log: {reason}")


def certificates_are_replaced_under_load(folder):
    authority = Authority(folder / "pki")
    ct1 = authority.issue("ct1", key="ec")
    first, second = authority.issue("first", key="ec"), authority.issue("second", key="ec")
    certificate, key = folder / "own.pem", folder / "own.key"

    def install(pair):
        for source, target in ((pair.certificate, certificate), (pair.key, key)):
            part = folder / "part"
            shutil.copy(source, part)
            os.chmod(part, 0o600)
            os.replace(part, target)

    install(first)
    settings = dict(dimse__tls__enabled="true", dimse__tls__port=0, dimse__tls__certificate=certificate,
                    dimse__tls__key=key, dimse__tls__ca=authority.certificate,
                    dimse__tls__check_interval_s="0.2", http__port=free_port())
    study = make_study(folder / "study", series=1, instances=4)
    with Daemon(folder, **settings) as daemon:
        port = daemon.listening["dimse_tls_port"]
        stop, sent, failures = threading.Event(), [0], []

        def keep_sending():
            while not stop.is_set():
                done = run("storescu", *ct1.dcmtk(authority), "-aec", "ISTHMUS", "127.0.0.1", port,
                           *study)
                sent[0] += 1
                if done.returncode != 0:
                    failures.append(done.stderr[-300:])

        senders = [threading.Thread(target=keep_sending) for _ in range(2)]
        for sender in senders:
            sender.start()
        log = lambda: daemon.log_path.read_text(errors="replace")
        for number, pair in enumerate((second, first, second), 1):
            install(pair)
            wait_for(lambda: log().count("tls.reloaded name=dimse ") == number, "no reload was seen")
        certificate.write_text("damaged")
        wait_for(lambda: "tls.reload_refused" in log(), "a damaged certificate was not told")
        if str(certificate) not in log():
            fail("the log does not name the file")
        done = daemon.command("reload", check=False)
        if done.returncode != 2 or str(certificate) not in done.stderr:
            fail(f"isthmus reload of a damaged file gave {done.returncode}: {done.stderr}")
        answer = openssl("s_client", "-connect", f"127.0.0.1:{port}", text_in="", check=False).stdout
        if "CN = second" not in answer:
            fail("the damaged file took the place of the good one")
        install(first)
        if "certificates" not in daemon.command("reload").stdout:
            fail("isthmus reload says nothing")
        stop.set()
        for sender in senders:
            sender.join()
        if failures or sent[0] < 4:
            fail(f"{len(failures)} of {sent[0]} associations failed: {failures[:1]}")
        status = daemon.command("status", check=False)
        if "certificate dimse" not in status.stdout:
            fail(f"status says nothing of certificates: {status.stdout}")
        print(f"{sent[0]} associations while certificates changed, none failed")


def what_arrives_is_what_was_sent(folder):
    """The data sets of real files, byte for byte, through TLS; without them those of a synthetic study."""
    authority = Authority(folder / "pki")
    ct1 = authority.issue("ct1", key="ec")
    shared = shared_or_none()
    files = make_study(folder / "study", series=1, instances=5)
    if shared:
        lines = (shared / "dicom/MANIFEST.tsv").read_text().splitlines()[1:]
        names = [line.split("\t")[0] for line in lines]
        files += [shared / "dicom" / name for name in names if name.startswith(REAL)
                  and "DICOMDIR" not in name]
    with gate(folder, authority) as daemon:
        answers = raw_send(daemon.listening["dimse_tls_port"], "--tls-cert", ct1.certificate,
                           "--tls-key", ct1.key, *files)
        statuses = {answer["file"]: answer.get("status") for answer in answers if "file" in answer}
        daemon.wait_rows()
        stored = {digest for digest, in rows(daemon, "SELECT dataset_digest FROM instance")}
    kept = 0
    for path in files:
        if statuses.get(str(path)) != "0000":
            continue
        data = dataset_of(path.read_bytes())
        if not {hashlib.sha256(data).hexdigest(), hashlib.sha256(padded(data)).hexdigest()} & stored:
            fail(f"{path.name}: what was stored is not what was sent")
        kept += 1
    # Some files of `edge` are not to be stored, in plain as by TLS; none may end the association.
    broken = [answer for answer in answers if "file" in answer and "skipped" not in answer
              and answer.get("status") is None]
    if kept < len(files) * 0.8 or broken:
        fail(f"{kept} of {len(files)} were stored; not answered: {broken[:2]}")
    print(f"{kept} of {len(files)} stored through TLS, each with the bytes that were sent")


def a_sender_is_bound_to_its_certificate(folder):
    authority = Authority(folder / "pki")
    ct1, mr1 = authority.issue("ct1", key="ec"), authority.issue("mr1", key="ec")
    known = dict(dimse__admission="known", senders__ct1__calling_ae_titles="CT1",
                 senders__ct1__tls_identities="ct1", senders__mr1__calling_ae_titles="MR1",
                 senders__mr1__tls_identities="mr1")
    study = make_study(folder / "study", series=1, instances=2)
    with gate(folder, authority, **known) as daemon:
        port = daemon.listening["dimse_tls_port"]

        def store(title, where, *options):
            return run("storescu", "-aet", title, "-aec", "ISTHMUS", *options, "127.0.0.1", where,
                       *study)

        for title, pair in (("CT1", ct1), ("MR1", mr1)):
            done = store(title, port, *pair.dcmtk(authority))
            if done.returncode != 0:
                fail(f"{title} with its own certificate: {done.stderr}{daemon.log_tail(5)}")
        wrong = {"the other one's certificate": (port, *mr1.dcmtk(authority)),
                 "no TLS": (daemon.dimse_port,)}
        for what, how in wrong.items():
            if store("CT1", *how).returncode == 0:
                fail(f"CT1 was let in with {what}")
        wait_for(lambda: counted(daemon, "isthmus_dimse_refused_total", 'reason="sender_tls"') == 2,
                 "not counted as sender_tls")


def reports_go_by_tls(folder):
    ours, theirs = Authority(folder / "pki"), Authority(folder / "stranger", "stranger")
    pair = theirs.issue("modality", key="ec", names="DNS:elsewhere.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    context.load_verify_locations(ours.certificate)
    context.verify_mode = ssl.CERT_REQUIRED  # it asks for our certificate
    scu = CommitmentScu(tls=context).listen()
    settings = settings_for(scu, senders__modality__report_tls="true")
    settings = {name.replace(".", "__"): value for name, value in settings.items()}
    files = make_study(folder / "study", series=1, instances=2)
    data = folder / "gate"
    data.mkdir()
    with gate(data, ours, **settings) as daemon:
        raw_send(daemon.dimse_port, *files, check=True)
        transaction, status = scu.ask(daemon.dimse_port, references_of(files))
        if status != 0:
            fail(f"N-ACTION answered {status:#06x}")
        # Its certificate is of an authority that nobody here trusts.
        wait_for(lambda: "unknown_ca" in daemon.command("commitments", "--json").stdout,
                 f"not refused: {daemon.log_tail(10)}", 60)
        if scu.events:
            fail("told over a connection that proves nothing")
    der = ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())
    settings["senders__modality__report_tls_pin"] = hashlib.sha256(der).hexdigest()
    with gate(data, ours, **settings) as daemon:
        [event] = scu.wait_events(1, 60, transaction)
        if event.failed or len(event.committed) != 2:
            fail(f"told {event.committed} and {event.failed}")
    scu.shut()


for test in (peers_of_every_profile, wrong_ones_are_refused, certificates_are_replaced_under_load,
             what_arrives_is_what_was_sent, a_sender_is_bound_to_its_certificate,
             reports_go_by_tls):
    in_temp_folder(test)
    print("passed:", test.__name__, flush=True)
