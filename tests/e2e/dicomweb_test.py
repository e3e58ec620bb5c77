"""DICOMweb on a data store: the stock dicomweb-client stores, searches and retrieves a study."""

import os
import subprocess
import sys

from harness import ROOT, SKIP, Daemon, fail, imaging_models, in_temp_folder, make_study

CLIENTS = ROOT / "build/clients"


def stock_client(folder):
    if not (CLIENTS / "node_modules/dicomweb-client").exists():
        print("skipped: the npm clients are not installed (./dev setup)")
        sys.exit(SKIP)
    make_study(folder / "study", series=2, instances=3)
    other = make_study(folder / "other", series=1, instances=1, seed=7)
    with Daemon(folder) as daemon:
        store = daemon.imaging(imaging_models(folder)).create_datastore(
            datastoreName="dicomweb")["datastoreId"]
        key = daemon.access_key()
        done = subprocess.run(
            ["node", str(ROOT / "tests/e2e/clients/dicomweb_test.mjs")], capture_output=True,
            text=True, timeout=180, env=dict(
                os.environ, ENDPOINT=f"http://127.0.0.1:{daemon.datastore_port}",
                KEY_ID=key["access_key_id"], SECRET=key["secret_access_key"], DATASTORE=store,
                FILES=str(folder / "study"), OTHER=str(other[0]), CLIENTS=str(CLIENTS)))
        print(done.stdout.strip())
        if done.returncode != 0:
            fail(done.stderr[-4000:] + daemon.log_tail(10))


in_temp_folder(stock_client)
