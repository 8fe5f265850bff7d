// SPDX-License-Identifier: Apache-2.0
//
// Kinds of sockets, options and ports that guarded containers may not have.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "guard_fixture.h"

namespace cellwall::test {
namespace {

constexpr int kUdpLite = 136;

int try_socket(int family, int type, int protocol) {
  const int fd = socket(family, type, protocol);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

int try_option(int family, int level, int name, const void* value, socklen_t size) {
  const int fd = socket(family, SOCK_DGRAM, 0);
  const int error = setsockopt(fd, level, name, value, size) == 0 ? 0 : errno;
  close(fd);
  return error;
}

class GuardSockets : public GuardTest {
 protected:
  void SetUp() override {
    GuardTest::SetUp();
    other_ = container("pod/other");
  }
  void guard_sockets(uint32_t flags) {
    guard(web_, {peer("::", 0, kClassAllow), sender("::", 0, kClassAllow)}, {}, flags);
  }
  std::string other_;
};
INSTANTIATE_TEST_SUITE_P(, GuardSockets, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(GuardSockets, refuses_kinds_that_cannot_be_judged_and_tells_once) {
  guard_sockets(CW_SUBJECT_REFUSES_SOCKETS);
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(run_in(web_, [] { return try_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }), EPERM);
    EXPECT_EQ(run_in(web_, [] { return try_socket(AF_INET6, SOCK_RAW, IPPROTO_RAW); }), EPERM);
  }
  if (try_socket(AF_INET, SOCK_DGRAM, kUdpLite) == 0) {
    EXPECT_EQ(run_in(web_, [] { return try_socket(AF_INET, SOCK_DGRAM, kUdpLite); }), EPERM);
  }
  const auto found = events();
  ASSERT_GE(found.size(), 2U);
  ASSERT_LE(found.size(), 3U);
  for (const cw_event& event : found) {
    EXPECT_EQ(event.verdict, CW_DENIED);
    EXPECT_EQ(event.rule, uint32_t{CW_RULE_SOCKET});
    EXPECT_EQ(event.container, cgroup_id(web_));
    EXPECT_GT(event.pid, 0U);
  }
  EXPECT_GE(kernel_->counters()[CW_COUNT_DENIED], 6U);
  EXPECT_EQ(run_in(web_, [] { return try_socket(AF_INET, SOCK_STREAM, 0); }), 0);
  EXPECT_EQ(run_in(web_, [] { return try_socket(AF_INET6, SOCK_DGRAM, 0); }), 0);
  EXPECT_EQ(run_in(other_, [] { return try_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }), 0);
}

TEST_P(GuardSockets, raw_sockets_can_be_left_out_and_their_packets_are_judged) {
  guard(web_, {peer("::", 0, kClassAllow), sender("::", 0, kClassAllow), peer("10.7.0.2", 32, kClassDeny)},
        {}, CW_SUBJECT_REFUSES_SOCKETS | CW_SUBJECT_RAW_SOCKETS);
  const auto send_raw = [](const char* to, uint8_t first_byte, uint16_t fragment) {
    const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    uint8_t packet[28] = {};
    packet[0] = first_byte;
    packet[6] = static_cast<uint8_t>(fragment >> 8);
    packet[7] = static_cast<uint8_t>(fragment);
    packet[8] = 64;
    packet[9] = IPPROTO_UDP;
    std::memcpy(packet + 12, address("10.7.0.1").data() + 12, 4);
    std::memcpy(packet + 16, address(to).data() + 12, 4);
    packet[22] = 1;  // port 256
    packet[25] = 8;
    sockaddr_in target = {};
    target.sin_family = AF_INET;
    std::memcpy(&target.sin_addr, packet + 16, 4);
    const ssize_t sent =
        sendto(fd, packet, sizeof(packet), 0, reinterpret_cast<sockaddr*>(&target), sizeof(target));
    const int error = sent == sizeof(packet) ? 0 : errno;
    close(fd);
    return error;
  };
  EXPECT_EQ(run_in(web_, [&] { return send_raw("10.7.0.1", 0x45, 0); }), 0);
  EXPECT_EQ(run_in(web_, [&] { return send_raw("10.7.0.2", 0x45, 0); }), EPERM);
  EXPECT_EQ(run_in(web_, [&] { return send_raw("10.7.0.1", 0x45, 3); }), EPERM) << "a fragment has no ports";
  int rules[2] = {};
  for (const cw_event& event : events()) {
    rules[0] += event.verdict == CW_DENIED && event.rule == kRuleDeny;
    rules[1] += event.verdict == CW_DENIED && event.rule == CW_RULE_SOCKET;
  }
  EXPECT_EQ(rules[0], 1);
  EXPECT_EQ(rules[1], 1);
}

TEST_P(GuardSockets, refuses_options_that_lead_packets_elsewhere) {
  guard_sockets(CW_SUBJECT_REFUSES_SOCKETS);
  const std::array<uint8_t, 8> route = {0x83, 7, 4, 10, 7, 0, 2, 0};
  const std::array<uint8_t, 24> header = {0, 2, 0, 1};
  EXPECT_EQ(
      run_in(web_, [&] { return try_option(AF_INET, IPPROTO_IP, IP_OPTIONS, route.data(), route.size()); }),
      EPERM);
  for (const int name : {IPV6_RTHDR, IPV6_HOPOPTS, IPV6_DSTOPTS, IPV6_RTHDRDSTOPTS, 3, 4, 5, 6})
    EXPECT_EQ(
        run_in(web_, [&] { return try_option(AF_INET6, IPPROTO_IPV6, name, header.data(), header.size()); }),
        EPERM);
  EXPECT_EQ(run_in(web_, [&] { return try_option(AF_INET, 283, 1, header.data(), 8); }), EPERM);
  EXPECT_EQ(
      run_in(other_, [&] { return try_option(AF_INET, IPPROTO_IP, IP_OPTIONS, route.data(), route.size()); }),
      0);
}

TEST_P(GuardSockets, lets_other_options_through_also_those_longer_than_a_page) {
  guard_sockets(CW_SUBJECT_REFUSES_SOCKETS);
  const int one = 1;
  EXPECT_EQ(run_in(web_, [&] { return try_option(AF_INET, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)); }),
            0);
  EXPECT_EQ(run_in(web_, [&] { return try_option(AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)); }),
            0);
  const std::vector<char> long_value(10000, 1);
  EXPECT_EQ(run_in(web_,
                   [&] {
                     return try_option(AF_INET, SOL_SOCKET, SO_REUSEADDR, long_value.data(),
                                       static_cast<socklen_t>(long_value.size()));
                   }),
            0);
}

TEST_P(GuardSockets, ancillary_options_are_dropped_on_their_way) {
  guard_sockets(CW_SUBJECT_REFUSES_SOCKETS);
  const Server server(SOCK_DGRAM, "10.7.0.1");
  EXPECT_EQ(run_in(web_,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_DGRAM);
                     sockaddr_in to = {};
                     to.sin_family = AF_INET;
                     to.sin_port = htons(server.port());
                     std::memcpy(&to.sin_addr, address("10.7.0.1").data() + 12, 4);
                     uint8_t options[4] = {1, 1, 1, 0};  // three times nothing
                     char byte = 'x';
                     iovec part = {.iov_base = &byte, .iov_len = 1};
                     alignas(cmsghdr) char control[CMSG_SPACE(sizeof(options))] = {};
                     msghdr message = {};
                     message.msg_name = &to;
                     message.msg_namelen = sizeof(to);
                     message.msg_iov = &part;
                     message.msg_iovlen = 1;
                     message.msg_control = control;
                     message.msg_controllen = sizeof(control);
                     cmsghdr* head = CMSG_FIRSTHDR(&message);
                     head->cmsg_level = IPPROTO_IP;
                     head->cmsg_type = IP_RETOPTS;
                     head->cmsg_len = CMSG_LEN(sizeof(options));
                     std::memcpy(CMSG_DATA(head), options, sizeof(options));
                     return sendmsg(fd, &message, 0) == 1 ? 0 : errno;
                   }),
            EPERM);
  const auto found = events();
  ASSERT_GE(found.size(), 1U);
  EXPECT_TRUE(std::any_of(found.begin(), found.end(), [](const cw_event& event) {
    return event.verdict == CW_DENIED && event.rule == CW_RULE_SOCKET;
  }));
}

