// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace cellwall {

// From the kernel's boot time to wall clock time. The offset is read again by refresh(), so that a stepped
// clock moves the flows that end after the step and none before it.
class Clock {
 public:
  Clock() { refresh(); }
  void refresh();
  int64_t wall_us(uint64_t boot_ns) const { return static_cast<int64_t>(boot_ns / 1000) + offset_us_; }

 private:
  int64_t offset_us_ = 0;
};

uint64_t boot_now_ns();

// Names this boot of the machine: cgroup ids and the kernel's counters begin anew with each.
std::string boot_id();

}  // namespace cellwall
