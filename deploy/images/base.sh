#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes base images where no registry is reachable, of Debian and npm packages alone: Debian, minimal, without manuals and translations
# (DEBIAN_IMAGE), and the same with Node.js of the npm package `node` (NODE_IMAGE).
# usage: base.sh BUILD... (the command that builds, with its options)
set -euo pipefail
: "${DEBIAN_IMAGE:?}" "${NODE_IMAGE:?}"
build=("$@")
suite=bookworm
node=22
npm=10
case "$(dpkg --print-architecture)" in
  amd64) machine=x64 ;;
  arm64) machine=arm64 ;;
  *)
    echo "npm has no package of Node.js for $(dpkg --print-architecture)" >&2
    exit 1
    ;;
esac
here="$(mktemp -d)"
trap 'rm -rf "$here"' EXIT

echo "base images: Debian $suite"
mirror="${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
security="${DEBIAN_SECURITY_MIRROR:-http://deb.debian.org/debian-security}"
mmdebstrap --quiet --variant=minbase --include=ca-certificates \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --aptopt='Acquire::Languages "none"' \
  "$suite" "$here/debian.tar" "deb $mirror $suite main" "deb $mirror $suite-updates main" "deb $security $suite-security main"
printf 'FROM scratch\nADD debian.tar /\nCMD ["bash"]\n' >"$here/debian.Containerfile"
"${build[@]}" -f "$here/debian.Containerfile" -t "$DEBIAN_IMAGE" "$here"

echo "base images: Node.js $node"
(cd "$here" && npm pack --silent "node-linux-$machine@$node" "npm@$npm" >/dev/null)
mkdir -p "$here/local/bin" "$here/local/lib/node_modules/npm"
tar -xzf "$here/node-linux-$machine"-*.tgz -C "$here/local" --strip-components=1 --no-same-owner
tar -xzf "$here"/npm-*.tgz -C "$here/local/lib/node_modules/npm" --strip-components=1 --no-same-owner
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$here/local/bin/npm"
printf 'ARG BASE\nFROM ${BASE}\nCOPY local /usr/local\nCMD ["node"]\n' >"$here/node.Containerfile"
"${build[@]}" --build-arg "BASE=$DEBIAN_IMAGE" -f "$here/node.Containerfile" -t "$NODE_IMAGE" "$here"
