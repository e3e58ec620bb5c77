#!/bin/sh
# Runs the libFuzzer programs of a build of the preset "fuzz", each for so many seconds:
#   tests/fuzz/run.sh build/fuzz SECONDS [NAME...]
# What was found of interest is kept in BUILD/fuzz/corpus/NAME and begun with the next time; what
# broke a promise stands in BUILD/fuzz/findings/NAME-*, and BUILD/fuzz/fuzz_NAME FILE shows it again.
set -eu
build=$1
seconds=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || set -- $(cd "$build/fuzz" && ls | sed -n 's/^fuzz_//p')
mkdir -p "$build/fuzz/findings" "$build/fuzz/logs"
# DCMTK allocates what a length says, and goes on when it gets nothing; our own code must not ask for
# that much, and dies of it.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}max_allocation_size_mb=64:allocator_may_return_null=1"

one() {
  name=$1
  corpus=$build/fuzz/corpus/$name
  "$build/fuzz/fuzz_$name" --write-seeds "$corpus"
  begin=$(date +%s)
  # Arguments: a slow input is a finding too; memory is bounded whatever the input says.
  if "$build/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
    -artifact_prefix="$build/fuzz/findings/$name-" -print_final_stats=1 -close_fd_mask=1 \
    "$corpus" >"$build/fuzz/logs/$name" 2>&1; then
    verdict="nothing found"
  else
    verdict="FINDING, see $build/fuzz/logs/$name"
  fi
  inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/fuzz/logs/$name")
  echo "fuzz: $name: $verdict; ${inputs:-?} inputs in $(($(date +%s) - begin)) s"
  case $verdict in FINDING*) return 1 ;; esac
}

if [ "${FUZZ_ONE:-}" = yes ]; then
  one "$1"
  exit
fi
# As many at a time as there are processors; xargs answers 123 when one of them found something.
printf '%s\n' "$@" | FUZZ_ONE=yes xargs -P "$(nproc)" -I NAME "$here/run.sh" "$build" "$seconds" NAME
