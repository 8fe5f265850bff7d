// SPDX-License-Identifier: Apache-2.0
//
// What the second wall has to be told, and what it tells.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace cellwall {

// Without the pod's sandbox, which runs nothing.
struct WallContainer {
  uint64_t cgroup;
  std::string directory;  // of the cgroup, absolute
  bool guarded = false;
};

struct WallReport {
  struct Without {
    uint64_t cgroup;
    std::string reason;
  };
  std::vector<Without> without;  // guarded containers of which packets can go past it, ascending
  size_t pending = 0;            // guarded containers that have no process yet: call again soon
  size_t devices = 0;            // that have the program
};

}  // namespace cellwall
