// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "config.h"
#include "flow_encoder.h"

namespace cellwall {
namespace {

cw_event event() {
  cw_event made = {};
  made.end_ns = boot_now_ns();
  made.start_ns = made.end_ns - 5'000'000;
  made.socket_cgroup = 40;
  made.cookie = 9;
  made.sent_bytes = 100;
  made.received_bytes = CW_UNKNOWN_BYTES;
  made.local[10] = made.local[11] = 0xff;
  made.remote[15] = 1;
  made.remote_port = 5432;
  made.protocol = IPPROTO_TCP;
  made.direction = CW_EGRESS;
  made.verdict = CW_ALLOWED;
  made.end = CW_END_CLOSED;
  made.pid = 77;
  std::memcpy(made.comm, "psql", 5);
  return made;
}

TEST(FlowEncoder, writes_columns_with_dictionaries_and_deltas) {
  const Clock clock;
  v1::FlowColumns columns;
  FlowEncoder encoder(&columns, clock);
  const cw_event first = event();
  cw_event second = first;
  second.end_ns += 3000;
  second.start_ns = 0;
  second.cookie = 7;
  encoder.add(first, {.container = 33, .nat = {}});
  encoder.add(second, {.container = 0, .nat = {}});
  EXPECT_EQ(columns.rows(), 2U);
  EXPECT_EQ(columns.addresses_size(), 2);
  EXPECT_EQ(columns.addresses(0).size(), 4U) << "IPv4 takes four bytes";
  EXPECT_EQ(columns.addresses(1).size(), 16U);
  EXPECT_EQ(columns.cgroups(0), 33U) << "the container";
  EXPECT_EQ(columns.cgroups(1), 40U) << "not known: the socket's own cgroup";
  EXPECT_EQ(columns.flags(0), 0U);
  EXPECT_EQ(columns.flags(1), static_cast<uint32_t>(CW_FLAG_UNNAMED));
  EXPECT_EQ(columns.duration_plus_one(0), 5001U);
  EXPECT_EQ(columns.duration_plus_one(1), 0U);
  EXPECT_NEAR(columns.end_time_delta(1), 3, 1);
  EXPECT_EQ(columns.cookie_delta(0), 9);
  EXPECT_EQ(columns.cookie_delta(1), -2);
  EXPECT_EQ(columns.sent_bytes_plus_one(0), 101U);
  EXPECT_EQ(columns.received_bytes_plus_one(0), 0U);
  EXPECT_EQ(columns.strings_size(), 1);
  EXPECT_EQ(columns.strings(0), "psql");
}

TEST(FlowEncoder, makes_text_of_whatever_a_process_calls_itself) {
  const Clock clock;
  v1::FlowColumns columns;
  FlowEncoder encoder(&columns, clock);
  cw_event odd = event();
  std::memcpy(odd.comm,
              "a\x1b\xff\xfe"
              "234567890123456",
              CW_COMM_BYTES);  // not terminated
  encoder.add(odd, {.container = 1, .nat = {}});
  EXPECT_EQ(columns.strings(0), "a???234567890123");
  EXPECT_TRUE(v1::FlowColumns().ParseFromString(columns.SerializeAsString()));
}

TEST(Clock, tells_wall_clock_time_of_boot_time) {
  const Clock clock;
  const auto wall = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  EXPECT_NEAR(static_cast<double>(clock.wall_us(boot_now_ns())), static_cast<double>(wall.count()), 100'000);
}

TEST(Config, plain_text_is_for_this_machine) {
  for (const char* local : {"127.0.0.1:1", "localhost:7480", "[::1]:2", "unix:/run/x", "127.9.9.9:1"})
    EXPECT_TRUE(is_local_address(local)) << local;
  for (const char* remote : {"10.0.0.1:1", "localhost.example:1", "[::2]:1", "server:7480", "::1"})
    EXPECT_FALSE(is_local_address(remote)) << remote;
}

}  // namespace
}  // namespace cellwall
