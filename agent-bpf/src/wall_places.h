// SPDX-License-Identifier: Apache-2.0
//
// The network namespaces of a container's processes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fd.h"

namespace cellwall {

struct NetworkPlace {
  Fd network;
  uint64_t number;
};

// Of the container's own processes and, in Kubernetes, of those of its pod: each namespace once, the most
// probable one first. A process can have moved to a namespace of its own; others of the pod have not.
std::vector<NetworkPlace> network_places(const std::string& cgroup_directory);

uint64_t network_number(const Fd& network);  // 0: none

}  // namespace cellwall
