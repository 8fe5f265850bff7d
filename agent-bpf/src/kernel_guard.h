// SPDX-License-Identifier: Apache-2.0
//
// Programs of some containers, attached to their cgroups: those that judge packets and socket options, or
// that read the answers of name servers. Pinned, so that they go on when the agent ends.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "kernel_pins.h"
#include "result.h"

namespace cellwall {

class Guards {
 public:
  struct Part {
    const char* pin;  // its links are pinned as <pin><cgroup id>
    bpf_program* program;
  };
  // Those which the kernel did not take are left out.
  using Parts = std::vector<Part>;

  Guards(const Pins& pins, const Parts& parts) : pins_(pins), parts_(parts) {}

  // Puts the new programs into the links of an earlier agent; those of containers that are gone are removed.
  Result<void> adopt();
  // Attaches once. A container that has gone meanwhile is no error.
  Result<void> add(uint64_t cgroup, const std::string& directory);
  void remove(uint64_t cgroup);
  const std::set<uint64_t>& guarded() const { return guarded_; }

 private:
  static bool loaded(const Part& part);

  Pins pins_;
  Parts parts_;
  std::set<uint64_t> guarded_;
};

// The ports that are kept for a container, in the map cw_port_owners, are nobody's any more.
void forget_ports(int map, uint64_t container);

}  // namespace cellwall
