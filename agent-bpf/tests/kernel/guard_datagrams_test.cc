// SPDX-License-Identifier: Apache-2.0
//
// Datagrams and pings of guarded containers, counted where they arrive.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "guard_fixture.h"

namespace cellwall::test {
namespace {

// Datagrams that come to a socket until it is silent for that long.
int count_datagrams(int fd, int milliseconds = 100) {
  int count = 0;
  pollfd waiting = {.fd = fd, .events = POLLIN, .revents = 0};
  char byte;
  while (poll(&waiting, 1, milliseconds) == 1) count += udp_receive(fd, &byte) > 0;
  return count;
}

class GuardDatagrams : public GuardTest {};
INSTANTIATE_TEST_SUITE_P(, GuardDatagrams, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(GuardDatagrams, a_connected_socket_is_judged_again_and_what_it_sends_elsewhere_is_not_its_peers) {
  const Server refused(SOCK_DGRAM, "10.7.0.1"), allowed(SOCK_DGRAM, "10.7.0.2");
  guard(web_, all_but(""));
  Signal connected, go;
  Child client(web_, [&] {
    const int fd = make_socket("10.7.0.1", SOCK_DGRAM);
    if (tcp_try(fd, "10.7.0.1", refused.port()) || send(fd, "x", 1, 0) != 1) return 1;
    connected.give();
    go.wait();
    for (int i = 0; i < 3; i++) {
      if (send(fd, "x", 1, 0) != -1 || errno != EPERM) return 2;
      if (udp_send(fd, "10.7.0.2", allowed.port())) return 3;
    }
    return 0;
  });
  ASSERT_TRUE(connected.wait());
  guard(web_, all_but("10.7.0.1"));
  go.give();
  EXPECT_EQ(client.join(), 0);
  EXPECT_EQ(count_datagrams(refused.fd()), 1);
  EXPECT_EQ(count_datagrams(allowed.fd()), 3);
}

TEST_P(GuardDatagrams, senders_that_may_not_come_in_do_not) {
  guard(web_, all_but("", "10.7.0.2"));
  Signal listens, go;
  Child serving(web_, [&] {
    const Server server(SOCK_DGRAM, "10.7.0.1", 7401);
    listens.give();
    go.wait();
    return count_datagrams(server.fd());
  });
  ASSERT_TRUE(listens.wait());
  const int one = bound_socket("10.7.0.1", 0, SOCK_DGRAM), two = bound_socket("10.7.0.2", 0, SOCK_DGRAM);
  for (int i = 0; i < 4; i++) {
    EXPECT_EQ(udp_send(one, "10.7.0.1", 7401), 0);
    EXPECT_EQ(udp_send(two, "10.7.0.1", 7401), 0);
  }
  go.give();
  EXPECT_EQ(serving.join(), 4);
  close(one);
  close(two);
  const auto found = of_web();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].verdict, CW_DENIED);
  EXPECT_EQ(found[0].direction, CW_INGRESS);
  EXPECT_EQ(found[0].rule, kRuleDeny);
  EXPECT_EQ(text_of(found[0].remote), "10.7.0.2");
  EXPECT_EQ(found[0].local_port, 7401);
  EXPECT_EQ(found[0].received_packets, 1U) << "told at the first one, and then once a minute";
  EXPECT_EQ(found[1].verdict, CW_ALLOWED);
  EXPECT_EQ(found[1].rule, kRuleAllow);
  EXPECT_EQ(found[1].generation, 1U);
  EXPECT_EQ(kernel_->counters()[CW_COUNT_DENIED], 4U);
}

TEST_P(GuardDatagrams, answers_to_what_the_container_asked_come_in) {
  const Server server(SOCK_DGRAM, "10.7.0.2");
  std::vector<KernelPeer> peers = {peer("::", 0, kClassAllow), sender("::", 0, kClassDeny)};
  guard(web_, peers);
  Child answering("", [&] {
    udp_serve_one(server);
    return 0;
  });
  EXPECT_EQ(run_in(web_,
                   [&] {
                     const int fd = bound_socket("10.7.0.1", 0, SOCK_DGRAM);
                     if (udp_send(fd, "10.7.0.2", server.port())) return -1;
                     return count_datagrams(fd, 300);
                   }),
            1);
  EXPECT_EQ(answering.join(), 0);
  const auto found = of_web();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].verdict, CW_ALLOWED);
}

