#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that building and testing need, and nothing when all are there.
set -euo pipefail

packages=(
  # agent and kernel programs
  clang llvm libbpf-dev libelf-dev libmnl-dev zlib1g-dev libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
  libgtest-dev libcli11-dev libcpp-httplib-dev nlohmann-json3-dev libssl-dev cmake ninja-build pkg-config g++ make clang-format
  libclang-rt-dev
  # better-sqlite3 compiles; the bench compares it with plain C
  python3 libsqlite3-dev
  # real containers, a real web server, a real database
  containerd runc containernetworking-plugins iproute2 nftables conntrack tcpdump dnsmasq-base busybox-static nginx-light postgresql
  curl openssl util-linux procps
)
# Ubuntu has bpftool in the package of the kernel's tools.
if apt-cache show bpftool >/dev/null 2>&1; then packages+=(bpftool); else packages+=(linux-tools-generic); fi

missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" = 'install ok installed' ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo 'packages: all there'
  exit 0
fi

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
echo "packages: installing ${missing[*]}"
# Services of these packages would run on the machine of whoever builds; only their programs are needed.
policy=/usr/sbin/policy-rc.d
made_policy=
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  made_policy=1
fi
log="$(mktemp)"
cleanup() {
  if [ -n "$made_policy" ]; then "${as_root[@]}" rm -f "$policy"; fi
  rm -f "$log"
}
trap cleanup EXIT
install() {
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}
install >"$log" 2>&1 || {
  tail -n 20 "$log" >&2
  exit 1
}
