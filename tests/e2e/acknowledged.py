"""A sender that tells at once what was acknowledged, so that whoever kills the receiver knows what it owes.
(dcmsend writes its report when it ends.)"""

import json
import subprocess
import threading

from harness import BIN, fail


class Acknowledged:
    """isthmus-raw-send on a folder; `uids` are those that were answered with success so far."""

    def __init__(self, port, folder, called="ISTHMUS", associations=2):
        self.uids, self.ended = set(), False
        self.changed = threading.Condition()
        self.sender = subprocess.Popen(
            [str(BIN / "isthmus-raw-send"), "--host", "127.0.0.1", "--port", str(port), "--aec", called,
             "--associations", str(associations), "--no-response-timeout", "30", str(folder)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8")
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.sender.stdout:
            answer = json.loads(line)
            if answer.get("status") == "0x0000":
                with self.changed:
                    self.uids.add(answer["sop_instance_uid"])
                    self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait_for(self, count, timeout=60):
        """Returns as soon as so many are acknowledged, or nothing more will be."""
        with self.changed:
            enough = self.changed.wait_for(
                lambda: len(self.uids) >= count or self.ended, timeout)
        if not enough:
            fail(f"{len(self.uids)} of {count} acknowledged within {timeout} s")

    def wait(self, timeout=60):
        self.sender.wait(timeout)
        self.reader.join(timeout)
        return self.uids
