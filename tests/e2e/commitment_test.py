"""Storage commitment end to end: asked by N-ACTION, told by N-EVENT-REPORT, and never more than is true.

usage: commitment_test.py [TEST …]
"""

import json
import sys
import time

from commitment_scu import CommitmentScu, EXPLICIT, new_uid, references_of, settings_for
from harness import Daemon, dcmsend, fail, in_temp_folder, make_study, raw_send
from truth import imported_exactly_once, rows

CT = "1.2.840.10008.5.1.4.1.1.2"
STEP = "1.2.840.10008.3.1.2.3.3"  # a Modality Performed Procedure Step
PRIVATE_SYNTAX = "1.2.840.10008.1.2.4.9999"  # kept by us, imported by nobody


def commitments(daemon):
    return [json.loads(line) for line in daemon.command("commitments", "--json").stdout.splitlines()]


def wait_state(daemon, transaction, state, timeout=30):
    deadline = time.monotonic() + timeout
    while True:
        [one] = [one for one in commitments(daemon) if one["transaction_uid"] == transaction]
        if one["state"] == state:
            return one
        if time.monotonic() > deadline:
            fail(f"{one} is not {state}\n{daemon.log_tail()}")
        time.sleep(0.1)


def says(event, committed, failed):
    """The event has every reference exactly once, with the result that it should have."""
    assert event.event_type == (2 if failed else 1), event.event_type
    assert set(event.committed) == set(committed), (len(event.committed), len(committed))
    assert event.failed == failed, (event.failed, failed)
    assert event.count == len(committed) + len(failed), event.count
    assert not event.retrieve_ae_title


def comes_back_and_is_told_once(folder):
    files = make_study(folder / "study", series=2, instances=3)
    odd = make_study(folder / "odd", series=1, instances=1, seed=2,
                     extra=("--transfer-syntax", PRIVATE_SYNTAX))
    scu = CommitmentScu()
    daemon = Daemon(folder, batch__quiet_s=2, **settings_for(scu)).start()
    try:
        dcmsend(daemon.dimse_port, folder / "study")
        raw_send(daemon.dimse_port, folder / "odd", check=True)
        good, bad = references_of(files), references_of(odd)
        transaction, status = scu.ask(daemon.dimse_port, good + bad)
        assert status == 0, hex(status)
        # Nobody is there. The batches wait 2 s to be sealed: what is asked now is on its way.
        waiting = wait_state(daemon, transaction, "pending")
        assert waiting["references"] == 7, waiting
        daemon.wait_settled()
        answered = wait_state(daemon, transaction, "answered")
        assert answered["failed"] == 1, answered
        deadline = time.monotonic() + 20
        while wait_state(daemon, transaction, "answered")["attempts"] < 2:
            assert time.monotonic() < deadline, "no report is tried"
            time.sleep(0.2)
        assert wait_state(daemon, transaction, "answered")["overdue"]
        daemon.kill()
        daemon.start()
        scu.listen()
        [event] = scu.wait_events(1, timeout=30)
        says(event, [uid for _, uid in good], {uid: 0x0110 for _, uid in bad})
        assert (event.calling, event.called) == ("ISTHMUS", "MODALITY"), vars(event)
        # `imported` only for what the manifest says.
        imported_exactly_once(daemon, list(event.committed), folder)
        delivered = wait_state(daemon, transaction, "delivered")
        assert delivered["attempts"] >= 3, delivered
        daemon.kill()
        daemon.start()
        time.sleep(3)
        assert len(scu.events) == 1, "once acknowledged it is not repeated"
        assert not scu.problems, scu.problems
        story = daemon.command("history", transaction).stdout
        for word in ("requested", "evaluated", "acknowledged"):
            assert story.count(word) == 1, story
        [words] = rows(daemon, "SELECT detail FROM commitment_reference WHERE failure_reason <> 0")
        assert words[0].startswith("main: "), words
        assert 'subject="commitment"' in daemon.get("/metrics")
        assert daemon.stop() == 0
    finally:
        daemon.kill()
        scu.shut()


