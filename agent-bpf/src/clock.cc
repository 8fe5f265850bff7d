// SPDX-License-Identifier: Apache-2.0
#include "clock.h"

#include <ctime>
#include <fstream>

namespace cellwall {
namespace {

int64_t read_ns(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

void Clock::refresh() {
  offset_us_ = (read_ns(CLOCK_REALTIME) - read_ns(CLOCK_BOOTTIME)) / 1000;
}

uint64_t boot_now_ns() {
  return static_cast<uint64_t>(read_ns(CLOCK_BOOTTIME));
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace cellwall