TEST_P(GuardSockets, a_port_stays_with_the_container_that_bound_it_first) {
  guard_sockets(0);
  ASSERT_TRUE(kernel_->set_subject({.cgroup = cgroup_id(other_), .directory = other_}).has_value());
  const auto try_bind = [](uint16_t port) {
    const int fd = make_socket("10.7.0.1", SOCK_STREAM), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    sockaddr_in local = {};
    local.sin_family = AF_INET;
    local.sin_port = htons(port);
    const int error = bind(fd, reinterpret_cast<sockaddr*>(&local), sizeof(local)) == 0 ? 0 : errno;
    close(fd);
    return error;
  };
  EXPECT_EQ(run_in(web_, [&] { return try_bind(7501); }), 0);
  EXPECT_EQ(run_in(other_, [&] { return try_bind(7501); }), EPERM);
  EXPECT_EQ(run_in(other_, [&] { return try_bind(7502); }), 0);
  EXPECT_EQ(run_in(other_, [&] { return try_bind(0); }), 0);
  EXPECT_EQ(run_in(web_, [&] { return try_bind(7502); }), EPERM) << "either of the two is guarded";
  EXPECT_EQ(run_in(web_, [&] { return try_bind(7501); }), 0);
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].rule, uint32_t{CW_RULE_PORT_TAKEN});
  EXPECT_EQ(found[0].local_port, 7501);
  EXPECT_EQ(found[0].container, cgroup_id(other_));
  ASSERT_TRUE(kernel_->remove_subject(cgroup_id(web_)).has_value());
  EXPECT_EQ(run_in(other_, [&] { return try_bind(7501); }), 0) << "the container died";
}

