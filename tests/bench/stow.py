"""Store (STOW-RS) beside Orthanc's DICOMweb plugin in one run, on the same files, one instance a request over
connections that stay open; then memory: one body of 4 GB, and 32 bodies of 200 MB at once.

Isthmus answers after sync and commit; Orthanc syncs its files (SyncStorageArea), not its index. Requests are made
before the clock starts, with fresh UIDs. Medians of --runs; what the issue asks for stands beside as "ok" or "below".
"""

import argparse
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from kit.receivers import Isthmus, Orthanc, Receiver, cpu_seconds, peak_kib  # noqa: E402
from stow_client import BOUNDARY, RELATED, related  # noqa: E402

AT_LEAST = 3
MOST_MIB = 96
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--count", type=int, default=100, help="instances of each connection")
    parser.add_argument("--size-kb", type=int, default=512)
    parser.add_argument("--connections", default="1,4")
    parser.add_argument("--big-mb", type=int, default=4000)
    parser.add_argument("--parallel", type=int, default=32)
    parser.add_argument("--parallel-mb", type=int, default=200)
    parser.add_argument("--only", default="rate,memory")
    parser.add_argument("--reused", type=int, default=12,
                        help="segments of the spool that are there from before; 0: its first day")
    return parser.parse_args()


class IsthmusStow(Isthmus):
    path = "/dicom-web/studies"

    def command(self):
        self.more = {"http.port": self.port, "dimse.enabled": "false", "datastore.listen": "false",
                     "spool.kind": "segments"}
        return super().command()


class OrthancStow(Orthanc):
    path = "/dicom-web/studies"

    def command(self):
        words = super().command()
        path = pathlib.Path(words[-1])
        config = json.loads(path.read_text())
        config.update({"HttpServerEnabled": True, "HttpPort": self.port, "DicomServerEnabled": False,
                       "AuthenticationEnabled": False, "KeepAlive": True, "Plugins": [PLUGIN],
                       "DicomWeb": {"Enable": True}})
        path.write_text(json.dumps(config))
        return words


def start(kind, folder):
    """A receiver that listens for HTTP; the bench's own wait, for neither speaks DIMSE here."""
    receiver = kind(folder / f"{kind.name}-data")
    receiver.log = open(receiver.folder / "log", "wb")
    receiver.process = subprocess.Popen(receiver.command(), stdout=subprocess.DEVNULL, stderr=receiver.log)
    for _ in range(600):
        link = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=5)
        try:
            link.request("GET", "/")
            link.getresponse().read()
            return receiver
        except OSError:
            if receiver.process.poll() is not None:
                break
            time.sleep(0.05)
        finally:
            link.close()
    raise SystemExit(f"{receiver.name} did not start: {(receiver.folder / 'log').read_text()[-500:]}")


def with_uid(data, old, number):
    """The file under another SOP Instance UID of the same length."""
    new = old[:-8] + f"{10_000_000 + number}".encode()
    return data.replace(old, new)


def sop_instance_uid(data):
    at = data.index(b"\x02\x00\x03\x00UI")
    length, = struct.unpack_from("<H", data, at + 6)
    return data[at + 8:at + 8 + length].rstrip(b"\0")


def template(folder, size_kb):
    target = folder / f"template-{size_kb}"
    subprocess.run([str(Receiver.bin / "isthmus-dicom-factory"), "make-study", "--out", str(target), "--series",
                    "1", "--instances", "1", "--size-kb", str(size_kb)], check=True, stdout=subprocess.DEVNULL)
    path, = (one for one in target.rglob("*") if one.is_file())
    return path.read_bytes()


