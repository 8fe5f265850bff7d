// SPDX-License-Identifier: Apache-2.0
//
// The maps of one generation: made at their limits, filled, pinned.
#pragma once

#include <array>
#include <span>

#include "kernel.h"
#include "kernel_pins.h"

namespace cellwall {

enum class PolicyMap { kSubjects, kAddresses, kIdentities, kPeers, kPorts, kNames, kPatterns };
constexpr size_t kPolicyMaps = 7;

// By PolicyMap.
using PolicyLimits = std::array<uint32_t, kPolicyMaps>;
PolicyLimits policy_limits(const KernelOptions& options);

class PolicySet {
 public:
  static Result<PolicySet> make(const PolicyLimits& limits);
  // The maps that an earlier agent pinned for that slot.
  static Result<PolicySet> adopt(const Pins& pins, uint32_t slot, const PolicyLimits& limits);
  // Replaces what is pinned for that slot.
  Result<void> pin(const Pins& pins, uint32_t slot) const;
  int fd(PolicyMap map) const { return fds_[static_cast<size_t>(map)].get(); }

  // What leads to a class comes after the class.
  Result<void> add_rules(const KernelRules& rules);
  Result<void> add_addresses(std::span<const KernelAddress> addresses);
  Result<void> remove_addresses(std::span<const Address> addresses);
  Result<void> put_subject(const KernelSubject& subject);
  bool has(const KernelSubject& subject) const;  // as it is
  Result<void> remove_subject(uint64_t cgroup);
  std::optional<cw_subject> subject(uint64_t cgroup) const;
  bool any_flags() const;  // has a subject some?

 private:
  explicit PolicySet(const PolicyLimits& limits) : limits_(limits) {}
  template <typename Key, typename Value>
  Result<void> put(PolicyMap map, const Key& key, const Value& value);
  Result<void> add_names(const std::vector<KernelName>& names);
  Result<void> add_ports(const std::vector<KernelPort>& ports);

  std::array<Fd, kPolicyMaps> fds_;
  PolicyLimits limits_;
};

// Of a name, for good: what is learned outlives generations and agents.
uint64_t pattern_number(const std::string& name);
// Its key in the trie of names; empty: longer than a name of the DNS is.
std::optional<cw_name_key> name_key(uint32_t rule_set, const std::string& name);

}  // namespace cellwall