TEST_P(GuardSockets, a_port_is_free_again_when_its_container_dies_without_an_agent) {
  const std::string third = container("pod/third");
  guard_sockets(0);
  for (const std::string& each : {other_, third})
    ASSERT_TRUE(kernel_->set_subject({.cgroup = cgroup_id(each), .directory = each}).has_value());
  const auto try_bind = [] {
    const int fd = bound_socket("10.7.0.1", 7503, SOCK_DGRAM);
    sockaddr_in local = {};
    socklen_t size = sizeof(local);
    getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size);
    close(fd);
    return ntohs(local.sin_port) == 7503 ? 0 : 1;
  };
  EXPECT_EQ(run_in(third, try_bind), 0);
  EXPECT_EQ(run_in(web_, try_bind), 1);
  stop();
  ASSERT_EQ(rmdir(third.c_str()), 0);
  EXPECT_EQ(run_in(web_, try_bind), 0);
}

TEST_P(GuardSockets, a_container_that_is_not_known_yet_reaches_what_the_node_allows) {
  const Server server(SOCK_STREAM, "10.7.0.1"), api(SOCK_STREAM, "10.7.0.2"), local(SOCK_STREAM, "127.0.0.1");
  KernelStartupAllow allowed = {.address = address("10.7.0.2"), .protocol = IPPROTO_TCP, .port = api.port()};
  ASSERT_TRUE(kernel_->allow_at_startup({allowed, {.protocol = IPPROTO_UDP, .port = 53}}).has_value());
  ASSERT_TRUE(kernel_
                  ->set_subject({.cgroup = cgroup_id(web_),
                                 .flags = CW_SUBJECT_STARTUP | CW_SUBJECT_GUARDED,
                                 .directory = web_})
                  .has_value());
  EXPECT_EQ(run_in(web_, [&] { return tcp_exchange("10.7.0.1", server.port()); }), EPERM);
  EXPECT_EQ(run_in(web_, [&] { return tcp_exchange("10.7.0.2", api.port()); }), 0);
  EXPECT_EQ(run_in(web_, [&] { return tcp_exchange("127.0.0.1", local.port()); }), 0);
  EXPECT_EQ(run_in(web_, [&] { return udp_connect("10.7.0.1", 53); }), 0);
  EXPECT_EQ(run_in(web_, [&] { return udp_connect("10.7.0.1", 54); }), EPERM);
  const auto found = events();
  ASSERT_GE(found.size(), 1U);
  EXPECT_EQ(found[0].rule, uint32_t{CW_RULE_STARTUP});
  ASSERT_TRUE(kernel_->allow_at_startup({}).has_value());
  EXPECT_EQ(run_in(web_, [&] { return tcp_exchange("10.7.0.2", api.port()); }), EPERM);
  guard_sockets(0);
  EXPECT_EQ(run_in(web_, [&] { return tcp_exchange("10.7.0.1", server.port()); }), 0);
}

}  // namespace
}  // namespace cellwall::test