class Link:
    """An HTTP connection that costs next to nothing: what is measured is the receiver, on the same processors."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, path, content):
        head = (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {RELATED}\r\n"
                f"Accept: application/dicom+json\r\nContent-Length: {len(content)}\r\n\r\n").encode()
        self.socket.sendall(head)
        self.socket.sendall(content)
        text = b""
        while b"\r\n\r\n" not in text:
            text += self.more()
        head, _, body = text.partition(b"\r\n\r\n")
        length = int(re.search(rb"\r\ncontent-length: *(\d+)", head.lower()).group(1))
        while len(body) < length:
            body += self.more()
        return int(head[9:12]), body

    def more(self):
        piece = self.socket.recv(1 << 16)
        if not piece:
            raise SystemExit("the receiver ended a connection")
        return piece


def drive(receiver, bodies):
    """One connection for each list of bodies; instances per second, p50 and p99 in milliseconds, and the receiver's
    processor time for an instance in microseconds."""
    times, failures, gate = [], [], threading.Barrier(len(bodies) + 1)

    def work(mine):
        link = Link(receiver.port)
        gate.wait()
        for content in mine:
            begun = time.perf_counter()
            status, text = link.post(receiver.path, content)
            times.append(time.perf_counter() - begun)
            if status != 200:
                failures.append((status, text[:300]))
        link.socket.close()

    threads = [threading.Thread(target=work, args=(mine,)) for mine in bodies]
    for thread in threads:
        thread.start()
    gate.wait()
    begun, busy = time.perf_counter(), cpu_seconds(receiver.process.pid)
    for thread in threads:
        thread.join()
    took, busy = time.perf_counter() - begun, cpu_seconds(receiver.process.pid) - busy
    if failures:
        raise SystemExit(f"{receiver.name}: {failures[0]}")
    ordered = sorted(times)
    return (len(times) / took, ordered[len(ordered) // 2] * 1000, ordered[int(0.99 * len(ordered))] * 1000,
            busy / len(times) * 1e6)


def rates(arguments, folder):
    data = template(folder, arguments.size_kb)
    uid = sop_instance_uid(data)
    number = 0
    for connections in [int(word) for word in arguments.connections.split(",")]:
        results = {}
        for _ in range(arguments.runs):
            for kind in (IsthmusStow, OrthancStow):
                bodies = []
                for _ in range(connections):
                    bodies.append([related([with_uid(data, uid, number + i)]) for i in range(arguments.count)])
                    number += arguments.count
                receiver = start(kind, folder)
                try:
                    results.setdefault(kind.name, []).append(drive(receiver, bodies))
                finally:
                    receiver.remove()
        median = {name: [statistics.median(column) for column in zip(*runs)] for name, runs in results.items()}
        ratio = median["isthmus"][0] / median["orthanc"][0]
        for name, (rate, p50, p99, busy) in median.items():
            print(f"{arguments.size_kb} KB x{connections}: {name} {rate:,.0f} inst/s, p50 {p50:.1f} ms, "
                  f"p99 {p99:.1f} ms, processor {busy:,.0f} us an instance")
        print(f"{arguments.size_kb} KB x{connections}: ratio to Orthanc {ratio:.1f} "
              f"(at least {AT_LEAST}: {'ok' if ratio >= AT_LEAST else 'below'})", flush=True)


class Large:
    """A body of one large instance, made while it is sent: the template with longer pixel data."""

    def __init__(self, data, uid, number, megabytes):
        data = with_uid(data, uid, number)
        at = data.index(b"\xe0\x7f\x10\x00OW")
        self.pixels = megabytes * 1_000_000
        self.front = (f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode() + data[:at + 8] +
                      struct.pack("<I", self.pixels))
        self.back = f"\r\n--{BOUNDARY}--\r\n".encode()
        self.size = len(self.front) + self.pixels + len(self.back)

    def __iter__(self):
        yield self.front
        piece = os.urandom(1 << 16)
        left = self.pixels
        while left > 0:
            yield piece[:left]
            left -= min(left, len(piece))
        yield self.back


def send_large(receiver, body, answers):
    link = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=600)
    link.request("POST", receiver.path, iter(body), {"Content-Type": RELATED, "Content-Length": str(body.size)})
    answer = link.getresponse()
    answers.append((answer.status, answer.read()[:300]))
    link.close()


def memory(arguments, folder, name, count, megabytes, number):
    data = template(folder, 20)
    uid = sop_instance_uid(data)
    receiver = start(IsthmusStow, folder)
    try:
        answers = []
        begun = time.perf_counter()
        threads = [threading.Thread(target=send_large, args=(
            receiver, Large(data, uid, number + i, megabytes), answers)) for i in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - begun
        if [status for status, _ in answers] != [200] * count:
            raise SystemExit(f"{name}: {answers}")
        peak = peak_kib(receiver.process.pid) / 1024
        print(f"memory, {name}: peak {peak:.1f} MiB in {took:.0f} s (at most {MOST_MIB}: "
              f"{'ok' if peak <= MOST_MIB else 'above'})", flush=True)
    finally:
        receiver.remove()


def main():
    arguments = parse_arguments()
    Receiver.bin = pathlib.Path(arguments.bin).resolve()
    IsthmusStow.reused = arguments.reused
    print(f"load at the start: {os.getloadavg()[0]:.2f}, {arguments.reused} segments there from before")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="isthmus-bench-"))
    try:
        if "rate" in arguments.only:
            rates(arguments, folder)
        if "memory" in arguments.only:
            memory(arguments, folder, f"one body of {arguments.big_mb} MB", 1, arguments.big_mb, 1)
            memory(arguments, folder, f"{arguments.parallel} bodies of {arguments.parallel_mb} MB at once",
                   arguments.parallel, arguments.parallel_mb, 100)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
