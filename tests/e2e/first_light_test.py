"""A study by dcmsend ends imported and reconciled; what the command line says of it; retry."""

import json
import subprocess

from harness import BIN, Daemon, dcmsend, echo, fail, in_temp_folder, make_study, raw_send
from truth import imported_exactly_once, rows


def study_is_imported_and_its_story_told(folder):
    files = make_study(folder / "study", series=3, instances=4)
    with Daemon(folder, batch__quiet_s=3, batch__max_age_s=60) as daemon:
        dcmsend(daemon.dimse_port, folder / "study")
        daemon.wait_settled()
        uids = [uid for uid, in rows(daemon, "SELECT sop_instance_uid FROM instance")]
        assert len(uids) == len(files) == 12, len(uids)
        imported_exactly_once(daemon, uids, folder)
        totals = daemon.totals()
        assert totals == {"received": 12, "staged": 12, "imported": 12, "rejected": 0,
                          "quarantined": 0, "unaccounted": 0}, totals
        [study] = daemon.studies()
        assert len(study["image_sets"]) == 3, study
        assert len(study["import_jobs"]) == 1, f"a study sent in one go is one import job: {study}"
        events = [json.loads(line)["event"]
                  for line in daemon.command("history", uids[0], "--json").stdout.splitlines()]
        for event in ("received", "object_confirmed", "outcome_imported"):
            assert event in events, events
        assert daemon.command("history", "1.2.3.4", check=False).returncode == 1
        assert "ok" in daemon.get("/healthz")
        assert json.loads(daemon.get("/readyz"))["ready"] is True
        metrics = daemon.get("/metrics")
        assert 'isthmus_state_count{destination="main",state="imported",subject="delivery"} 12' in metrics

        # The same study again: success for each, nothing new anywhere.
        dcmsend(daemon.dimse_port, folder / "study")
        daemon.wait_settled()
        assert daemon.totals() == totals
        imported_exactly_once(daemon, uids, folder)
        assert daemon.stop() == 0


def configuration_problems_are_told(folder):
    config = folder / "isthmus.json"
    config.write_text('{"dimse": {"prot": 104}, "batch": {"quiet_s": "x"}} // twice wrong')
    done = subprocess.run([str(BIN / "isthmus"), "check-config", "-c", str(config)],
                          capture_output=True, text=True)
    assert done.returncode == 1, done
    assert "dimse.port" in done.stderr and "batch.quiet_s" in done.stderr, done.stderr
    done = subprocess.run([str(BIN / "isthmus"), "serve", "-c", str(config)], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 2, done
    done = subprocess.run([str(BIN / "isthmus"), "print-config", "--set", "dimse.port=104"],
                          capture_output=True, text=True)
    assert json.loads(done.stdout)["dimse"]["port"] == 104
    assert subprocess.run([str(BIN / "isthmus"), "nonsense"], capture_output=True).returncode != 0


def two_daemons_never_share_a_ledger(folder):
    with Daemon(folder) as daemon:
        other = Daemon(folder)
        other.start(wait=False)
        assert other.process.wait(60) == 2
        other.reap()
        assert "locked" in other.log_tail()
        echo(daemon.dimse_port)


def retry_works_beside_a_daemon_and_without_one(folder):
    # No import service takes this transfer syntax: the instance is kept, and rejected with a reason.
    make_study(folder / "study", series=1, instances=1,
               extra=("--transfer-syntax", "1.2.840.10008.1.2.4.9999"))
    with Daemon(folder) as daemon:
        raw_send(daemon.dimse_port, folder / "study", check=True)
        [ask] = daemon.wait_settled()["asks_for_person"]
        assert ask["state"] == "rejected" and ask["reason"], ask
        # The daemon holds the ledger, so it is asked, at the port that the configuration names.
        daemon.settings["http.port"] = str(daemon.http_port)
        assert daemon.command("retry", ask["id"]).stdout.startswith("1 "), "by id"
        assert daemon.command("retry", "1.2.3.4", check=False).returncode != 0
        daemon.wait_settled()
        story = daemon.command("history", ask["id"]).stdout
        assert story.count("retry_ordered") == 1 and story.count("outcome_rejected") == 2, story
        daemon.stop()
        assert daemon.command("retry", "all").stdout.startswith("1 "), "without a daemon"
        daemon.start()
        daemon.wait_settled()
        assert daemon.command("history", ask["id"]).stdout.count("outcome_rejected") == 3


for test in (study_is_imported_and_its_story_told, configuration_problems_are_told,
             two_daemons_never_share_a_ledger, retry_works_beside_a_daemon_and_without_one):
    in_temp_folder(test)
    print("passed:", test.__name__)
