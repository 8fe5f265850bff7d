#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds Kubernetes, etcd, CoreDNS and helm from their Go modules into build/kubernetes/bin. What is there already stays.
set -euo pipefail
cd "$(dirname "$0")/../.."

go=${GO:-$(command -v go || echo /usr/local/go/bin/go)}
if ! "$go" version >/dev/null 2>&1; then
  echo 'Go is missing, which builds Kubernetes: install 1.26 or newer (go.dev/doc/install) and have it in PATH, or name it in GO' >&2
  exit 1
fi
bin=$PWD/build/kubernetes/bin
mkdir -p "$bin"

# Helm asks the API server for its version, which Kubernetes' own build writes in.
kubernetes=$(sed -n 's|.*k8s.io/kubernetes \(v[0-9.]*\).*|\1|p' test/kubernetes/tools/kubernetes/go.mod)
IFS=. read -r major minor _ <<<"${kubernetes#v}"
version=k8s.io/component-base/version
says="-X $version.gitVersion=$kubernetes -X $version.gitMajor=$major -X $version.gitMinor=$minor"

# build MODULE OUTPUT PACKAGE...
build() {
  local module=test/kubernetes/tools/$1 output=$bin/$2 stamp=$bin/.$1 want
  want="$("$go" env GOVERSION) $(cat "$module"/* test/kubernetes/build.sh | sha256sum)"
  if [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then return; fi
  echo "building $1 from its Go modules: minutes, once"
  (cd "$module" && "$go" build -mod=readonly -p "${JOBS:-$(nproc)}" -trimpath -ldflags="-s -w $says" -o "$output" "${@:3}")
  echo "$want" >"$stamp"
}

build etcd etcd go.etcd.io/etcd/server/v3
build coredns coredns .
build helm helm helm.sh/helm/v4/cmd/helm
build kubernetes '' k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-proxy,kube-scheduler,kubectl,kubelet}
