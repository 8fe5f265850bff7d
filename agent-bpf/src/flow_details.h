// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cellwall/events.h"
#include "first_payload.h"
#include "nat.h"

namespace cellwall {

// What the agent adds to an event of the kernel.
struct FlowDetails {
  uint64_t container = 0;  // cgroup id, 0: not known, then the socket's cgroup stands for it
  NatResult nat;
  std::string name = {};  // by which the container had looked the remote address up, empty: none
  PayloadKind payload = {};
};

// One for each event, in their order.
using DescribeFlows = std::function<std::vector<FlowDetails>(std::span<const cw_event* const>)>;

}  // namespace cellwall
