#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes each parser for SECONDS_EACH seconds, from the inputs in test/fuzz/corpus. What it finds beyond them is kept in
# build/fuzz for the next run; an input that breaks a parser is kept there too, and belongs into the corpus with its fix.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds="${SECONDS_EACH:-60}"

ninja -C build/agent --quiet fuzzers | { grep -v 'no work to do' || true; }
for corpus in test/fuzz/corpus/*/; do
  parser="$(basename "$corpus")"
  fuzzer="build/agent/fuzz/$parser"
  # Without the runtime the build has said why.
  [ -x "$fuzzer" ] || continue
  mkdir -p "build/fuzz/$parser"
  log="build/fuzz/$parser.log"
  # One run may take 5 s and 1 GiB: the parsers promise far less.
  if ! "$fuzzer" -max_total_time="$seconds" -max_len=5000 -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=1 \
    -artifact_prefix="build/fuzz/$parser-" "build/fuzz/$parser" "$corpus" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "fuzzing: $parser breaks; the input is in build/fuzz/$parser-*" >&2
    exit 1
  fi
  runs="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
  echo "fuzzing: $parser held for ${seconds} s, ${runs} inputs"
done
