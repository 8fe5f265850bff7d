#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compares the wire contract with that of the last release, if there is one.
set -euo pipefail
cd "$(dirname "$0")/../.."

last="$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || true)"
if [ -z "$last" ]; then
  echo 'wire contract: no release yet to compare with'
  exit 0
fi
echo "wire contract: compatible with $last"
node node_modules/@bufbuild/buf/bin/buf breaking proto --against ".git#tag=$last,subdir=proto"
