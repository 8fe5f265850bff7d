// SPDX-License-Identifier: Apache-2.0
//
// Who may come in to a container under policy.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "guard_fixture.h"

namespace cellwall::test {
namespace {

class GuardCallers : public GuardTest {};
INSTANTIATE_TEST_SUITE_P(, GuardCallers, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(GuardCallers, a_refused_caller_gets_no_connection_and_each_attempt_is_told_once) {
  Signal listens, go;
  guard(web_, all_but("", "10.7.0.2"));
  Child serving(web_, [&] {
    const Server server(SOCK_STREAM, "10.7.0.1", 7302);
    listens.give();
    const int fd = accept(server.fd(), nullptr, nullptr);
    return read_bytes(fd, 5) == 5 ? 0 : 1;
  });
  ASSERT_TRUE(listens.wait());
  for (int i = 0; i < 2; i++) {
    const int refused = bound_socket("10.7.0.2", 0, SOCK_STREAM | SOCK_NONBLOCK);
    EXPECT_EQ(tcp_try(refused, "10.7.0.1", 7302), EINPROGRESS);
    pollfd waiting = {.fd = refused, .events = POLLOUT, .revents = 0};
    EXPECT_EQ(poll(&waiting, 1, i ? 100 : 1500), 0) << "the SYN, and the one sent again after a second";
    close(refused);
  }
  const int allowed = make_socket("10.7.0.1", SOCK_STREAM);
  EXPECT_EQ(tcp_try(allowed, "10.7.0.1", 7302), 0);
  EXPECT_EQ(send(allowed, "12345", 5, 0), 5);
  EXPECT_EQ(serving.join(), 0);
  close(allowed);
  const auto found = of_web();
  ASSERT_EQ(found.size(), 3U);
  for (int i = 0; i < 2; i++) {
    EXPECT_EQ(found[i].verdict, CW_DENIED);
    EXPECT_EQ(found[i].end, CW_END_DENIED);
    EXPECT_EQ(found[i].direction, CW_INGRESS);
    EXPECT_EQ(found[i].rule, kRuleDeny);
    EXPECT_EQ(found[i].container, cgroup_id(web_));
    EXPECT_EQ(text_of(found[i].remote), "10.7.0.2");
    EXPECT_EQ(found[i].local_port, 7302);
  }
  EXPECT_EQ(found[2].verdict, CW_ALLOWED);
  EXPECT_EQ(found[2].direction, CW_INGRESS);
  EXPECT_EQ(found[2].rule, kRuleAllow);
  EXPECT_EQ(found[2].generation, 1U);
  EXPECT_EQ(found[2].received_bytes, 5U);
  EXPECT_EQ(kernel_->counters()[CW_COUNT_DENIED], 2U);
}

TEST_P(GuardCallers, ingress_rules_are_about_the_containers_own_port) {
  std::vector<KernelPort> ports = allow_and_deny_classes();
  ports.push_back({.class_id = kClassDeny,
                   .protocol = IPPROTO_TCP,
                   .port = 7303,
                   .port_prefix_length = 16,
                   .verdict = CW_AUDIT,
                   .rule = 20});
  guard(web_, {peer("::", 0, kClassAllow), sender("::", 0, kClassDeny)}, ports);
  Signal listens;
  Child serving(web_, [&] {
    const Server server(SOCK_STREAM, "fd07::1", 7303), other(SOCK_STREAM, "fd07::1", 7304);
    listens.give();
    serve_one(server, 1, 1);
    return 0;
  });
  ASSERT_TRUE(listens.wait());
  const int refused = make_socket("fd07::1", SOCK_STREAM | SOCK_NONBLOCK);
  EXPECT_EQ(tcp_try(refused, "fd07::1", 7304), EINPROGRESS);
  usleep(50000);
  EXPECT_EQ(tcp_exchange("fd07::1", 7303, 1, 1), 0);
  EXPECT_EQ(serving.join(), 0);
  close(refused);
  const auto found = of_web();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].verdict, CW_DENIED);
  EXPECT_EQ(found[1].verdict, CW_AUDIT);
  EXPECT_EQ(found[1].rule, 20U);
  EXPECT_EQ(kernel_->counters()[CW_COUNT_AUDIT], 1U);
}

TEST_P(GuardCallers, a_connection_that_is_closed_before_its_first_packet_has_its_verdict_too) {
  guard(web_, {peer("::", 0, kClassAllow), sender("::", 0, kClassDeny)},
        {{.class_id = kClassDeny,
          .protocol = IPPROTO_TCP,
          .port = 7305,
          .port_prefix_length = 16,
          .verdict = CW_AUDIT,
          .rule = 20}});
  Signal listens, connected;
  Child serving(web_, [&] {
    const Server server(SOCK_STREAM, "10.7.0.1", 7305);
    listens.give();
    connected.wait();
    close(accept(server.fd(), nullptr, nullptr));
    return 0;
  });
  ASSERT_TRUE(listens.wait());
  const int caller = make_socket("10.7.0.1", SOCK_STREAM);
  ASSERT_EQ(tcp_try(caller, "10.7.0.1", 7305), 0);
  connected.give();
  EXPECT_EQ(serving.join(), 0);
  close(caller);
  const auto found = of_web();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].verdict, CW_AUDIT);
  EXPECT_EQ(found[0].end, CW_END_CLOSED);
  EXPECT_EQ(found[0].rule, 20U);
  EXPECT_EQ(found[0].generation, 1U);
  EXPECT_EQ(found[0].container, cgroup_id(web_));
  EXPECT_EQ(kernel_->counters()[CW_COUNT_AUDIT], 1U);
}

