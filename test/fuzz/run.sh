#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes each parser for SECONDS_EACH seconds, one for each processor at once, from the inputs in test/fuzz/corpus. What it
# finds beyond them is kept in build/fuzz for the next run; an input that breaks a parser is kept there too, and belongs into
# the corpus with its fix.
set -euo pipefail
cd "$(dirname "$0")/../.."
export SECONDS_EACH="${SECONDS_EACH:-60}"

fuzz() {
  local parser="$1" fuzzer="build/agent/fuzz/$1" log="build/fuzz/$1.log"
  # Without the runtime the build has said why.
  [ -x "$fuzzer" ] || return 0
  mkdir -p "build/fuzz/$parser"
  # One run may take 5 s and 1 GiB: the parsers promise far less.
  if ! "$fuzzer" -max_total_time="$SECONDS_EACH" -max_len=5000 -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=1 \
    -artifact_prefix="build/fuzz/$parser-" "build/fuzz/$parser" "test/fuzz/corpus/$parser" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "fuzzing: $parser breaks; the input is in build/fuzz/$parser-*" >&2
    return 1
  fi
  echo "fuzzing: $parser held for $SECONDS_EACH s, $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
}
export -f fuzz

find test/fuzz/corpus -mindepth 1 -maxdepth 1 -type d -printf '%f\0' | sort -z |
  xargs -0 -P "$(nproc)" -I '{}' bash -euo pipefail -c 'fuzz "$1"' fuzz '{}'
