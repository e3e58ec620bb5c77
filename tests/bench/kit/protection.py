"""What TLS costs, and how long a storage commitment takes, beside nothing but ourselves."""

import pathlib
import statistics
import sys
import time

from kit.receivers import Isthmus, free_port

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "e2e"))
from commitment_scu import CommitmentScu, references_of, settings_for  # noqa: E402
from pki import Authority  # noqa: E402

LONG_LIST = 20_000


def tls(raw, work, folders, size_kb, associations, runs):
    """The same sender to the same receiver, on its plain port and on that with TLS, in turns."""
    authority = Authority(work / f"pki-{size_kb}-{associations}")
    pair = authority.issue("gate", key="ec")
    port = free_port()
    Isthmus.more = {"dimse.tls.enabled": "true", "dimse.tls.port": port, "dimse.tls.key": pair.key,
                    "dimse.tls.certificate": pair.certificate,
                    "dimse.tls.client_certificates": "none"}
    receiver = Isthmus(work / "tls-data").start(raw.no_delay)
    try:
        plain, protected = [], []
        for _ in range(runs):
            plain.append(raw.send(receiver.port, folders[:associations]).rate)
            protected.append(raw.send(port, folders[:associations], ("--tls",)).rate)
    finally:
        receiver.remove()
        Isthmus.more = {}
    rates = statistics.median(plain), statistics.median(protected)
    print(f"raw-send {size_kb:>4} KB x{associations}: plain {rates[0]:>7,.0f}  TLS {rates[1]:>7,.0f} instances per "
          f"second, TLS / plain {rates[1] / rates[0]:.2f}", flush=True)


def commitment(raw, work, folder, runs):
    """From an N-ACTION to its answer and to its report, when everything is stored already
    (`commitment.level` spooled: what waits for nothing)."""
    scu = CommitmentScu("BENCHSCU").listen()
    Isthmus.more = {"commitment.level": "spooled", **settings_for(scu)}
    receiver = Isthmus(work / "commitment-data").start()
    try:
        stored = sorted(pathlib.Path(folder).rglob("*.dcm"))
        raw.send_once(receiver.port, folder)
        held = references_of(stored)
        # Longer lists than what is stored: the others are of instances that never came, which are
        # waited for, so only the answer is timed.
        strangers = [(held[0][0], f"2.25.{n + 1}") for n in range(LONG_LIST)]
        for references, told in ((held[:1], True), (held, True), (strangers, False)):
            answers, reports = [], []
            for _ in range(runs):
                began = time.monotonic()
                transaction, status = scu.ask(receiver.port, references, called="BENCH")
                answers.append((time.monotonic() - began) * 1000)
                if status != 0:
                    raise SystemExit(f"commitment: N-ACTION answered {status:#06x}")
                if told:
                    event = scu.wait_events(1, 60, transaction)[0]
                    reports.append((event.at - began) * 1000)
                    if event.failed:
                        raise SystemExit(f"commitment: {len(event.failed)} failed")
            line = f"commitment of {len(references):>6,} instances: answered after {statistics.median(answers):,.0f} ms"
            if told:
                line += f", reported after {statistics.median(reports):,.0f} ms"
            print(line, flush=True)
    finally:
        receiver.remove()
        scu.shut()
        Isthmus.more = {}
