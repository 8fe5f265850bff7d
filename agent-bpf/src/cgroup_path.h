// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cellwall {

struct ContainerPath {
  std::string runtime;     // containerd, cri-o, docker, podman, or unknown
  std::string runtime_id;  // 64 hexadecimal digits
  std::string pod_uid;     // empty outside Kubernetes
  size_t length;           // of the part of the path that is the container's own directory
};

// Reads which container a cgroup path belongs to: systemd and cgroupfs drivers; containerd, CRI-O, Docker,
// Podman (also rootless), nerdctl; nested as kind and k3s do. The rightmost match counts. Empty: not in a
// container.
std::optional<ContainerPath> parse_cgroup_path(std::string_view path);

}  // namespace cellwall
