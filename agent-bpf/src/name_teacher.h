// SPDX-License-Identifier: Apache-2.0
//
// Names that a container looked up before its rule set asked for them. The kernel learns only what the rules
// of the moment name; what else was looked up is known where look-ups are observed.
#pragma once

#include <cstdint>
#include <span>

#include "kernel.h"
#include "name_cache.h"

namespace cellwall {

class NameTeacher {
 public:
  NameTeacher(Kernel& kernel, const NameCache& names) : kernel_(kernel), names_(names) {}

  // Teaches the kernel what the container, whose network namespace is net, got from name servers that it may
  // learn from, as long as that lasts. Its rules are in force.
  void teach(uint64_t container, uint32_t net, std::span<const KernelResolver> resolvers) const;

 private:
  Kernel& kernel_;
  const NameCache& names_;
};

}  // namespace cellwall
