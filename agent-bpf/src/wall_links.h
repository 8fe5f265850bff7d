// SPDX-License-Identifier: Apache-2.0
//
// The program of the second wall at devices of the node: by a pinned link where the kernel has links for that
// (tcx, Linux 6.6), else as a filter of the queueing discipline clsact, with a pin that remembers it. Either
// goes on without the agent, and goes with its device.
#pragma once

#include <cstdint>
#include <set>

#include "fd.h"
#include "kernel_pins.h"
#include "result.h"

namespace cellwall {

// Has this kernel links for packets of devices?
bool has_device_links();

class WallLinks {
 public:
  WallLinks(const Pins& pins, const Fd& node, int program, bool links)
      : pins_(pins), node_(node), program_(program), links_(links) {}

  // Puts the program there, in place of an earlier agent's.
  Result<void> attach(uint32_t device) const;
  Result<void> detach(uint32_t device) const;
  // What is pinned, also by an agent before this one, and of devices that are gone.
  std::set<uint32_t> pinned() const;
  // Of a device that is still there?
  bool attached(uint32_t device) const;

 private:
  Result<void> attach_link(uint32_t device) const;
  Result<void> attach_filter(uint32_t device) const;

  const Pins& pins_;
  const Fd& node_;
  int program_;
  bool links_;
};

}  // namespace cellwall
