#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `make images`: builds both images, tries them (try.js), and leaves each as an archive with its SBOM in build/images. What it needs
# meanwhile is removed. An image whose sources are as they were is not built again.
# BASES=local: on base images that are made here, of Debian and npm packages (base.sh), where no registry is reachable.
# Debian's mirrors and the npm registry are those of this machine (DEBIAN_MIRROR, DEBIAN_SECURITY_MIRROR, npm config).
set -euo pipefail
cd "$(dirname "$0")/../.."

out=build/images
log="$out/build.log"
mkdir -p "$out"
for name in buildah podman; do
  if command -v "$name" >/dev/null; then
    program="$name"
    break
  fi
done
[ -n "${program:-}" ] || {
  echo "make images needs buildah or podman: apt-get install --no-install-recommends buildah" >&2
  exit 1
}
needed=(runc node)
[ "${BASES:-}" != local ] || needed+=(mmdebstrap npm)
for name in "${needed[@]}"; do
  command -v "$name" >/dev/null || {
    echo "make images needs $name: apt-get install --no-install-recommends $name" >&2
    exit 1
  }
done
version="$(node -p "require('./package.json').version")"

# Where sources come from is part of what an image is.
stamp_of() {
  { cat "deploy/images/$1.Containerfile"; find "${sources[@]}" deploy/images LICENSE LICENSES -type f ! -path '*/generated/*' ! -name '*.Containerfile' -print0 | sort -z | xargs -0 sha256sum; echo "${BASES:-}" "${base[$1]}"; } | sha256sum | cut -d' ' -f1
}

# Storage of its own: nothing of it is left, and nothing of somebody else's is touched. User 65532 has to get through it.
work="$(mktemp -d)"
chmod 711 "$work"
export TMPDIR="$work"
tool=("$program" --root "$work/storage" --runroot "$work/run")
running=
cleanup() {
  trap '' INT TERM HUP
  if [ -n "$running" ]; then
    kill -TERM -- "-$running" 2>/dev/null || true
    for _ in {1..50}; do
      kill -0 -- "-$running" 2>/dev/null || break
      sleep 0.2
    done
    kill -KILL -- "-$running" 2>/dev/null || true
  fi
  "${tool[@]}" rm -a >/dev/null 2>&1 || true
  # Mounts of a build that was cut off.
  grep -o " $work[^ ]*" /proc/self/mounts | sort -r | xargs -r umount -l 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
"${tool[@]}" --storage-driver overlay info >/dev/null 2>&1 && tool+=(--storage-driver overlay) || tool+=(--storage-driver vfs)

# In a process group of its own, so that an interruption ends all that it has started.
attended() {
  local code=0
  setsid "$@" &
  running=$!
  wait "$running" || code=$?
  running=
  return "$code"
}
quietly() {
  attended "$@" >>"$log" 2>&1 || {
    tail -n 40 "$log" >&2
    exit 1
  }
}
# Where the file system of an image is. An export to a folder would lose owners and modes.
mounted() {
  local make=from container
  [ "$program" = buildah ] || make=create
  container="$("${tool[@]}" "$make" --pull=never "localhost/$1")" && "${tool[@]}" mount "$container"
}
build=("${tool[@]}" build --isolation chroot --layers=false)
# Names of hosts and authorities of a proxy are this machine's.
if [ -n "${NODE_EXTRA_CA_CERTS:-}" ]; then
  build+=(--volume "$NODE_EXTRA_CA_CERTS:/run/authorities.pem:ro" --build-arg NODE_EXTRA_CA_CERTS=/run/authorities.pem)
fi

declare -A base=([agent]=docker.io/library/debian:bookworm-slim [server]=docker.io/library/node:22-bookworm-slim)
if [ "${BASES:-}" = local ]; then base=([agent]=localhost/cellwall/base-debian:bookworm [server]=localhost/cellwall/base-node:22-bookworm); fi
declare -A needs=([agent]='agent-bpf proto' [server]='proto control-plane package.json package-lock.json tsconfig.json tsconfig.build.json tsconfig.types.json')
revision="$(git rev-parse HEAD 2>/dev/null || echo unknown)"
created="$(date -u -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}" +%Y-%m-%dT%H:%M:%SZ)"
: >"$log"
has_bases=
for image in agent server; do
  archive="$out/$image-$version.oci.tar"
  read -ra sources <<<"${needs[$image]}"
  stamp="$(stamp_of "$image")"
  if [ -f "$archive" ] && [ "$(cat "$archive.stamp" 2>/dev/null)" = "$stamp" ]; then
    echo "image $image: as it was ($archive)"
    continue
  fi
  if [ "${BASES:-}" = local ] && [ -z "$has_bases" ]; then
    DEBIAN_IMAGE="${base[agent]}" NODE_IMAGE="${base[server]}" quietly deploy/images/base.sh "${build[@]}"
    has_bases=1
  fi
  echo "image $image: building on ${base[$image]} with $program (log: $log)"
  name="cellwall/$image:$version"
  quietly "${build[@]}" --build-arg "BASE=${base[$image]}" --build-arg "VERSION=$version" --build-arg "REVISION=$revision" \
    --build-arg "CREATED=$created" -f "deploy/images/$image.Containerfile" -t "$name" .
  root="$(mounted "$name")"
  attended node deploy/images/try.js "$image" "$root"
  for sbom in "$root"/usr/share/doc/cellwall/*.spdx.json; do cp "$sbom" "$out/$image-$(basename "$sbom")"; done
  quietly "${tool[@]}" push "$name" "oci-archive:$work/$image.oci.tar:$name"
  rm -f "$archive.stamp"
  mv "$work/$image.oci.tar" "$archive"
  echo "$stamp" >"$archive.stamp"
  echo "image $image: $(($(du -sb "$root" | cut -f1) / 1000000)) MB unpacked, $(($(stat -c %s "$archive") / 1000000)) MB compressed: $archive"
done
