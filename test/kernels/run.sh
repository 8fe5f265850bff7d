#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the kernel tests under the distribution's own kernels, in an emulated machine.
#   run.sh [FILTER]    FILTER: of GoogleTest, such as 'Flows.*'
set -euo pipefail
cd "$(dirname "$0")/../.."

filter="${1:-*}"
work=build/kernels
mkdir -p "$work"
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

command -v qemu-system-x86_64 >/dev/null || {
  echo 'packages: installing qemu-system-x86'
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends qemu-system-x86 cpio >/dev/null
}

# The newest image of each series that the package mirror has.
fetch_kernels() {
  apt-cache search --names-only '^linux-image-[0-9.]+.*-cloud-amd64$' | cut -d' ' -f1 | sort -V |
    awk -F'[-.+]' '{ newest[$3 "." $4] = $0 } END { for (series in newest) print newest[series] }' | sort -V
}

make_initramfs() {
  local root
  root="$(mktemp -d)"
  mkdir -p "$root"/{bin,proc,sys,dev,tmp,usr/bin,usr/sbin}
  cp test/kernels/init "$root/init"
  cp /bin/busybox "$root/bin/busybox"
  cp build/agent/cellwall-kernel-tests "$root/"
  cp "$(command -v ip)" "$root/usr/sbin/ip"
  # The tests call ip through a shell; busybox' own would take its own ip instead.
  cp /bin/dash "$root/bin/sh"
  for program in build/agent/cellwall-kernel-tests "$(command -v ip)" /bin/dash; do
    ldd "$program" | grep -oE '/[^ )]+' | while read -r library; do
      mkdir -p "$root$(dirname "$library")"
      cp -L "$library" "$root$library"
    done
  done
  (cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initramfs.gz"
  rm -rf "$root"
}

run_one() {
  local package=$1 folder="$work/$1"
  if [ ! -d "$folder" ]; then
    (cd "$work" && apt-get download -q "$package" >/dev/null 2>&1)
    dpkg -x "$work/$package"_*.deb "$folder.new"
    rm -f "$work/$package"_*.deb
    mv "$folder.new" "$folder"
  fi
  # Bounded: an emulated machine takes about a minute to boot, and a test that hangs must not.
  timeout 900 qemu-system-x86_64 -machine q35 -cpu max -smp 2 -m 1024 -nographic -no-reboot -nic none \
    -kernel "$folder"/boot/vmlinuz-* -initrd "$work/initramfs.gz" \
    -append "console=ttyS0 quiet panic=-1 tests=$filter" </dev/null | tr -d '\r' | tee "$work/$package.log" | sed -n '/^kernel /,/^exit code/p'
  grep -q '^exit code 0$' "$work/$package.log"
}

make_initramfs
failed=0
for package in $(fetch_kernels); do
  echo "== $package"
  run_one "$package" || { echo "== $package: FAILED"; failed=1; }
done
exit $failed
