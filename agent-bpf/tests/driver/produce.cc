// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "clock.h"
#include "driver.h"
#include "ring_file.h"

namespace cellwall::test {
namespace {

constexpr uint64_t kContainers = 50;

// Flows of a node: containers that call some servers each, from ports of no meaning. Every event has its own
// number in sent_bytes, so that the store shows which ones it has.
cw_event event_of(uint64_t number, const Options& options) {
  cw_event event = {};
  event.end_ns = boot_now_ns();
  event.start_ns = event.end_ns - 1'000'000;
  event.socket_cgroup = event.container = 1000 + number % kContainers;
  event.cookie = number;
  event.sent_bytes = number;
  event.received_bytes = 100;
  for (auto* address : {event.local, event.remote}) address[10] = address[11] = 0xff;
  event.local[12] = event.remote[12] = 10;
  event.local[15] = static_cast<uint8_t>(number % kContainers);
  event.remote[13] = 1;
  const uint64_t peer = number * 7 % options.peers;
  event.remote[14] = static_cast<uint8_t>(peer >> 8);
  event.remote[15] = static_cast<uint8_t>(peer);
  event.local_port = static_cast<uint16_t>(32768 + number % 28000);
  event.remote_port = 443;
  event.sent_packets = event.received_packets = 3;
  event.pid = 4242;
  event.protocol = 6;
  event.direction = CW_EGRESS;
  event.verdict = options.denied_in && number % options.denied_in == 0 ? CW_DENIED : CW_ALLOWED;
  event.end = event.verdict == CW_DENIED ? CW_END_DENIED : CW_END_CLOSED;
  std::snprintf(event.comm, sizeof(event.comm), "driver");
  return event;
}

}  // namespace

int produce(const Options& options) {
  RingFile ring(options.ring, true);
  if (!ring.good()) return fail("cannot make " + options.ring);
  const auto began = std::chrono::steady_clock::now();
  uint64_t made = 0, denied = 0, lost = 0;
  while (made < options.events) {
    const auto passed = std::chrono::steady_clock::now() - began;
    const uint64_t due =
        options.rate ? static_cast<uint64_t>(std::chrono::duration<double>(passed).count() * options.rate)
                     : options.events;
    for (; made < std::min(due, options.events); made++) {
      const cw_event event = event_of(options.first + made, options);
      denied += event.verdict == CW_DENIED;
      bool put = ring.produce(event);
      // Time is simulated: nothing of it passes while there is no room, unless the kernel is to lose.
      while (!put && !options.lossy) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        put = ring.produce(event);
      }
      if (!put) {
        ring.ring_full()++;
        lost++;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::printf("{\"made\": %lu, \"denied\": %lu, \"ringFull\": %lu, \"newest\": %lu}\n", made, denied, lost,
              ring.newest());
  return 0;
}

}  // namespace cellwall::test
