#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the kernel tests in this machine's kernel, in two halves at once: most of them wait for time to pass.
set -euo pipefail
cd "$(dirname "$0")/../.."

halves=2
logs=build/kernel-tests
mkdir -p "$logs"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' INT TERM EXIT
for ((half = 0; half < halves; half++)); do
  GTEST_TOTAL_SHARDS=$halves GTEST_SHARD_INDEX=$half CELLWALL_CASES=build/cases \
    build/agent/cellwall-kernel-tests --gtest_brief=1 >"$logs/$half.log" 2>&1 &
  pids+=($!)
done
failed=0
for ((half = 0; half < halves; half++)); do
  wait "${pids[$half]}" || failed=1
  if grep -q 'FAILED' "$logs/$half.log"; then cat "$logs/$half.log"; else grep -E '^\[|cases of|Skipped' "$logs/$half.log" || true; fi
done
trap - EXIT
exit $failed
