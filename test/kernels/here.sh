#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the kernel tests in this machine's kernel, in three parts at once. Each loads all programs, and half of the time is the
# kernel's verifier. SHORT=1: what does not read structures of the kernel is not tested once more with the older way to read them.
set -euo pipefail
cd "$(dirname "$0")/../.."

parts=3
filter='*'
if [ "${SHORT:-}" = 1 ]; then filter="$(cat test/kernels/short)"; fi
logs=build/kernel-tests
mkdir -p "$logs"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' INT TERM EXIT
for ((part = 0; part < parts; part++)); do
  GTEST_TOTAL_SHARDS=$parts GTEST_SHARD_INDEX=$part CELLWALL_CASES=build/cases \
    build/agent/cellwall-kernel-tests --gtest_brief=1 "--gtest_filter=$filter" >"$logs/$part.log" 2>&1 &
  pids+=($!)
done
failed=0
for ((part = 0; part < parts; part++)); do
  wait "${pids[$part]}" || failed=1
  if grep -q 'FAILED' "$logs/$part.log"; then cat "$logs/$part.log"; else grep -E '^\[|cases of|Skipped' "$logs/$part.log" || true; fi
done
trap - EXIT
exit $failed
