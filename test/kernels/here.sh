#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the kernel tests in this machine's kernel, in three parts at once: most of them wait for time to pass.
set -euo pipefail
cd "$(dirname "$0")/../.."

parts=3
logs=build/kernel-tests
mkdir -p "$logs"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' INT TERM EXIT
for ((part = 0; part < parts; part++)); do
  GTEST_TOTAL_SHARDS=$parts GTEST_SHARD_INDEX=$part CELLWALL_CASES=build/cases \
    build/agent/cellwall-kernel-tests --gtest_brief=1 >"$logs/$part.log" 2>&1 &
  pids+=($!)
done
failed=0
for ((part = 0; part < parts; part++)); do
  wait "${pids[$part]}" || failed=1
  if grep -q 'FAILED' "$logs/$part.log"; then cat "$logs/$part.log"; else grep -E '^\[|cases of|Skipped' "$logs/$part.log" || true; fi
done
trap - EXIT
exit $failed
