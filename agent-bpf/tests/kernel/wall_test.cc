// SPDX-License-Identifier: Apache-2.0
//
// Frames, tunnels and rewritten addresses of a pod, at the node's end of its veth.
#include <linux/if_ether.h>
#include <netinet/in.h>

#include "wall_fixture.h"

namespace cellwall::test {
namespace {

TEST_P(WallTest, refuses_frames_of_a_guarded_container_and_not_of_its_neighbour) {
  start_agent();
  guard();
  EXPECT_EQ(keep().devices, 1u);
  EXPECT_EQ(arrives(web_, {.to = kDenied}), 0);
  EXPECT_EQ(refused(), 1u);
  EXPECT_EQ(arrives(side_, {.to = kDenied}), 1);
  EXPECT_EQ(refused(), 1u);
}

TEST_P(WallTest, tells_what_it_refused) {
  start_agent();
  guard();
  keep();
  EXPECT_EQ(arrives(web_, {.to = kDenied, .protocol = IPPROTO_TCP, .port = 443}), 0);
  const auto records = told();
  ASSERT_EQ(records.size(), 1u);
  const cw_event& record = records[0];
  EXPECT_EQ(record.verdict, CW_DENIED);
  EXPECT_EQ(record.end, CW_END_DENIED);
  EXPECT_EQ(record.rule, kRuleDeny);
  EXPECT_EQ(record.generation, generation_);
  EXPECT_EQ(record.direction, CW_EGRESS);
  EXPECT_EQ(record.container, cgroup_id(web_));
  EXPECT_EQ(record.socket_cgroup, cgroup_id(web_));
  EXPECT_EQ(text_of(record.remote), kDenied);
  EXPECT_EQ(text_of(record.local), "10.8.0.2");
  EXPECT_EQ(record.remote_port, 443);
  EXPECT_EQ(record.protocol, IPPROTO_TCP);
}

TEST_P(WallTest, tells_a_destination_once_and_counts_each_packet) {
  start_agent();
  guard();
  keep();
  const Bytes bytes = frame({.to = kDenied}), other = frame({.to = kDenied, .port = 80});
  ASSERT_EQ(in_pod(web_,
                   [&] {
                     for (int i = 0; i < 100; i++) send_frame(bytes);
                     return send_frame(other);
                   }),
            0);
  EXPECT_EQ(refused(), 101u);
  EXPECT_EQ(told().size(), 2u);
}

TEST_P(WallTest, judges_frames_by_their_own_header) {
  start_agent();
  guard();
  keep();
  for (const std::string to : {"10.9.0.2", "fd09::2"}) {
    const uint8_t icmp = to == "fd09::2" ? 58 : 1;
    const uint16_t echo = to == "fd09::2" ? 128 << 8 : 8 << 8;
    EXPECT_EQ(arrives(web_, {.to = to, .protocol = IPPROTO_TCP}), 1) << to;
    EXPECT_EQ(arrives(web_, {.to = to, .protocol = IPPROTO_UDP}), 1) << to;
    EXPECT_EQ(arrives(web_, {.to = to, .protocol = icmp, .port = echo}), 1) << to;
  }
  for (const std::string to : {"10.9.0.3", "fd09::3"}) {
    const uint8_t icmp = to == "fd09::3" ? 58 : 1;
    const uint16_t answer = to == "fd09::3" ? 129 << 8 : 0;
    EXPECT_EQ(arrives(web_, {.to = to, .protocol = IPPROTO_TCP}), 0) << to;
    EXPECT_EQ(arrives(web_, {.to = to, .protocol = IPPROTO_TCP, .tcp_flags = 16}), 0) << to;
    EXPECT_EQ(arrives(web_, {.to = to, .protocol = IPPROTO_UDP}), 0) << to;
    EXPECT_EQ(arrives(web_, {.to = to, .protocol = icmp, .port = answer}), 0) << to;
    EXPECT_EQ(arrives(web_, {.to = to, .protocol = IPPROTO_GRE}), 0) << to;
  }
}

TEST_P(WallTest, refuses_what_an_address_does_not_judge) {
  start_agent();
  guard();
  keep();
  EXPECT_EQ(arrives(web_, frame(0x88b5, word()), 0x88b5), 0);
  EXPECT_EQ(arrives(side_, frame(0x88b5, word()), 0x88b5), 1);
  EXPECT_EQ(arrives(web_, {.to = "10.9.0.2", .fragment = 185}), 0);
  EXPECT_EQ(arrives(side_, {.to = "10.9.0.2", .fragment = 185}), 1);
  EXPECT_EQ(arrives(web_, {.to = "10.9.0.2", .source_route = true}), 0);
  const auto records = told();
  ASSERT_EQ(records.size(), 3u);
  for (const cw_event& record : records) EXPECT_EQ(record.rule, CW_RULE_SOCKET);
}

TEST_P(WallTest, lets_arp_and_neighbour_discovery_through_while_they_stay_on_the_link) {
  start_agent();
  guard();
  keep();
  EXPECT_EQ(arrives(web_, frame(ETH_P_ARP, word()), ETH_P_ARP), 1);
  const Packet discovery = {
      .to = "ff02::1:ff00:1", .protocol = IPPROTO_ICMPV6, .port = 135 << 8, .hop_limit = 255};
  EXPECT_EQ(arrives(web_, discovery), 1);
  EXPECT_EQ(arrives(web_, {.to = "fd99::7", .protocol = IPPROTO_ICMPV6, .port = 135 << 8, .hop_limit = 255}),
            0);
}

TEST_P(WallTest, only_tells_in_audit_mode) {
  start_agent();
  KernelPolicy policy;
  policy.generation = ++generation_;
  policy.subjects = {
      {.cgroup = cgroup_id(web_), .rule_set = 1, .flags = CW_SUBJECT_GUARDED, .directory = web_}};
  policy.rules.peers = {peer("0.0.0.0", 0, kClassDeny), peer("::", 0, kClassDeny)};
  policy.rules.ports = allow_and_deny_classes();
  policy.rules.ports[1].verdict = CW_AUDIT;
  ASSERT_TRUE(kernel_->apply(policy).has_value());
  keep();
  EXPECT_EQ(arrives(web_, {.to = kDenied}), 1);
  EXPECT_EQ(arrives(web_, frame(0x88b5, word()), 0x88b5), 1);
  EXPECT_EQ(refused(), 0u);
  const auto records = told();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].verdict, CW_AUDIT);
}

INSTANTIATE_TEST_SUITE_P(Kernel, WallTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "fallback" : "plain_loads"; });

}  // namespace
}  // namespace cellwall::test
