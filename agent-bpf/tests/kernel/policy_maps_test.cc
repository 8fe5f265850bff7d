// SPDX-License-Identifier: Apache-2.0
//
// What decides beside networks and ports: identities, names, amendments.
#include <bpf/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "clock.h"
#include "fd.h"
#include "fixture.h"
#include "policy_set.h"
#include "sockets.h"

namespace cellwall::test {
namespace {

constexpr uint32_t kIdentity = 5;
constexpr uint32_t kClassNamed = 3;
constexpr uint32_t kClassIsolated = 4;
constexpr uint32_t kRuleName = 21;
constexpr uint32_t kRuleIsolated = 22;
constexpr uint32_t kRuleAudited = 23;

class PolicyMaps : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    web_ = container("web");
    start();
    policy_.generation = 1;
    policy_.subjects = {
        {.cgroup = cgroup_id(web_), .rule_set = 1, .flags = CW_SUBJECT_NAMES, .directory = web_}};
    policy_.rules.ports = allow_and_deny_classes();
  }
  void apply() {
    auto done = kernel_->apply(policy_);
    ASSERT_TRUE(done.has_value()) << done.error().message;
    policy_.generation++;
  }
  int connect_to(const std::string& target, uint16_t port) {
    return run_in(web_, [&] { return tcp_exchange(target, port); });
  }
  // What reading an answer of the DNS does.
  void learn(const std::string& target, const std::string& pattern, int seconds) {
    const Fd map(bpf_obj_get((pins_ + "/cw_learned").c_str()));
    cw_learned_key key = {.container = cgroup_id(web_), .address = {}};
    std::copy_n(address(target).begin(), 16, key.address);
    cw_learned value = {};
    value.pattern[1] = pattern_number(pattern);
    value.until_ns[1] = boot_now_ns() + static_cast<uint64_t>(seconds) * 1000000000;
    ASSERT_EQ(bpf_map_update_elem(map.get(), &key, &value, BPF_ANY), 0);
  }
  static KernelPort port(uint32_t class_id, uint8_t verdict, uint32_t rule, uint8_t lift = CW_LIFT_NONE,
                         uint32_t lifted_rule = 0) {
    return {.class_id = class_id,
            .protocol = 0,
            .port = 0,
            .port_prefix_length = 0,
            .verdict = verdict,
            .rule = rule,
            .lift = lift,
            .lifted_rule = lifted_rule};
  }
  std::string web_;
  KernelPolicy policy_;
};
INSTANTIATE_TEST_SUITE_P(, PolicyMaps, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(PolicyMaps, the_identity_of_an_address_beats_its_network) {
  const Server one(SOCK_STREAM, "10.7.0.1"), two(SOCK_STREAM, "10.7.0.2");
  policy_.rules.peers = {peer("::", 0, kClassDeny)};
  policy_.rules.identities = {
      {.rule_set = 1, .direction = CW_EGRESS, .identity = kIdentity, .class_id = kClassAllow},
      {.rule_set = 1, .direction = CW_INGRESS, .identity = kIdentity + 1, .class_id = kClassAllow}};
  policy_.addresses = {{.address = address("10.7.0.1"), .identity = kIdentity},
                       {.address = address("10.7.0.2"), .identity = kIdentity + 1}};
  apply();
  EXPECT_EQ(connect_to("10.7.0.1", one.port()), 0);
  EXPECT_EQ(connect_to("10.7.0.2", two.port()), EPERM) << "its identity is known to the other direction only";
}

TEST_P(PolicyMaps, an_amendment_adds_to_what_is_in_force_also_after_a_restart) {
  const Server one(SOCK_STREAM, "10.7.0.1"), two(SOCK_STREAM, "10.7.0.2");
  policy_.rules.peers = {peer("::", 0, kClassDeny)};
  apply();
  EXPECT_EQ(connect_to("10.7.0.1", one.port()), EPERM);
  stop();
  start();
  KernelAmendment amendment;
  amendment.rules.identities = {
      {.rule_set = 1, .direction = CW_EGRESS, .identity = kIdentity, .class_id = kClassNamed}};
  amendment.rules.ports = {port(kClassNamed, CW_ALLOWED, 19)};
  amendment.addresses = {{.address = address("10.7.0.1"), .identity = kIdentity}};
  auto done = kernel_->amend(amendment);
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_EQ(connect_to("10.7.0.1", one.port()), 0);
  EXPECT_EQ(kernel_->generation(), 1U);
  amendment = {};
  amendment.removed_addresses = {address("10.7.0.1"), address("10.9.9.9")};
  amendment.addresses = {{.address = address("10.7.0.2"), .identity = kIdentity}};
  ASSERT_TRUE(kernel_->amend(amendment).has_value());
  EXPECT_EQ(connect_to("10.7.0.1", one.port()), EPERM);
  EXPECT_EQ(connect_to("10.7.0.2", two.port()), 0);
}

TEST_P(PolicyMaps, an_amendment_over_a_limit_is_refused_by_the_name_of_the_option) {
  stop();
  ASSERT_TRUE(remove_pins(pins_).has_value());
  start([](KernelOptions& options) { options.policy_addresses = 1; });
  policy_.rules.peers = {peer("::", 0, kClassDeny)};
  apply();
  KernelAmendment amendment;
  amendment.addresses = {{.address = address("10.7.0.1"), .identity = 1},
                         {.address = address("10.7.0.2"), .identity = 1}};
  const auto refused = kernel_->amend(amendment);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("--policy-addresses"), std::string::npos) << refused.error().message;
}

