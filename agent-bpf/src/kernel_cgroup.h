// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "result.h"

namespace cellwall {

struct AttachPoint {
  uint64_t id;  // cgroup id: the inode number of the directory
  int level;    // below the root of the hierarchy, from 1
};

// Errors: not there, not a cgroup v2 directory, the root, a mount that does not show the root of the
// hierarchy.
Result<AttachPoint> find_attach_point(const std::string& directory);

}  // namespace cellwall