TEST_P(GuardCallers, an_accepted_connection_is_cut_by_a_later_policy_and_says_so) {
  guard(web_, all_but(""));
  Signal listens, accepted;
  Child serving(web_, [&] {
    const Server server(SOCK_STREAM, "10.7.0.1", 7305);
    listens.give();
    const int fd = accept(server.fd(), nullptr, nullptr);
    if (read_bytes(fd, 5) != 5) return 1;
    accepted.give();
    const ssize_t more = read_bytes(fd, 1);
    return more == -1 ? 0 : 2;
  });
  ASSERT_TRUE(listens.wait());
  const int caller = bound_socket("10.7.0.2", 0, SOCK_STREAM);
  ASSERT_EQ(tcp_try(caller, "10.7.0.1", 7305), 0);
  ASSERT_EQ(send(caller, "12345", 5, 0), 5);
  ASSERT_TRUE(accepted.wait());
  guard(web_, all_but("", "10.7.0.2"));
  EXPECT_EQ(send(caller, "67890", 5, MSG_NOSIGNAL), 5);
  const auto cut = kernel_->cut_refused();
  ASSERT_TRUE(cut.has_value()) << cut.error().message;
  EXPECT_EQ(*cut, 1U);
  EXPECT_EQ(read_bytes(caller, 1), -1) << "the peer hears of it by a reset";
  EXPECT_EQ(serving.join(), 0) << "and so does the container";
  close(caller);
  const auto found = of_web();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].verdict, CW_DENIED);
  EXPECT_EQ(found[0].end, CW_END_DENIED);
  EXPECT_EQ(found[0].direction, CW_INGRESS);
  EXPECT_EQ(found[0].rule, kRuleDeny);
  EXPECT_EQ(found[0].generation, 2U);
  EXPECT_EQ(found[0].received_bytes, 5U);
}

TEST_P(GuardCallers, what_a_refused_callers_syn_carries_does_not_come_in) {
  ASSERT_EQ(std::system("sysctl -q net.ipv4.tcp_fastopen=1027"), 0);  // without a cookie
  const auto serve = [&](Signal& listens, int milliseconds) {
    const Server server(SOCK_STREAM, "10.7.0.1", 7306);
    const int queue = 16;
    setsockopt(server.fd(), IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
    listens.give();
    pollfd waiting = {.fd = server.fd(), .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, milliseconds) != 1) return 0;
    const int fd = accept(server.fd(), nullptr, nullptr);
    const auto received = static_cast<int>(read_for(fd, 200));
    (void)!send(fd, "1234567", 7, 0);
    close(fd);
    return received;
  };
  guard(web_, all_but("", "10.7.0.1"));
  {
    Signal listens;
    Child serving(web_, [&] { return serve(listens, 500); });
    ASSERT_TRUE(listens.wait());
    Child caller("", [] { return tcp_fast_open("10.7.0.1", 7306, 100, 7); });
    EXPECT_EQ(serving.join(), 0);
  }
  auto found = of_web();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].verdict, CW_DENIED);
  guard(web_, all_but(""));
  {
    Signal listens;
    Child serving(web_, [&] { return serve(listens, 30000); });
    ASSERT_TRUE(listens.wait());
    EXPECT_EQ(run_in("", [] { return tcp_fast_open("10.7.0.1", 7306, 100, 7); }), 0);
    EXPECT_EQ(serving.join(), 100);
  }
  found = of_web();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].direction, CW_INGRESS);
  EXPECT_EQ(found[0].rule, kRuleAllow);
}

}  // namespace
}  // namespace cellwall::test
