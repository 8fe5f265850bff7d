// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include "fixture.h"
#include "sockets.h"

namespace cellwall::test {
namespace {

class Datagrams : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(, Datagrams, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(Datagrams, records_connected_udp_when_it_closes) {
  start();
  const std::string web = container("web");
  Server server(SOCK_DGRAM, "10.7.0.1"), server6(SOCK_DGRAM, "fd07::1");
  EXPECT_EQ(run_in(web, [&] { return udp_connect("10.7.0.1", server.port()); }), 0);
  EXPECT_EQ(run_in(web, [&] { return udp_connect("fd07::1", server6.port()); }), 0);
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].protocol, IPPROTO_UDP);
  EXPECT_EQ(text_of(found[0].remote), "10.7.0.1");
  EXPECT_EQ(found[0].end, CW_END_CLOSED);
  EXPECT_EQ(found[0].sent_bytes, CW_UNKNOWN_BYTES);
  EXPECT_GT(found[0].local_port, 0);
  EXPECT_EQ(text_of(found[1].remote), "fd07::1");
}

TEST_P(Datagrams, counts_datagrams_of_one_conversation) {
  start();
  const std::string web = container("web");
  Server server(SOCK_DGRAM, "10.7.0.1");
  EXPECT_EQ(run_in(web,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_DGRAM);
                     for (int i = 0; i < 7; i++) {
                       if (udp_send(fd, "10.7.0.1", server.port())) return 1;
                     }
                     close(fd);
                     return 0;
                   }),
            0);
  const auto found = events();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].sent_packets, 7U);
  EXPECT_EQ(found[0].direction, CW_EGRESS);
}

TEST_P(Datagrams, makes_one_record_per_peer_of_an_unconnected_socket) {
  start([](KernelOptions& options) { options.udp_idle = std::chrono::seconds(1); });
  const std::string web = container("web");
  Server server(SOCK_DGRAM, "10.7.0.1");
  EXPECT_EQ(run_in(web,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_DGRAM);
                     for (int round = 0; round < 3; round++) {
                       for (uint16_t i = 0; i < 11; i++) {
                         const int error = udp_send(fd, "10.7.0.1", server.port());
                         if (error) return error;
                         (void)udp_send(fd, "10.7.0.2", static_cast<uint16_t>(2000 + i));
                       }
                     }
                     close(fd);
                     return 0;
                   }),
            0);
  usleep(1200000);
  ASSERT_TRUE(kernel_->sweep_udp().has_value());
  const auto found = events();
  ASSERT_EQ(found.size(), 12U);
  std::map<uint16_t, uint32_t> datagrams;
  for (const cw_event& event : found) datagrams[event.remote_port] += event.sent_packets;
  EXPECT_EQ(datagrams[server.port()], 33U);
  for (uint16_t i = 0; i < 11; i++) EXPECT_EQ(datagrams[2000 + i], 3U);
  ASSERT_TRUE(kernel_->sweep_udp().has_value());
  EXPECT_TRUE(events().empty());
}

TEST_P(Datagrams, ends_idle_conversation_of_an_open_socket) {
  start([](KernelOptions& options) { options.udp_idle = std::chrono::seconds(1); });
  const std::string web = container("web");
  Server server(SOCK_DGRAM, "10.7.0.1");
  EXPECT_EQ(run_in(web,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_DGRAM);
                     udp_send(fd, "10.7.0.1", server.port());
                     (void)kernel_->sweep_udp();
                     usleep(1200000);
                     (void)kernel_->sweep_udp();
                     udp_send(fd, "10.7.0.1", server.port());
                     udp_send(fd, "10.7.0.1", server.port());
                     close(fd);
                     return 0;
                   }),
            0);
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].end, CW_END_IDLE);
  EXPECT_EQ(found[0].sent_packets, 1U);
  EXPECT_EQ(found[1].end, CW_END_CLOSED);
  EXPECT_EQ(found[1].sent_packets, 2U);
}

TEST_P(Datagrams, refuses_each_datagram_to_a_denied_peer_and_reports_once) {
  start();
  const std::string web = container("web");
  Server denied(SOCK_DGRAM, "10.7.0.1"), allowed(SOCK_DGRAM, "10.7.0.2");
  enforce(web, {peer("::", 0, kClassAllow), peer("10.7.0.1", 32, kClassDeny)}, allow_and_deny_classes());
  EXPECT_EQ(run_in(web,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_DGRAM);
                     for (int i = 0; i < 5; i++) {
                       if (udp_send(fd, "10.7.0.1", denied.port()) != EPERM) return 1;
                       if (udp_send(fd, "10.7.0.2", allowed.port()) != 0) return 2;
                     }
                     close(fd);
                     return 0;
                   }),
            0);
  EXPECT_EQ(recv(denied.fd(), nullptr, 0, MSG_DONTWAIT), -1);
  const auto first = events();
  ASSERT_GE(first.size(), 2U);
  EXPECT_EQ(first[0].verdict, CW_DENIED);
  EXPECT_EQ(first[0].rule, kRuleDeny);
  EXPECT_EQ(first[0].sent_packets, 1U);
  uint32_t refused = 0;
  for (const cw_event& event : first) refused += event.verdict == CW_DENIED ? event.sent_packets : 0;
  EXPECT_EQ(refused, 5U);
  EXPECT_EQ(kernel_->counters()[CW_COUNT_DENIED], 5U);
}

TEST_P(Datagrams, judges_and_counts_conversations_for_which_there_is_no_room) {
  start([](KernelOptions& options) {
    options.flow_slots = 1;
    options.udp_peers = 4;
  });
  const std::string web = container("web");
  EXPECT_EQ(run_in(web,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_DGRAM);
                     for (uint16_t i = 0; i < 20; i++)
                       (void)udp_send(fd, "10.7.0.2", static_cast<uint16_t>(3000 + i));
                     close(fd);
                     return 0;
                   }),
            0);
  EXPECT_EQ(events().size(), 1U);
  EXPECT_EQ(kernel_->counters()[CW_COUNT_PEERS_FULL], 15U);
}

}  // namespace
}  // namespace cellwall::test
