// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "cellwall/events.h"
#include "cellwall/v1/agent.pb.h"
#include "clock.h"
#include "flow_details.h"

namespace cellwall {

// Writes events as the columns of one message.
class FlowEncoder {
 public:
  FlowEncoder(v1::FlowColumns* columns, const Clock& clock) : columns_(columns), clock_(clock) {}

  void add(const cw_event& event, const FlowDetails& details);
  size_t rows() const { return columns_->rows(); }

 private:
  uint32_t address(const uint8_t bytes[16]);
  uint32_t cgroup(uint64_t id);
  void add_sparse(uint32_t row, const cw_event& event, const FlowDetails& details);
  void add_payload(uint32_t row, const PayloadKind& kind);
  uint32_t text(std::string_view value);

  v1::FlowColumns* columns_;
  const Clock& clock_;
  int64_t last_time_ = 0;
  int64_t last_cookie_ = 0;
  std::unordered_map<std::string, uint32_t> addresses_;
  std::unordered_map<uint64_t, uint32_t> cgroups_;
  std::unordered_map<std::string, uint32_t> strings_;
};

// container: as FlowDetails.container.
v1::Listener encode_listener(const cw_event& socket, uint64_t container);

}  // namespace cellwall
