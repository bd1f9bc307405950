#!/bin/sh
# Runs one fuzz target: run.sh PROGRAM SECONDS SEEDS-PROGRAM|- [CORPUS…]
# What it finds lies beside the program in PROGRAM.found; the corpus grows in PROGRAM.corpus.
set -eu
program=$1 seconds=$2 seeds=$3
shift 3
mkdir -p "$program.found" "$program.corpus" "$program.seeds"
[ "$seeds" = - ] || "$seeds" "$program.seeds"
# Libraries that are not instrumented make containers look overrun.
export ASAN_OPTIONS=detect_container_overflow=0:allocator_may_return_null=0
echo "fuzzing $program for $seconds s"
exec "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
  -artifact_prefix="$program.found/" "$program.corpus" "$program.seeds" "$@"
