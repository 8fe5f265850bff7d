// SPDX-License-Identifier: Apache-2.0
//
// What the agent knows about a flow beyond what the kernel wrote down.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "captured.h"
#include "cgroup_tree.h"
#include "containers.h"
#include "flow_details.h"
#include "kernel.h"
#include "nat.h"

namespace cellwall {

class Describer {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // network_namespace: see Config. Without connection tracking flows are described without translations.
  Describer(Kernel& kernel, const CgroupTree& tree, const Containers& containers, Captured& captured)
      : kernel_(kernel), tree_(tree), containers_(containers), captured_(captured) {}
  Result<void> open_nat(const std::string& network_namespace);

  std::vector<FlowDetails> describe(std::span<const cw_event* const> events);
  // Of flows that are open now, all of them.
  std::vector<FlowDetails> describe_open(std::span<const cw_event* const> events);
  void tick(Time now);
  // What was captured is taken in before any event is described, and while none comes.
  void read_captures(Time now);
  uint64_t container_of(const cw_event& event) const;

 private:
  NatSite site_of(const cw_event& event) const;
  std::vector<FlowDetails> with_nat(std::span<const cw_event* const> events, std::vector<NatResult> results);

  Kernel& kernel_;
  const CgroupTree& tree_;
  const Containers& containers_;
  Captured& captured_;
  std::optional<Nat> nat_;
};

}  // namespace cellwall
