// SPDX-License-Identifier: Apache-2.0
//
// Writer of the policy maps: fills the set that is not in force, then swaps; or adds to what is in force.
#pragma once

#include "kernel.h"
#include "kernel_pins.h"
#include "policy_set.h"

namespace cellwall {

class PolicyMaps {
 public:
  struct Outer {
    std::array<int, kPolicyMaps> maps;  // by PolicyMap
    int state;
    int startup;
  };

  // Takes over the generation that is in force, if there is one.
  static Result<PolicyMaps> open(const Pins& pins, Outer outer, const KernelOptions& limits);

  Result<void> apply(const KernelPolicy& policy);
  Result<void> amend(const KernelAmendment& amendment);
  Result<void> set_subject(const KernelSubject& subject);
  Result<void> remove_subject(uint64_t cgroup);
  Result<void> allow_at_startup(const std::vector<KernelStartupAllow>& allowed);
  std::optional<cw_subject> subject(uint64_t cgroup) const;
  bool any_flags() const { return in_force_ && in_force_->any_flags(); }
  uint64_t generation() const { return state_.selector >> 1; }

 private:
  PolicyMaps(const Pins& pins, Outer outer, const KernelOptions& limits);
  Result<void> put_in_force(PolicySet set, uint64_t generation, uint32_t slot);
  Result<void> changed();

  Pins pins_;
  Outer outer_;
  PolicyLimits limits_;
  cw_policy_state state_ = {};
  std::optional<PolicySet> in_force_;
};

}  // namespace cellwall
