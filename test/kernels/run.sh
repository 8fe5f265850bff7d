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

export PATH="$PATH:/usr/sbin:/sbin"
if ! command -v qemu-system-x86_64 >/dev/null || ! command -v depmod >/dev/null || ! command -v xz >/dev/null; then
  echo 'packages: installing qemu-system-x86, cpio, kmod and xz-utils'
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends qemu-system-x86 cpio kmod xz-utils >/dev/null
fi

# What the tests need and these kernels have as modules.
modules=(veth dummy bridge macvlan tun vxlan nf_tables nft_chain_nat nft_nat nft_masq nft_redir nft_ct nf_conntrack_netlink tcp_diag udp_diag raw_diag
  sch_ingress cls_bpf)
# Of those that busybox has too, the tests need the real ones, and busybox prefers its own to what it is asked for.
tools=("$(command -v ip)" "$(command -v tc)" "$(command -v nft)" "$(command -v conntrack)" "$(command -v timeout)" "$(command -v sysctl)")
programs=(build/agent/cellwall-kernel-tests /bin/dash "${tools[@]}")

# The newest image of each series that the package mirror has.
fetch_kernels() {
  apt-cache search --names-only '^linux-image-[0-9.]+.*-cloud-amd64$' | cut -d' ' -f1 | sort -V |
    awk -F'[-.+]' '{ newest[$3 "." $4] = $0 } END { for (series in newest) print newest[series] }' | sort -V
}

# Of one kernel: the tests, the programs and libraries that they call, and modules in the order in which they load.
make_initramfs() {
  local folder=$1 root version module file
  root="$(mktemp -d)"
  version="$(basename "$folder"/lib/modules/*)"
  mkdir -p "$root"/{bin,proc,sys,dev,tmp,usr/bin,usr/sbin,modules}
  cp test/kernels/init test/kernels/short "$root/"
  cp /bin/busybox "$root/bin/busybox"
  cp build/agent/cellwall-kernel-tests "$root/"
  cp -r build/cases "$root/"
  cp "${tools[@]}" "$root/usr/sbin/"
  # The tests call ip through a shell; busybox' own would take its own ip instead.
  cp /bin/dash "$root/bin/sh"
  ldd "${programs[@]}" | grep -oE '/[^ )]+\.so[^ )]*' | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
  depmod -b "$folder" "$version"
  for module in "${modules[@]}"; do
    # Without a line for what is built in.
    modprobe -d "$folder" -S "$version" --show-depends "$module" 2>/dev/null | sed -n 's/^insmod //p'
  done | awk '!seen[$1]++ { print $1 }' | while read -r file; do
    module="$(basename "${file%.xz}")"
    if [[ "$file" == *.xz ]]; then xz -dc "$file" >"$root/modules/$module"; else cp "$file" "$root/modules/$module"; fi
    echo "$module" >>"$root/modules/order"
  done
  (cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$folder/initramfs.gz"
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
  make_initramfs "$folder"
  # Bounded: an emulated machine takes about a minute to boot, and a test that hangs must not.
  # One thread: with more, a kernel that patches its own code can meet a half patched instruction in another one.
  timeout --foreground 5400 qemu-system-x86_64 -machine q35 -accel tcg,thread=single -cpu max -smp 2 -m 1024 -nographic -no-reboot -nic none \
    -kernel "$folder"/boot/vmlinuz-* -initrd "$folder/initramfs.gz" \
    -append "console=ttyS0 quiet panic=-1 tests=$filter" </dev/null | stdbuf -oL tr -d '\r' | tee "$work/$package.log" |
    sed -un "/^kernel /,/^exit code/{s/^/${package#linux-image-}: /;p}"
  grep -q '^exit code 0$' "$work/$package.log"
}

# At once, as each emulated machine has one thread.
failed=0
declare -A running
stop() {
  local job
  for job in "${running[@]}"; do kill -- "-$job" 2>/dev/null || true; done
}
trap stop INT TERM EXIT
# Jobs are groups of processes, so that they can be ended.
set -m
for package in $(fetch_kernels); do
  echo "== $package"
  run_one "$package" &
  running[$package]=$!
done
set +m
for package in "${!running[@]}"; do
  if wait "${running[$package]}"; then echo "== $package: passed"; else
    echo "== $package: FAILED"
    failed=1
  fi
done
trap - INT TERM EXIT
exit $failed
