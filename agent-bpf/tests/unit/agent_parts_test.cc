// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "config.h"
#include "containers.h"
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
  cw_event second = event();
  second.end_ns += 3000;
  second.start_ns = 0;
  second.cookie = 7;
  encoder.add(event(), {.container = 33, .nat = {}});
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

ContainerCgroup born(uint64_t id, const std::string& runtime_id, const std::string& pod_uid) {
  return {.id = id, .path = "/x/" + runtime_id, .identity = {"containerd", runtime_id, pod_uid, 0}};
}

RuntimeContainers listed() {
  RuntimeContainer nginx;
  nginx.name = "nginx";
  nginx.namespace_name = "shop";
  nginx.pod = "web";
  nginx.labels = {{"app", "web"}};
  return {{"aaaa", nginx}};
}

TEST(Containers, are_named_when_the_runtime_tells_and_only_then) {
  Containers containers;
  containers.born(born(1, "aaaa", "uid"));
  EXPECT_EQ(containers.all().at(1).name(), "") << "in a pod, a guess would stay in the records";
  EXPECT_TRUE(containers.any_unnamed());
  EXPECT_EQ(containers.name(listed()), std::vector<uint64_t>{1});
  EXPECT_FALSE(containers.any_unnamed());
  EXPECT_EQ(containers.all().at(1).name(), "nginx");
  EXPECT_TRUE(containers.name(listed()).empty()) << "nothing new";
}

TEST(Containers, outside_a_pod_have_the_short_runtime_id_for_a_name) {
  Containers containers;
  containers.born(born(1, "0123456789abcdef", ""));
  EXPECT_EQ(containers.all().at(1).name(), "0123456789ab");
}

TEST(Containers, recall_what_the_agent_before_knew) {
  Containers before, after;
  before.born(born(1, "aaaa", "uid"));
  before.name(listed());
  after.born(born(1, "aaaa", "uid"));
  after.born(born(2, "bbbb", "uid"));
  const v1::ContainersUpdate known = before.complete();
  for (const auto& container : known.upserted()) after.recall(container);
  EXPECT_EQ(after.all().at(1).name(), "nginx");
  EXPECT_EQ(after.all().at(2).name(), "");
  v1::Container reused = before.all().at(1);
  reused.set_cgroup_id(2);
  after.recall(reused);
  EXPECT_EQ(after.all().at(2).name(), "") << "another container with that cgroup id";
}

TEST(Containers, tell_changes_once) {
  Containers containers;
  containers.born(born(1, "aaaa", "uid"));
  containers.born(born(2, "bbbb", "uid"));
  containers.died(2);
  const auto first = containers.take_changes();
  EXPECT_EQ(first.upserted_size(), 1);
  EXPECT_EQ(first.removed_size(), 1);
  EXPECT_FALSE(containers.changed());
  EXPECT_EQ(containers.complete().upserted_size(), 1);
}

TEST(Config, plain_text_is_for_this_machine) {
  for (const char* local : {"127.0.0.1:1", "localhost:7480", "[::1]:2", "unix:/run/x", "127.9.9.9:1"})
    EXPECT_TRUE(is_local_address(local)) << local;
  for (const char* remote : {"10.0.0.1:1", "localhost.example:1", "[::2]:1", "server:7480", "::1"})
    EXPECT_FALSE(is_local_address(remote)) << remote;
}

}  // namespace
}  // namespace cellwall