TEST_P(PolicyMaps, a_learned_name_lifts_what_isolation_refuses_and_no_more) {
  const Server one(SOCK_STREAM, "10.7.0.1"), two(SOCK_STREAM, "10.7.0.2");
  policy_.rules.peers = {peer("::", 0, kClassIsolated), peer("10.7.0.2", 32, kClassDeny)};
  policy_.rules.ports.push_back(port(kClassIsolated, CW_DENIED, kRuleIsolated, CW_LIFT_ENFORCED));
  policy_.rules.ports.push_back(port(kClassNamed, CW_ALLOWED, kRuleName));
  policy_.rules.names = {{.rule_set = 1, .name = "*.example.com", .class_id = kClassNamed}};
  apply();
  EXPECT_EQ(connect_to("10.7.0.1", one.port()), EPERM);
  learn("10.7.0.1", "*.example.com", 60);
  learn("10.7.0.2", "*.example.com", 60);
  EXPECT_EQ(connect_to("10.7.0.1", one.port()), 0);
  EXPECT_EQ(connect_to("10.7.0.2", two.port()), EPERM) << "a rule refuses it";
  learn("10.7.0.1", "*.example.com", -1);
  EXPECT_EQ(connect_to("10.7.0.1", one.port()), EPERM) << "the answer is too old";
  learn("10.7.0.1", "*.example.org", 60);
  EXPECT_EQ(connect_to("10.7.0.1", one.port()), EPERM) << "another name";
  const auto found = events();
  ASSERT_EQ(found.size(), 5U);
  EXPECT_EQ(found[0].rule, kRuleIsolated);
  EXPECT_EQ(found[1].rule, kRuleName);
  EXPECT_EQ(found[1].verdict, CW_ALLOWED);
  EXPECT_EQ(found[2].rule, kRuleDeny);
}

TEST_P(PolicyMaps, a_name_of_an_audit_policy_lifts_an_audit_verdict_only) {
  const Server one(SOCK_STREAM, "10.7.0.1"), two(SOCK_STREAM, "10.7.0.2");
  policy_.rules.peers = {peer("::", 0, kClassIsolated), peer("10.7.0.2", 32, 6)};
  policy_.rules.ports.push_back(
      port(kClassIsolated, CW_DENIED, kRuleIsolated, CW_LIFT_ENFORCED, kRuleAudited));
  policy_.rules.ports.push_back(port(6, CW_AUDIT, kRuleIsolated, CW_LIFT_AUDIT));
  policy_.rules.ports.push_back(port(kClassNamed, CW_AUDIT, kRuleName));
  policy_.rules.ports.push_back(port(7, CW_ALLOWED, kRuleName + 100));
  policy_.rules.names = {{.rule_set = 1, .name = "api.example.com", .class_id = kClassNamed},
                         {.rule_set = 1, .name = "db.example.com", .class_id = 7}};
  apply();
  for (const char* target : {"10.7.0.1", "10.7.0.2"}) learn(target, "api.example.com", 60);
  EXPECT_EQ(connect_to("10.7.0.1", one.port()), EPERM);
  EXPECT_EQ(connect_to("10.7.0.2", two.port()), 0);
  learn("10.7.0.1", "db.example.com", 60);
  EXPECT_EQ(connect_to("10.7.0.1", one.port()), 0);
  const auto found = events();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].verdict, CW_DENIED);
  EXPECT_EQ(found[1].verdict, CW_ALLOWED);
  EXPECT_EQ(found[1].rule, kRuleName);
  EXPECT_EQ(found[2].verdict, CW_AUDIT) << "another policy, in audit mode, would refuse it also then";
  EXPECT_EQ(found[2].rule, kRuleAudited);
}