def every_reason_and_every_repetition(folder):
    files = make_study(folder / "study", series=1, instances=2)
    scu = CommitmentScu(role=False, syntaxes=(EXPLICIT,)).listen()
    settings = settings_for(scu, commitment__unknown_after_s=2)
    with Daemon(folder, **settings) as daemon:
        port = daemon.dimse_port
        good = references_of(files)
        # Asked before anything is sent: what comes after the request counts.
        early, status = scu.ask(port, good)
        assert status == 0
        dcmsend(port, folder / "study")
        daemon.wait_settled()
        says(*scu.wait_events(1, transaction=early), [uid for _, uid in good], {})
        # Unknown, of another class, and of a class that is no storage. Twice in one list is once.
        strange = [(CT, "1.2.3.4.5"), ("1.2.840.10008.5.1.4.1.1.4", good[0][1]), (STEP, "1.2.3.4.6")]
        reasons = {"1.2.3.4.5": 0x0112, good[0][1]: 0x0119, "1.2.3.4.6": 0x0122}
        mixed, status = scu.ask(port, good[1:] + strange + strange, explicit=True, role=(1, 0))
        assert status == 0 and scu.answered_role == (1, 0), scu.answered_role
        asked = time.monotonic()
        [event] = scu.wait_events(1, transaction=mixed)
        assert event.at - asked > 1, "it was called unknown before the wait was over"
        says(event, [good[1][1]], reasons)
        assert event.explicit, "the requester takes nothing but Explicit VR"
        # Repeated: one that was reported is reported again, one that is pending is one event.
        wait_state(daemon, early, "delivered")
        assert scu.ask(port, good, early)[1] == 0
        assert len(scu.wait_events(2, transaction=early)) == 2
        pending = new_uid()
        for _ in range(3):
            assert scu.ask(port, [(CT, "1.9.9")], pending)[1] == 0
        # Another list under it, while it is active: 0131 for all of that one.
        assert scu.ask(port, good, pending)[1] == 0
        first, second = scu.wait_events(2, transaction=pending)
        says(first, [], {uid: 0x0131 for _, uid in good})
        says(second, [], {"1.9.9": 0x0112})
        time.sleep(1)
        assert len(scu.wait_events(2, transaction=pending)) == 2
        # An operator may have it told once more.
        daemon.settings["http.port"] = str(daemon.http_port)
        assert daemon.command("commitments", "resend", mixed).stdout.startswith("1 ")
        says(scu.wait_events(2, transaction=mixed)[1], [good[1][1]], reasons)
        assert daemon.command("commitments", "resend", "1.2.3", check=False).returncode != 0
        assert "commitment.role_not_confirmed" in daemon.log_path.read_text()
        assert not scu.problems, scu.problems
    scu.shut()


def every_refusal_of_a_request(folder):
    scu = CommitmentScu().listen()
    stranger = CommitmentScu(title="STRANGER")
    settings = settings_for(scu, commitment__max_references=3, commitment__max_requests=1)
    with Daemon(folder, **settings) as daemon:
        port = daemon.dimse_port
        one = [(CT, "1.2.3")]
        empty = b"\x08\0\x95\x11\x06\0\0\0" + b"1.2.3\0" + b"\x08\0\x99\x11\0\0\0\0"
        no_list = b"\x08\0\x95\x11\x06\0\0\0" + b"1.2.3\0"
        broken = b"\x08\0\x95\x11\xff\0\0\0" + b"1.2.3\0"
        for status, how in ((0x0118, {"sop_class": CT, "instance": "1.2.3"}),
                            (0x0119, {"sop_class": CT}), (0x0112, {"instance": "1.2.3"}),
                            (0x0123, {"action_type": 2}), (0x0212, {"dataset": False}),
                            (0x0115, {"dataset": empty}), (0x0114, {"dataset": no_list}),
                            (0x0115, {"dataset": broken})):
            assert scu.ask(port, one, **how)[1] == status, (hex(status), how)
        assert scu.ask(port, [])[1] == 0x0115, "an empty list is not all instances"
        assert scu.ask(port, [(CT, f"1.2.{n}") for n in range(1, 5)])[1] == 0x0115, "too many"
        assert scu.ask(port, [(CT, "not a uid")])[1] == 0x0115
        assert scu.ask(port, one, transaction="x")[1] == 0x0115
        assert stranger.ask(port, one)[1] == 0x0124
        assert commitments(daemon) == [], "nothing of that was kept"
        assert scu.ask(port, one)[1] == 0
        assert scu.ask(port, one)[1] == 0x0213, "as many as may wait"
        # Who wants to be SCP and nothing else has nothing to say to us.
        association = scu.open(port, role=(0, 1))
        assert scu.context_result == 3, scu.context_result
        association.release()
    scu.shut()


