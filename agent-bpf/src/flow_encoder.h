// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "cellwall/events.h"
#include "cellwall/v1/agent.pb.h"
#include "clock.h"

namespace cellwall {

// Writes events as the columns of one message.
class FlowEncoder {
 public:
  FlowEncoder(v1::FlowColumns* columns, const Clock& clock) : columns_(columns), clock_(clock) {}

  // container: cgroup id of the container, 0: not known, then the socket's cgroup stands for it.
  void add(const cw_event& event, uint64_t container);
  size_t rows() const { return columns_->rows(); }

 private:
  uint32_t address(const uint8_t bytes[16]);
  uint32_t cgroup(uint64_t id);
  uint32_t text(std::string_view value);

  v1::FlowColumns* columns_;
  const Clock& clock_;
  int64_t last_time_ = 0;
  int64_t last_cookie_ = 0;
  std::unordered_map<std::string, uint32_t> addresses_;
  std::unordered_map<uint64_t, uint32_t> cgroups_;
  std::unordered_map<std::string, uint32_t> strings_;
};

}  // namespace cellwall
