#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the npm packages of the lock file, when it has changed.
set -euo pipefail
cd "$(dirname "$0")/../.."

stamp=node_modules/.cellwall-lock
want="$(sha256sum package-lock.json | cut -d' ' -f1) $(node --version)"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
  echo 'npm packages: all there'
  exit 0
fi
echo 'npm packages: installing (better-sqlite3 compiles, about a minute)'
# Node's headers are beside node on most machines; without this node-gyp downloads them.
prefix="$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")"
if [ -f "$prefix/include/node/node.h" ]; then export npm_config_nodedir="$prefix"; fi
npm ci --no-audit --no-fund --loglevel=error
node -e "new (require('better-sqlite3'))(':memory:')"
echo "$want" >"$stamp"