def habits_of_requesters(folder):
    files = make_study(folder / "study", series=1, instances=2)
    good = references_of(files)
    uids = [uid for _, uid in good]
    later = CommitmentScu("LATER", statuses=(0x0110, 0x0213, 0))
    choosy = CommitmentScu("CHOOSY", only_calling="GATEWAY")
    angry = CommitmentScu("ANGRY", statuses=(0x0115,))
    strict = CommitmentScu("STRICT", role="refuse")
    deaf = CommitmentScu("DEAF", silent=True)
    crowd = [later, choosy, angry, strict, deaf]
    settings = {"commitment.answer_timeout_s": "1"}
    for scu in crowd:
        settings.update(settings_for(scu.listen()))
    with Daemon(folder, **settings) as daemon:
        port = daemon.dimse_port
        dcmsend(port, folder / "study")
        daemon.wait_settled()
        asked = {}
        for scu in crowd:
            called = "GATEWAY" if scu is choosy else "ISTHMUS"
            asked[scu.title], status = scu.ask(port, good, called=called)
            assert status == 0
        choosy_first, _ = choosy.ask(port, good)  # by a title that it does not take reports from
        for event in later.wait_events(3, timeout=30):
            says(event, uids, {})
        wait_state(daemon, asked["LATER"], "delivered")
        says(*choosy.wait_events(1), uids, {})
        wait_state(daemon, asked["CHOOSY"], "delivered")
        refused = wait_state(daemon, asked["ANGRY"], "refused")
        assert refused["error_code"] == "report.refused" and "0115H" in refused["error"], refused
        deaf.wait_events(2, timeout=30)
        assert wait_state(daemon, asked["DEAF"], "answered")["error_code"] == "report.timeout"
        assert wait_state(daemon, asked["STRICT"], "answered")["error_code"] == "report.not_accepted"
        wait_state(daemon, choosy_first, "answered")
        assert choosy.rejected >= 1
        asks = [ask for ask in daemon.status()["asks_for_person"] if ask["subject"] == "commitment"]
        assert [ask["destination"] for ask in asks] == ["ANGRY"], asks
        assert "commitment.refused" in daemon.log_path.read_text()
        assert len(angry.events) == 1, "what was refused is not sent for ever"
        for scu in crowd:
            assert not scu.problems, scu.problems
            assert scu.most_at_once <= 1, f"{scu.title} was told on two associations at once"
            scu.shut()


def on_the_association_of_the_request(folder):
    files = make_study(folder / "study", series=1, instances=2)
    good = references_of(files)
    uids = [uid for _, uid in good]
    scu = CommitmentScu().listen()
    caller = CommitmentScu("CALLER")  # never listens: asks, and comes again to be told
    settings = settings_for(scu, senders__modality__report_on_same_association_ms=20000)
    settings.update(settings_for(caller, senders__caller__report_on_its_associations="true"))
    with Daemon(folder, batch__quiet_s=1, **settings) as daemon:
        port = daemon.dimse_port
        dcmsend(port, folder / "study")
        # It keeps its association open and waits.
        association = scu.open(port)
        transaction = scu.send_action(association, good)
        assert scu.await_action_response(association) == 0
        event = scu.take(association, association.message())
        says(event, uids, {})
        wait_state(daemon, transaction, "delivered")
        # A second request on it, answered as well.
        second = scu.send_action(association, good[:1])
        assert scu.await_action_response(association) == 0
        says(scu.take(association, association.message()), uids[:1], {})
        association.release()
        wait_state(daemon, second, "delivered")
        time.sleep(1)
        assert len(scu.events) == 2, "never on two ways"
        # Released right after the response: told on a new association.
        third, _ = scu.ask(port, good)
        says(*scu.wait_events(1, transaction=third), uids, {})
        # Nobody listens; the next association it opens brings it.
        fourth, status = caller.ask(port, good)
        assert status == 0
        wait_state(daemon, fourth, "answered")
        association = caller.open(port)
        says(caller.take(association, association.message()), uids, {})
        wait_state(daemon, fourth, "delivered")
        association.release()
        assert not scu.problems + caller.problems
    scu.shut()


