// SPDX-License-Identifier: Apache-2.0
#include "wall_fixture.h"

#include <linux/if_ether.h>

namespace cellwall::test {

void WallTest::SetUp() {
  TranslatedNetwork::SetUp();
  side_ = container("side");
  Signal ready;
  side_end_ = std::make_unique<Signal>();
  side_child_ = std::make_unique<Child>(side_, [&] {
    pod_.enter();
    ready.give();
    side_end_->wait(kChildSeconds);
    return 0;
  });
  ASSERT_TRUE(ready.wait());
}

void WallTest::TearDown() {
  side_child_.reset();
  TranslatedNetwork::TearDown();
}

void WallTest::start_agent(bool filters) {
  start([&](KernelOptions& options) {
    options.network_namespace = "/proc/self/ns/net";
    options.wall_filters = filters;
  });
}

void WallTest::guard(uint32_t flags) {
  KernelPolicy policy;
  policy.generation = ++generation_;
  policy.subjects = {{.cgroup = cgroup_id(web_), .rule_set = 1, .flags = flags, .directory = web_}};
  policy.rules.peers = {peer("0.0.0.0", 0, kClassDeny),        peer("::", 0, kClassDeny),
                        peer("10.9.0.2", 32, kClassAllow),     peer("fd09::2", 128, kClassAllow),
                        peer("192.168.77.0", 24, kClassAllow), sender("::", 0, kClassAllow)};
  policy.rules.ports = allow_and_deny_classes();
  auto done = kernel_->apply(policy);
  ASSERT_TRUE(done.has_value()) << done.error().message;
}

WallReport WallTest::keep(bool guarded, bool side, bool again) {
  std::vector<WallContainer> containers = {
      {.cgroup = cgroup_id(web_), .directory = web_, .guarded = guarded}};
  if (side) containers.push_back({.cgroup = cgroup_id(side_), .directory = side_});
  auto report = kernel_->keep_wall(containers, again);
  EXPECT_TRUE(report.has_value()) << report.error().message;
  return report ? *report : WallReport{};
}

int WallTest::arrives(const std::string& cgroup, const Bytes& bytes, uint16_t ethertype) {
  Arrivals arrivals(kNodeEnd, ethertype);
  EXPECT_EQ(in_pod(cgroup, [&] { return send_frame(bytes); }), 0);
  return arrivals.count(1);
}

int WallTest::arrives(const std::string& cgroup, const Packet& packet) {
  const bool v6 = packet.to.find(':') != std::string::npos;
  return arrives(cgroup, frame(packet), v6 ? ETH_P_IPV6 : ETH_P_IP);
}

std::vector<cw_event> WallTest::told() {
  std::vector<cw_event> found;
  for (const cw_event& event : events()) {
    if (event.pid == 0 && event.verdict != CW_ALLOWED) found.push_back(event);
  }
  return found;
}

}  // namespace cellwall::test