TEST_P(PolicyMaps, what_a_name_let_begin_goes_on_when_the_answer_is_old_and_ends_with_the_rule) {
  const Server one(SOCK_STREAM, "10.7.0.1");
  policy_.subjects[0].flags |= CW_SUBJECT_GUARDED;
  policy_.rules.peers = {peer("::", 0, kClassIsolated), sender("::", 0, kClassAllow)};
  policy_.rules.ports.push_back(port(kClassIsolated, CW_DENIED, kRuleIsolated, CW_LIFT_ENFORCED));
  policy_.rules.ports.push_back(port(kClassNamed, CW_ALLOWED, kRuleName));
  policy_.rules.names = {{.rule_set = 1, .name = "api.example.com", .class_id = kClassNamed}};
  apply();
  learn("10.7.0.1", "api.example.com", 60);
  Signal connected, go;
  Child client(web_, [&] {
    const int fd = make_socket("10.7.0.1", SOCK_STREAM);
    if (tcp_try(fd, "10.7.0.1", one.port())) return 1;
    connected.give();
    go.wait();
    return 0;
  });
  ASSERT_TRUE(connected.wait());
  learn("10.7.0.1", "api.example.com", -1);
  apply();
  auto cut = kernel_->cut_refused();
  ASSERT_TRUE(cut.has_value()) << cut.error().message;
  EXPECT_EQ(*cut, 0U);
  policy_.rules.names.clear();
  apply();
  cut = kernel_->cut_refused();
  ASSERT_TRUE(cut.has_value()) << cut.error().message;
  EXPECT_EQ(*cut, 1U);
  go.give();
  client.join();
}

TEST_P(PolicyMaps, addresses_of_the_own_pod_have_a_class_of_their_own) {
  Server own(SOCK_STREAM, "10.7.0.1"), replica(SOCK_STREAM, "10.7.0.2");
  policy_.addresses = {{.address = address("10.7.0.1"), .identity = kIdentity},
                       {.address = address("10.7.0.2"), .identity = kIdentity}};
  policy_.rules.peers = {peer("::", 0, kClassDeny)};
  policy_.rules.identities = {
      {.rule_set = 1, .direction = CW_EGRESS, .identity = kIdentity, .class_id = kClassDeny},
      {.rule_set = 1, .direction = CW_EGRESS, .identity = kIdentity | CW_OWN_POD, .class_id = kClassAllow}};
  apply();
  EXPECT_EQ(connect_to("10.7.0.1", own.port()), EPERM) << "its runtime has not told its addresses yet";
  policy_.subjects[0].addresses = {address("10.7.0.1"), address("fd07::1")};
  ASSERT_TRUE(kernel_->set_subject(policy_.subjects[0]).has_value());
  for (int again = 0; again < 2; again++) {
    EXPECT_EQ(connect_to("10.7.0.2", replica.port()), EPERM);
    EXPECT_EQ(connect_to("10.7.0.1", own.port()), 0);
  }
}

TEST_P(PolicyMaps, the_agent_can_ask_what_would_be_decided) {
  policy_.rules.peers = {peer("::", 0, kClassAllow), peer("10.7.0.1", 32, kClassDeny)};
  apply();
  cw_question question = {};
  question.container = cgroup_id(web_);
  std::copy_n(address("10.7.0.1").begin(), 16, question.address);
  question.port = 80;
  question.protocol = IPPROTO_TCP;
  question.direction = CW_EGRESS;
  ASSERT_TRUE(kernel_->ask(&question).has_value());
  EXPECT_EQ(question.known, 1);
  EXPECT_EQ(question.verdict, CW_DENIED);
  EXPECT_EQ(question.rule, kRuleDeny);
  EXPECT_EQ(question.generation, 1U);
  question.container = 1;
  ASSERT_TRUE(kernel_->ask(&question).has_value());
  EXPECT_EQ(question.known, 0);
  EXPECT_TRUE(events().empty()) << "a question is no flow";
}

}  // namespace
}  // namespace cellwall::test
