// SPDX-License-Identifier: Apache-2.0
//
// Writer of the policy maps: fills the set that is not in force, then swaps.
#pragma once

#include "kernel.h"
#include "kernel_pins.h"

namespace cellwall {

class PolicyMaps {
 public:
  struct Outer {
    int subjects;
    int peers;
    int ports;
    int state;
  };

  // Takes over the generation that is in force, if there is one.
  static Result<PolicyMaps> open(const Pins& pins, Outer outer, const KernelOptions& limits);

  Result<void> apply(const KernelPolicy& policy);
  Result<void> set_subject(uint64_t cgroup, uint32_t rule_set);
  Result<void> remove_subject(uint64_t cgroup);
  std::optional<uint32_t> subject(uint64_t cgroup) const;
  uint64_t generation() const { return selector_ >> 1; }

 private:
  PolicyMaps(const Pins& pins, Outer outer, const KernelOptions& limits);
  Result<void> check_limits(const KernelPolicy& policy) const;

  Pins pins_;
  Outer outer_;
  KernelOptions limits_;
  uint64_t selector_ = 0;  // cw_policy_state.selector
  Fd subjects_;            // of the generation in force
};

}  // namespace cellwall
