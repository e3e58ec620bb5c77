#!/bin/sh
# ./dev demo --orthanc: Orthanc with the plugin, a synthetic study by dcmsend, what became of it.
# usage: demo_orthanc.sh BIN [--once] [--orthanc]
set -eu
bin=$(cd "$1" && pwd)
once=no
for word in "$@"; do [ "$word" = --once ] && once=yes; done
orthanc=$(command -v Orthanc || echo /usr/sbin/Orthanc)
[ -x "$orthanc" ] || { echo "demo: no Orthanc; install the package orthanc" >&2; exit 77; }

work=$(mktemp -d "${TMPDIR:-/tmp}/isthmus-demo.XXXXXX")
server=""
finish() {
  status=$?
  trap - EXIT INT TERM
  if [ -n "$server" ]; then
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  if [ $status -ne 0 ]; then
    echo "demo: failed; Orthanc's last lines were:" >&2
    tail -n 20 "$work/orthanc.log" >&2 2>/dev/null || true
  fi
  rm -rf "$work"
  exit $status
}
trap finish EXIT
trap 'exit 0' INT TERM

# With --once any free ports; else Orthanc's usual ones, so that the printed commands are easy to type.
if [ $once = yes ]; then
  ports=$(python3 -c 'import socket
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*[one.getsockname()[1] for one in s])')
else
  ports="4242 8042"
fi
# shellcheck disable=SC2086
set -- $ports
dicom_port=$1
http_port=$2
cat >"$work/orthanc.json" <<JSON
{
  "StorageDirectory": "$work/orthanc", "IndexDirectory": "$work/orthanc",
  "Plugins": ["$bin/libOrthancIsthmus.so"],
  "DicomPort": $dicom_port, "HttpPort": $http_port, "DicomAet": "ORTHANC",
  "DicomAlwaysAllowStore": true, "RemoteAccessAllowed": false, "AuthenticationEnabled": false,
  "Isthmus": {
    "data_dir": "$work/data",
    "spool": {"reserve_bytes": "64MiB", "resume_bytes": "80MiB"},
    "batch": {"quiet_s": 1}, "import": {"first_poll_ms": 200}
  }
}
JSON
TCP_NODELAY=1 "$orthanc" "$work/orthanc.json" >"$work/orthanc.log" 2>&1 &
server=$!
tries=0
until curl -fs "http://127.0.0.1:$http_port/isthmus/readyz" >/dev/null 2>&1; do
  kill -0 "$server" 2>/dev/null || exit 1
  tries=$((tries + 1))
  [ $tries -lt 300 ] || { echo "demo: Orthanc did not start" >&2; exit 1; }
  sleep 0.1
done

"$bin/isthmus-dicom-factory" make-study --out "$work/study" --series 3 --instances 4 --rows 256 --cols 256
count=$(find "$work/study" -type f | wc -l)
echo "sending $count instances of a synthetic study by dcmsend to Orthanc at 127.0.0.1:$dicom_port"
dcmsend -aec ORTHANC 127.0.0.1 "$dicom_port" +sd +r "$work/study"

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
if [ $once = no ]; then
  cat <<TEXT

Orthanc      http://127.0.0.1:$http_port  C-STORE 127.0.0.1:$dicom_port
Isthmus      http://127.0.0.1:$http_port/isthmus/readyz  /isthmus/metrics  /isthmus/orthanc

try:  dcmsend -aec ORTHANC 127.0.0.1 $dicom_port +sd +r DIRECTORY-OF-DICOM
      $bin/isthmus status --watch --set data_dir=$work/data

TEXT
fi
studies | tail -n 1
if [ $once = no ]; then
  echo "(Ctrl-C ends the demo and removes $work)"
  wait "$server"
fi
