#!/bin/sh
# ./dev demo: the daemon on its embedded data store, a synthetic study by dcmsend, what became of it.
# usage: demo.sh BIN [--once]
set -eu
bin=$1
once=${2:-}

work=$(mktemp -d "${TMPDIR:-/tmp}/isthmus-demo.XXXXXX")
daemon=""
finish() {
  status=$?
  trap - EXIT INT TERM
  if [ -n "$daemon" ]; then
    kill -TERM "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  fi
  if [ $status -ne 0 ]; then
    echo "demo: failed; the daemon's last lines were:" >&2
    tail -n 20 "$work/isthmus.log" >&2 2>/dev/null || true
  fi
  rm -rf "$work"
  exit $status
}
trap finish EXIT
trap 'exit 0' INT TERM

# With --once any free ports; else the usual ones, so that the printed commands are easy to type.
if [ "$once" = --once ]; then ports="0 0 0"; else ports="11112 8080 8181"; fi
# shellcheck disable=SC2086
set -- $ports
"$bin/isthmus" serve --set "data_dir=$work/data" --set dimse.address=127.0.0.1 \
  --set "dimse.port=$1" --set "http.port=$2" --set "datastore.port=$3" \
  --set spool.reserve_bytes=64MiB --set spool.resume_bytes=80MiB \
  --set senders.demo.calling_ae_titles=DCMSEND --set senders.demo.addresses=127.0.0.1 \
  --set batch.quiet_s=1 --set import.first_poll_ms=200 \
  >"$work/listening.json" 2>"$work/isthmus.log" &
daemon=$!

value_of() { sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p" "$work/listening.json"; }
tries=0
until grep -q listening "$work/listening.json" 2>/dev/null; do
  kill -0 "$daemon" 2>/dev/null || exit 1
  tries=$((tries + 1))
  [ $tries -lt 300 ] || { echo "demo: the daemon did not start" >&2; exit 1; }
  sleep 0.1
done
dimse_port=$(value_of dimse_port)
http_port=$(value_of http_port)
datastore_port=$(value_of datastore_port)

"$bin/isthmus-dicom-factory" make-study --out "$work/study" --series 3 --instances 4 --rows 256 --cols 256
count=$(find "$work/study" -type f | wc -l)
echo "sending $count instances of a synthetic study by dcmsend to 127.0.0.1:$dimse_port"
dcmsend -aec ISTHMUS 127.0.0.1 "$dimse_port" +sd +r "$work/study"

studies() { "$bin/isthmus" studies --set "data_dir=$work/data"; }
wanted="$count received, $count staged, $count imported, 0 rejected, 0 unaccounted"
tries=0
until [ "$(studies | tail -n 1)" = "$wanted" ]; do
  tries=$((tries + 1))
  [ $tries -lt 240 ] || { echo "demo: not imported after 60 s:" >&2; studies >&2; exit 1; }
  sleep 0.25
done
echo
studies | sed '$d'
if [ "$once" != --once ]; then
  key=$(sed -n 's/.*"access_key_id": "\([^"]*\)".*/\1/p' "$work/data/datastore/access_key.json")
  secret=$(sed -n 's/.*"secret_access_key": "\([^"]*\)".*/\1/p' "$work/data/datastore/access_key.json")
  cat <<TEXT

C-STORE      127.0.0.1:$dimse_port (AE title DCMSEND; others are refused and remembered: isthmus senders)
HTTP         http://127.0.0.1:$http_port (/healthz /readyz /metrics)
data store   http://127.0.0.1:$datastore_port (S3 and HealthImaging; region us-east-1)
             AWS_ACCESS_KEY_ID=$key AWS_SECRET_ACCESS_KEY=$secret

try:  dcmsend 127.0.0.1 $dimse_port +sd +r DIRECTORY-OF-DICOM
      echoscu -aet CT_1 127.0.0.1 $dimse_port; $bin/isthmus senders --set data_dir=$work/data
      $bin/isthmus status --watch --set data_dir=$work/data

TEXT
fi
studies | tail -n 1
if [ "$once" != --once ]; then
  echo "(Ctrl-C ends the demo and removes $work)"
  wait "$daemon"
fi
