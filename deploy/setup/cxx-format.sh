#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs clang-format with the given options on the given files, on all processors. Its versions format differently, so only the one that the sources were
# formatted with can judge them.
set -euo pipefail
wanted=14
version="$(clang-format --version | grep -oE 'version [0-9]+' | cut -d' ' -f2)"
if [ "$version" != "$wanted" ]; then
  echo "C++: format is not checked: clang-format is version $version, the sources are formatted with $wanted"
  exit 0
fi
echo 'C++: format'
options=()
files=()
for argument in "$@"; do
  if [[ $argument == -* ]]; then options+=("$argument"); else files+=("$argument"); fi
done
printf '%s\0' "${files[@]}" | xargs -0 -n 8 -P "$(nproc)" clang-format "${options[@]}"
