// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "fixture.h"
#include "sockets.h"

namespace cellwall::test {
namespace {

class Policy : public KernelTest {
 protected:
  int connect_from(const std::string& cgroup, const std::string& target, uint16_t port) {
    return run_in(cgroup, [&] { return tcp_exchange(target, port); });
  }
};
INSTANTIATE_TEST_SUITE_P(, Policy, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(Policy, denies_connect_of_one_container_and_names_the_rule) {
  start();
  const std::string nginx = container("pod/nginx"), malware = container("pod/malware");
  Server db(SOCK_STREAM, "10.7.0.1");
  enforce(malware, {peer("::", 0, kClassAllow), peer("10.7.0.1", 32, kClassDeny)}, allow_and_deny_classes());
  EXPECT_EQ(connect_from(malware, "10.7.0.1", db.port()), EPERM);
  EXPECT_EQ(connect_from(nginx, "10.7.0.1", db.port()), 0);
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].verdict, CW_DENIED);
  EXPECT_EQ(found[0].end, CW_END_DENIED);
  EXPECT_EQ(found[0].rule, kRuleDeny);
  EXPECT_EQ(found[0].generation, generation_);
  EXPECT_EQ(found[0].container, cgroup_id(malware));
  EXPECT_EQ(text_of(found[0].remote), "10.7.0.1");
  EXPECT_EQ(found[0].remote_port, db.port());
  EXPECT_EQ(found[1].verdict, CW_ALLOWED);
  EXPECT_EQ(found[1].socket_cgroup, cgroup_id(nginx));
  EXPECT_EQ(found[1].rule, CW_RULE_NO_POLICY);
}

TEST_P(Policy, the_longest_prefix_decides) {
  start();
  const std::string web = container("web");
  Server one(SOCK_STREAM, "10.7.0.1"), two(SOCK_STREAM, "10.7.0.2"), six(SOCK_STREAM, "fd07::1"),
      local(SOCK_STREAM, "::1");
  enforce(web,
          {peer("::", 0, kClassAllow), peer("10.7.0.0", 16, kClassDeny), peer("10.7.0.2", 32, kClassAllow),
           peer("fd07::", 16, kClassDeny)},
          allow_and_deny_classes());
  EXPECT_EQ(connect_from(web, "10.7.0.1", one.port()), EPERM);
  EXPECT_EQ(connect_from(web, "10.7.0.2", two.port()), 0);
  EXPECT_EQ(connect_from(web, "fd07::1", six.port()), EPERM);
  EXPECT_EQ(connect_from(web, "::1", local.port()), 0);
  EXPECT_EQ(connect_from(web, "::ffff:10.7.0.1", one.port()), EPERM);
}

TEST_P(Policy, port_prefix_beats_protocol_and_protocol_beats_class) {
  start();
  const std::string web = container("web");
  Server listed(SOCK_STREAM, "10.7.0.1", 8443), unlisted(SOCK_STREAM, "10.7.0.1", 8444),
      udp(SOCK_DGRAM, "10.7.0.1");
  std::vector<KernelPort> ports = allow_and_deny_classes();
  ports.push_back({.class_id = kClassDeny,
                   .protocol = IPPROTO_UDP,
                   .port = 0,
                   .port_prefix_length = 0,
                   .verdict = CW_ALLOWED,
                   .rule = 18});
  ports.push_back({.class_id = kClassDeny,
                   .protocol = IPPROTO_TCP,
                   .port = 8443,
                   .port_prefix_length = 16,
                   .verdict = CW_ALLOWED,
                   .rule = 19});
  ports.push_back({.class_id = kClassDeny,
                   .protocol = IPPROTO_TCP,
                   .port = 8440,
                   .port_prefix_length = 13,
                   .verdict = CW_AUDIT,
                   .rule = 20});
  enforce(web, {peer("::", 0, kClassDeny)}, ports);
  Server audited(SOCK_STREAM, "10.7.0.1", 8447), outside(SOCK_STREAM, "10.7.0.1", 8448);
  EXPECT_EQ(connect_from(web, "10.7.0.1", 8443), 0);
  EXPECT_EQ(connect_from(web, "10.7.0.1", 8447), 0);
  EXPECT_EQ(connect_from(web, "10.7.0.1", 8448), EPERM);
  EXPECT_EQ(run_in(web, [&] { return udp_connect("10.7.0.1", udp.port()); }), 0);
  const auto found = events();
  ASSERT_EQ(found.size(), 4U);
  EXPECT_EQ(found[0].rule, 19U);
  EXPECT_EQ(found[1].rule, 20U);
  EXPECT_EQ(found[1].verdict, CW_AUDIT);
  EXPECT_EQ(found[2].rule, kRuleDeny);
  EXPECT_EQ(found[3].rule, 18U);
  EXPECT_EQ(kernel_->counters()[CW_COUNT_AUDIT], 1U);
}

TEST_P(Policy, the_unspecified_address_is_loopback) {
  start();
  const std::string web = container("web");
  Server v4(SOCK_STREAM, "127.0.0.1"), v6(SOCK_STREAM, "::1");
  enforce(web, {peer("::", 0, kClassAllow), peer("127.0.0.0", 8, kClassDeny), peer("::1", 128, kClassDeny)},
          allow_and_deny_classes());
  EXPECT_EQ(connect_from(web, "0.0.0.0", v4.port()), EPERM);
  EXPECT_EQ(connect_from(web, "::", v6.port()), EPERM);
  EXPECT_EQ(connect_from(web, "::ffff:0.0.0.0", v4.port()), EPERM);
}

TEST_P(Policy, sub_cgroups_are_under_the_policy_of_their_container) {
  start();
  const std::string web = container("web"), inner = container("web/init/child/worker");
  Server db(SOCK_STREAM, "10.7.0.1");
  enforce(web, {peer("::", 0, kClassDeny)}, allow_and_deny_classes());
  EXPECT_EQ(connect_from(inner, "10.7.0.1", db.port()), EPERM);
  const auto found = events();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].container, cgroup_id(web));
  EXPECT_EQ(found[0].socket_cgroup, cgroup_id(inner));
}

