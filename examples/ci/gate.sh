#!/usr/bin/env bash
# Measures a program before and after a change, and exits 1 when it became slower.
#   gate.sh GATE BEFORE AFTER [--] PROGRAM ARGUMENTS…
# GATE: the smallest change that counts, such as 3%. BEFORE, AFTER: folders in which PROGRAM was built.
# SEXTANT: the command; SEXTANT_SERVER: the service; SEXTANT_PASSES: default auto:ci. A pair that came out
# slower is measured once more: a drift of the machine is not there twice. Exits 4 when a program cannot be
# measured: it fails, or the service is away.
set -euo pipefail
[ $# -ge 4 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
gate=$1 before=$2 after=$3
shift 3
[ "$1" != "--" ] || shift
sextant=${SEXTANT:-sextant}

# Measures in folder $1 under the name $2; prints the job's number. Standard error tells how it goes.
measure() {
  local folder=$1 name=$2
  shift 2
  (cd "$folder" && "$sextant" --format json run --fresh --no-timeline --name "$name" \
      --pass "${SEXTANT_PASSES:-auto:ci}" -- "$@") | sed -n 's/.*"job_id": *"\{0,1\}\([0-9]*\).*/\1/p' | head -1
}

for round in 1 2; do
  a=$(measure "$before" "before $round" "$@") || exit 4
  b=$(measure "$after" "after $round" "$@") || exit 4
  status=0
  "$sextant" compare "$a" "$b" --gate "$gate" || status=$?
  [ "$status" -eq 1 ] || exit "$status"
done
exit 1
