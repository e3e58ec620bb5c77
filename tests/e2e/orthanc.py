"""Debian's Orthanc for the e2e suites: with the plugin, asked like a daemon; without, as a peer."""

import base64
import contextlib
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from harness import BIN, SKIP, Daemon, fail

PROGRAM = pathlib.Path("/usr/sbin/Orthanc")
PLUGIN = BIN / "libOrthancIsthmus.so"
DICOMWEB = pathlib.Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def need_orthanc():
    for needed in (PROGRAM, PLUGIN, DICOMWEB):
        if not needed.exists():
            print(f"skipped: no {needed}")
            sys.exit(SKIP)


def free_ports(count):
    """Orthanc takes no port 0. Below those that the system gives to outgoing connections, which come and go."""
    ports = []
    while len(ports) < count:
        port = random.randrange(15_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.append(port)
    return ports


def basic(account):
    return "Basic " + base64.b64encode(account.encode()).decode()


def value_of(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


class Orthanc(Daemon):
    """Orthanc on a folder, with the plugin unless told otherwise. The questions of a Daemon go to the
    plugin: its ledger, its data store, its handlers under /isthmus."""

    # Orthanc listens; these are the plugin's defaults already.
    NOT_OF_PLUGIN = ("dimse.", "http.")

    def __init__(self, folder, plugin=True, orthanc=None, **settings):
        super().__init__(folder, **settings)
        self.settings = {name: value for name, value in self.settings.items()
                         if not name.startswith(self.NOT_OF_PLUGIN)}
        self.settings.setdefault("datastore.listen", "true")
        self.settings.setdefault("orthanc.poll_interval_s", "0.2")
        self.plugin = plugin
        self.extra = orthanc or {}
        self.environment = {}
        self.account = None  # "name:password", where Orthanc asks for it
        self.dimse_port, self.http_port = free_ports(2)
        self.log_path = self.folder / "orthanc.log"

    def section(self):
        whole = {}
        for name, value in self.settings.items():
            *groups, last = name.split(".")
            at = whole
            for group in groups:
                at = at.setdefault(group, {})
            is_number = isinstance(value, str) and not name.endswith("_since")
            at[last] = value_of(value) if is_number else value
        return whole

    def configuration(self):
        plugins = [str(DICOMWEB)] + ([str(PLUGIN)] if self.plugin else [])
        storage = str(self.folder / "orthanc")
        configuration = {
            "Name": "isthmus-e2e", "StorageDirectory": storage, "IndexDirectory": storage,
            "Plugins": plugins, "HttpPort": self.http_port, "DicomPort": self.dimse_port,
            "DicomAet": "ORTHANC", "DicomCheckCalledAet": False, "DicomAlwaysAllowStore": True,
            "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "StableAge": 1,
            "StorageCommitmentReportsSize": 100, "HttpThreadsCount": 8,
            **self.extra}
        if self.plugin:
            configuration["Isthmus"] = self.section()
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(configuration, indent=2))
        return path

    def start(self, *extra, wait=True, timeout=60):
        self.log = open(self.log_path, "ab")
        # TCP_NODELAY: without it each C-STORE waits for delayed acknowledgements (MEASURED).
        self.process = subprocess.Popen(
            [str(PROGRAM), "--verbose", *extra, str(self.configuration())], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=subprocess.STDOUT, 
            env={**os.environ, "TCP_NODELAY": "1", **self.environment})
        if wait:
            self.wait_listening(timeout)
        return self

    def wait_listening(self, timeout=60):
        deadline = time.monotonic() + timeout
        while True:
            if self.process.poll() is not None:
                fail(f"Orthanc ended with {self.process.returncode}: {self.log_tail()}")
            try:
                self.rest("/system")
                if self.plugin:
                    self.listening = self.plugin_status()
                    self.datastore_port = self.listening["datastore_port"]
                return
            except (OSError, urllib.error.URLError):
                if time.monotonic() > deadline:
                    fail(f"Orthanc does not answer: {self.log_tail()}")
                time.sleep(0.05)

    def reap(self, timeout=60):
        if self.process is None:
            return None
        status = self.process.wait(timeout)
        self.log.close()
        self.process = None
        return status

    def stop(self, timeout=60):
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        return self.reap(timeout)

    # --- questions -------------------------------------------------------------------------------
    def rest(self, path, method="GET", body=None, headers=None, timeout=60):
        headers = dict(headers or {})
        if self.account:
            headers.setdefault("Authorization", basic(self.account))
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", method=method,
                                         data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.read()

    def json(self, path, **more):
        return json.loads(self.rest(path, **more))

    def get(self, path):
        return self.rest("/isthmus" + path).decode()

    def plugin_status(self):
        return self.json("/isthmus/orthanc")

    def wait_followed(self, timeout=120):
        """Until the repair has looked at every change, and at what was there before."""
        deadline = time.monotonic() + timeout
        while True:
            status = self.plugin_status()
            # Changes of what was deleted are gone with it: the newest number may name none any more.
            ahead = self.json(f"/changes?since={status['feed']['position']}&limit=1")["Changes"]
            if not ahead and status["import_existing"]["state"] != "running":
                return status
            if time.monotonic() > deadline:
                fail(f"the feed is at {status['feed']}, Orthanc at {ahead}: {self.log_tail()}")
            if not self.alive():
                fail(f"Orthanc ended: {self.log_tail()}")
            time.sleep(0.1)

    def wait_settled(self, timeout=120):
        self.wait_followed(timeout)
        return super().wait_settled(timeout)

    def wait_metric(self, name, least, timeout=30):
        deadline = time.monotonic() + timeout
        while self.metric(name) < least:
            if time.monotonic() > deadline:
                fail(f"{name} is {self.metric(name)}, not {least}: {self.log_tail()}")
            time.sleep(0.1)
