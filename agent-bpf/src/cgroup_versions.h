// SPDX-License-Identifier: Apache-2.0
//
// Programs attach to cgroups of version 2. Whether containers have one is for the host to decide: all have
// where version 2 is the only one, none where it is not mounted, and on hybrids it depends on the runtime.
#pragma once

#include <string>

namespace cellwall {

struct CgroupVersions {
  bool v2_mounted = false;
  bool v1_in_use = false;            // by the processes of this host: version 1 alone, or a hybrid
  size_t containers_without_v2 = 0;  // have a cgroup of version 1 and none of version 2
  std::string example;               // one of them: runtime and id
};

// proc: /proc, in which the processes of the host are seen; of a container without the host's pid namespace,
// only its own are.
CgroupVersions inspect_cgroups(const std::string& proc = "/proc");

// What is not seen because of that, and what to do. Empty: nothing.
std::string what_is_unsupported(const CgroupVersions& versions);

}  // namespace cellwall
