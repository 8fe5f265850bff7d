// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace cellwall::test {

struct Options {
  std::string ring;
  uint64_t events = 0;
  uint64_t first = 1;      // number of the first one
  double rate = 0;         // a second; 0: as fast as there is room
  uint64_t denied_in = 0;  // one in so many
  uint64_t peers = 200;    // the fewer, the more flows are alike
  bool lossy = false;      // full: it is lost and counted
  std::string server, state, epoch = "driver.1", node = "driver";
  uint64_t spool_bytes = 64 << 20;
  uint64_t queue_bytes = 32 << 20;
};

int fail(const std::string& message);
int produce(const Options& options);
// The delivery of the agent, without its kernel: ring, spool and stream are the real ones.
int deliver(const Options& options);

}  // namespace cellwall::test