def twenty_thousand_in_one_request(folder):
    files = make_study(folder / "study", series=1, instances=3)
    known = references_of(files)
    listed = known + [(CT, f"1.2.826.0.1.3680043.2.1125.77.{n}") for n in range(19997)]
    scu = CommitmentScu().listen()
    settings = settings_for(scu, commitment__unknown_after_s=2,
                            senders__modality__report_on_same_association_ms=30000)
    with Daemon(folder, **settings) as daemon:
        dcmsend(daemon.dimse_port, folder / "study")
        daemon.wait_settled()
        before = daemon.peak_resident_kib()
        begun = time.monotonic()
        transaction, status = scu.ask(daemon.dimse_port, listed)
        took = time.monotonic() - begun
        assert status == 0
        [event] = scu.wait_events(1, timeout=60, transaction=transaction)
        assert event.count == 20000 and len(event.failed) == 19997, event.count
        assert set(event.committed) == {uid for _, uid in known}
        assert set(event.failed.values()) == {0x0112}
        wait_state(daemon, transaction, "delivered")
        # The same on its own association.
        association = scu.open(daemon.dimse_port)
        scu.send_action(association, listed)
        assert scu.await_action_response(association) == 0
        event = scu.take(association, association.message())
        assert event.count == 20000
        association.release()
        grown = daemon.peak_resident_kib() - before
        print(f"20,000 references: answered in {took:.2f} s, memory grew by {grown} KiB")
        assert grown < 48 * 1024, grown
    scu.shut()


def one_request_for_each_image(folder):
    """200 requests at once are told on few associations, and intake goes on."""
    files = make_study(folder / "study", series=2, instances=100, rows=16, cols=16)
    references = references_of(files)
    scu = CommitmentScu().listen()
    with Daemon(folder, **settings_for(scu)) as daemon:
        dcmsend(daemon.dimse_port, folder / "study")
        association = scu.open(daemon.dimse_port)
        for one in references:
            scu.send_action(association, [one])
            assert scu.await_action_response(association) == 0
        association.release()
        events = scu.wait_events(200, timeout=90)
        assert len({uid for event in events for uid in event.committed}) == 200
        assert scu.most_at_once == 1
    scu.shut()


def it_stops_while_a_requester_says_nothing(folder):
    files = make_study(folder / "study", series=1, instances=1)
    deaf = CommitmentScu(silent=True).listen()
    with Daemon(folder, commitment__answer_timeout_s=50, **settings_for(deaf)) as daemon:
        dcmsend(daemon.dimse_port, folder / "study")
        transaction, _ = deaf.ask(daemon.dimse_port, references_of(files))
        deaf.wait_events(1)
        begun = time.monotonic()
        assert daemon.stop() == 0
        took = time.monotonic() - begun
        assert took < 10, f"stopping took {took:.1f} s"
        deaf.silent = False
        daemon.start()
        deaf.wait_events(2)
        assert wait_state(daemon, transaction, "delivered")["attempts"] == 1
    deaf.shut()


TESTS = (comes_back_and_is_told_once, every_reason_and_every_repetition, every_refusal_of_a_request,
         habits_of_requesters, on_the_association_of_the_request, twenty_thousand_in_one_request,
         one_request_for_each_image, it_stops_while_a_requester_says_nothing)
for test in TESTS:
    if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
        continue
    started = time.monotonic()
    in_temp_folder(test)
    print(f"passed: {test.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
