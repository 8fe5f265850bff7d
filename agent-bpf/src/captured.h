// SPDX-License-Identifier: Apache-2.0
//
// What captured payloads tell about flows: names and protocols.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "clock.h"
#include "flow_details.h"
#include "lookups.h"
#include "name_cache.h"
#include "payload_table.h"

namespace cellwall {

class Captured {
 public:
  using Time = PayloadTable::Time;
  using ContainerOf = std::function<uint64_t(uint64_t socket_cgroup)>;  // 0: none

  Captured(const Clock& clock, ContainerOf container_of)
      : clock_(clock), container_of_(std::move(container_of)) {}

  void add(const cw_capture& capture, Bytes bytes, Time now);
  // Fills in what is known; details->container is there already.
  void describe_ended(const cw_event& event, FlowDetails* details);
  void describe_open(const cw_event& event, FlowDetails* details, Time now);
  void container_died(uint64_t container, Time now);
  void tick(Time now);

  Lookups& lookups() { return lookups_; }
  const NameCache& names() const { return names_; }
  const PayloadTable& payloads() const { return payloads_; }

 private:
  void add_answers(const cw_capture& capture, Bytes bytes);
  std::string name_of(const cw_event& event, const FlowDetails& details) const;

  const Clock& clock_;
  ContainerOf container_of_;
  NameCache names_;
  Lookups lookups_;
  PayloadTable payloads_;
  std::vector<std::pair<Time, uint64_t>> dead_;
};

}  // namespace cellwall