TEST_P(Policy, identity_is_that_of_the_sockets_creator_not_of_the_caller) {
  start();
  const std::string web = container("web"), other = container("other");
  Server db(SOCK_STREAM, "10.7.0.1");
  enforce(web, {peer("::", 0, kClassDeny)}, allow_and_deny_classes());
  const int code = run_in(web, [&] {
    const int fd = make_socket("10.7.0.1", SOCK_STREAM);
    return run_in(other, [&] { return tcp_try(fd, "10.7.0.1", db.port()); });
  });
  EXPECT_EQ(code, EPERM);
  const auto found = events();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].container, cgroup_id(web));
}

TEST_P(Policy, a_hole_in_a_rule_set_lets_nothing_through) {
  start();
  const std::string web = container("web");
  Server db(SOCK_STREAM, "10.7.0.1");
  enforce(web, {peer("10.8.0.0", 16, kClassAllow)}, allow_and_deny_classes());
  EXPECT_EQ(connect_from(web, "10.7.0.1", db.port()), EPERM);
  enforce(web, {peer("10.7.0.0", 16, 77)}, allow_and_deny_classes());
  EXPECT_EQ(connect_from(web, "10.7.0.1", db.port()), EPERM);
  EXPECT_EQ(kernel_->counters()[CW_COUNT_INCOMPLETE], 2U);
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].rule, CW_RULE_INCOMPLETE);
}

TEST_P(Policy, containers_come_and_go_between_generations) {
  start();
  const std::string web = container("web"), late = container("late");
  Server db(SOCK_STREAM, "10.7.0.1");
  enforce(web, {peer("::", 0, kClassDeny)}, allow_and_deny_classes());
  EXPECT_EQ(connect_from(late, "10.7.0.1", db.port()), 0);
  ASSERT_TRUE(
      kernel_->set_subject({.cgroup = cgroup_id(late), .rule_set = 1, .directory = late}).has_value());
  EXPECT_EQ(connect_from(late, "10.7.0.1", db.port()), EPERM);
  ASSERT_TRUE(kernel_->remove_subject(cgroup_id(late)).has_value());
  ASSERT_TRUE(kernel_->remove_subject(cgroup_id(late)).has_value()) << "removing twice is no error";
  EXPECT_EQ(connect_from(late, "10.7.0.1", db.port()), 0);
}

TEST_P(Policy, refuses_a_generation_over_its_limits_and_keeps_the_old_one) {
  start([](KernelOptions& options) { options.policy_peers = 2; });
  const std::string web = container("web");
  Server db(SOCK_STREAM, "10.7.0.1");
  enforce(web, {peer("::", 0, kClassDeny)}, allow_and_deny_classes());
  KernelPolicy large;
  large.generation = 2;
  large.subjects = {{.cgroup = cgroup_id(web), .rule_set = 1, .directory = web}};
  large.rules.peers = {peer("::", 0, kClassAllow), peer("10.0.0.0", 8, kClassAllow),
                       peer("11.0.0.0", 8, kClassAllow)};
  large.rules.ports = allow_and_deny_classes();
  const auto refused = kernel_->apply(large);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("--policy-peers"), std::string::npos) << refused.error().message;
  EXPECT_EQ(kernel_->generation(), 1U);
  EXPECT_EQ(connect_from(web, "10.7.0.1", db.port()), EPERM);
}

TEST_P(Policy, no_connect_slips_through_while_generations_swap) {
  start();
  const std::string web = container("web");
  Server db(SOCK_STREAM, "10.7.0.1");
  enforce(web, {peer("::", 0, kClassDeny)}, allow_and_deny_classes());
  int attempts = 0;
  const int leaked = fails_while(
      web, [&] { return tcp_exchange("10.7.0.1", db.port()) == EPERM; },
      [&] {
        // In turn: denied by the wide rule, denied by a narrow one.
        for (int i = 0; i < 51; i++) {
          if (i % 2)
            enforce(web, {peer("::", 0, kClassDeny)}, allow_and_deny_classes());
          else
            enforce(web, {peer("::", 0, kClassAllow), peer("10.7.0.1", 32, kClassDeny)},
                    allow_and_deny_classes());
        }
      },
      &attempts);
  EXPECT_EQ(leaked, 0);
  EXPECT_GT(attempts, 1000);
}

}  // namespace
}  // namespace cellwall::test