TEST_P(GuardDatagrams, what_a_peer_began_ends_when_it_may_not_come_in_any_more) {
  guard(web_, {peer("::", 0, kClassDeny), sender("::", 0, kClassAllow)});
  Signal listens, go;
  Child serving(web_, [&] {
    const Server server(SOCK_DGRAM, "10.7.0.1", 7402);
    listens.give();
    char byte;
    if (udp_receive(server.fd(), &byte) != 1 || udp_send(server.fd(), "10.7.0.2", 7403)) return 1;
    go.wait();
    return udp_send(server.fd(), "10.7.0.2", 7403);
  });
  ASSERT_TRUE(listens.wait());
  const Server caller(SOCK_DGRAM, "10.7.0.2", 7403);
  EXPECT_EQ(udp_send(caller.fd(), "10.7.0.1", 7402), 0);
  EXPECT_EQ(count_datagrams(caller.fd(), 200), 1) << "an answer, though nothing may go out by itself";
  guard(web_, {peer("::", 0, kClassDeny), sender("::", 0, kClassDeny)});
  go.give();
  EXPECT_EQ(serving.join(), EPERM);
  EXPECT_EQ(count_datagrams(caller.fd()), 0);
}

TEST_P(GuardDatagrams, a_sender_that_was_let_in_is_judged_again_under_the_next_policy) {
  guard(web_, all_but(""));
  Signal listens, first, go;
  Child serving(web_, [&] {
    const Server server(SOCK_DGRAM, "fd07::1", 7404);
    listens.give();
    char byte;
    if (udp_receive(server.fd(), &byte) != 1) return 100;
    first.give();
    go.wait();
    return count_datagrams(server.fd());
  });
  ASSERT_TRUE(listens.wait());
  const int caller = bound_socket("fd07::1", 0, SOCK_DGRAM);
  EXPECT_EQ(udp_send(caller, "fd07::1", 7404), 0);
  ASSERT_TRUE(first.wait());
  guard(web_, {peer("::", 0, kClassAllow), sender("::", 0, kClassAllow), sender("fd07::1", 128, kClassDeny)});
  EXPECT_EQ(udp_send(caller, "fd07::1", 7404), 0);
  go.give();
  EXPECT_EQ(serving.join(), 0);
  close(caller);
}

TEST_P(GuardDatagrams, pings_are_judged_by_their_type) {
  ASSERT_EQ(std::system("sysctl -q net.ipv4.ping_group_range='0 2147483647'"), 0);
  std::vector<KernelPort> ports = allow_and_deny_classes();
  for (const auto& [protocol, type] :
       std::vector<std::pair<int, int>>{{IPPROTO_ICMP, 8}, {IPPROTO_ICMPV6, 128}})
    ports.push_back({.class_id = kClassDeny,
                     .protocol = static_cast<uint8_t>(protocol),
                     .port = static_cast<uint16_t>(type),
                     .port_prefix_length = 16,
                     .verdict = CW_ALLOWED,
                     .rule = 18});
  guard(web_,
        {peer("::", 0, kClassAllow), peer("10.7.0.1", 32, kClassDeny), peer("fd07::1", 128, kClassDeny)},
        ports);
  for (const bool connected : {false, true}) {
    EXPECT_EQ(run_in(web_, [&] { return ping("10.7.0.1", connected); }), 0);
    EXPECT_EQ(run_in(web_, [&] { return ping("fd07::1", connected); }), 0);
  }
  guard(web_,
        {peer("::", 0, kClassAllow), peer("10.7.0.1", 32, kClassDeny), peer("fd07::1", 128, kClassDeny)});
  events();
  for (const bool connected : {false, true}) {
    EXPECT_EQ(run_in(web_, [&] { return ping("10.7.0.1", connected); }), EPERM);
    // The kernel tells the caller nothing of a packet of ICMPv6 that was dropped.
    EXPECT_EQ(run_in(web_, [&] { return ping("fd07::1", connected); }), connected ? EPERM : EAGAIN);
  }
  const auto found = of_web();
  EXPECT_TRUE(
      std::any_of(found.begin(), found.end(), [](const auto& it) { return it.verdict == CW_DENIED; }));
}

}  // namespace
}  // namespace cellwall::test
