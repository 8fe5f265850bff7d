// SPDX-License-Identifier: Apache-2.0
//
// Traffic that is not TCP: servers of datagrams, ping sockets, raw sockets.
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "fixture.h"
#include "sockets.h"

namespace cellwall::test {
namespace {

class TrafficKinds : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    web_ = container("web");
    db_ = container("db");
  }
  // Serves that many datagrams in the container db.
  std::unique_ptr<Child> serve_datagrams(const std::string& address, uint16_t port, int count) {
    Signal ready;
    auto child = std::make_unique<Child>(db_, [&] {
      const Server server(SOCK_DGRAM, address, port);
      ready.give();
      for (int i = 0; i < count; i++) udp_serve_one(server);
      return 0;
    });
    EXPECT_TRUE(ready.wait());
    return child;
  }
  std::string web_, db_;
};
INSTANTIATE_TEST_SUITE_P(, TrafficKinds, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(TrafficKinds, a_datagram_server_has_one_ingress_flow_for_each_client) {
  start();
  for (const std::string address : {"10.7.0.1", "fd07::1"}) {
    auto serving = serve_datagrams(address, 7201, 5);
    for (int exchanges : {2, 3}) {
      EXPECT_EQ(run_in(web_,
                       [&] {
                         const int fd = make_socket(address, SOCK_DGRAM);
                         for (int i = 0; i < exchanges; i++) {
                           char byte;
                           if (udp_send(fd, address, 7201) || recv(fd, &byte, 1, 0) != 1) return 1;
                         }
                         return 0;
                       }),
                0);
    }
    EXPECT_EQ(serving->join(), 0);
    ASSERT_TRUE(kernel_->sweep_udp().has_value());
    const auto clients = events();
    uint32_t egress = 0;
    uint16_t ports[2] = {};
    for (const cw_event& event : clients) {
      if (event.direction != CW_EGRESS) continue;
      EXPECT_EQ(event.socket_cgroup, cgroup_id(web_));
      EXPECT_EQ(event.sent_packets, egress == 0 ? 2U : 3U);
      ASSERT_LT(egress, 2U);
      ports[egress++] = event.local_port;
    }
    EXPECT_EQ(egress, 2U);
    // The first client's conversation ended with the server's socket; that of the other one when it is idle.
    uint32_t ingress = 0;
    for (const cw_event& event : clients) {
      if (event.direction != CW_INGRESS) continue;
      ingress++;
      EXPECT_EQ(event.socket_cgroup, cgroup_id(db_));
      EXPECT_EQ(event.local_port, 7201);
      EXPECT_EQ(event.remote_port, ports[0]);
      EXPECT_EQ(event.received_packets, 2U);
      EXPECT_EQ(event.sent_packets, 2U);
      EXPECT_EQ(text_of(event.remote), address);
    }
    EXPECT_EQ(ingress, 1U);
  }
}

TEST_P(TrafficKinds, further_clients_of_a_datagram_server_are_recorded_when_idle) {
  start([](KernelOptions& options) { options.udp_idle = std::chrono::seconds(1); });
  auto serving = serve_datagrams("10.7.0.1", 7202, 7);
  // Ports of their own: the kernel may choose one twice, and that would be one client.
  for (uint16_t i = 0; i < 7; i++) {
    EXPECT_EQ(run_in(web_,
                     [&] {
                       const int fd = bound_socket("10.7.0.1", 7301 + i, SOCK_DGRAM);
                       char byte;
                       return udp_send(fd, "10.7.0.1", 7202) || udp_receive(fd, &byte) != 1;
                     }),
              0);
  }
  EXPECT_EQ(serving->join(), 0);
  usleep(1100000);
  ASSERT_TRUE(kernel_->sweep_udp().has_value());
  int ingress = 0;
  for (const cw_event& event : events()) {
    if (event.direction != CW_INGRESS) continue;
    ingress++;
    EXPECT_EQ(event.received_packets, 1U);
    EXPECT_EQ(event.sent_packets, 1U);
    EXPECT_EQ(event.local_port, 7202);
    EXPECT_EQ(text_of(event.local), "10.7.0.1");
    EXPECT_GT(event.net, 0U);
  }
  EXPECT_EQ(ingress, 7);
}

TEST_P(TrafficKinds, mapped_addresses_of_a_datagram_socket_are_one_conversation) {
  start();
  auto serving = serve_datagrams("10.7.0.1", 7203, 2);
  EXPECT_EQ(run_in(web_,
                   [] {
                     const int fd = make_socket("::", SOCK_DGRAM);
                     for (int i = 0; i < 2; i++) {
                       char byte;
                       if (udp_send(fd, "::ffff:10.7.0.1", 7203) || udp_receive(fd, &byte) != 1) return 1;
                     }
                     return 0;
                   }),
            0);
  EXPECT_EQ(serving->join(), 0);
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  for (const cw_event& event : found) {
    EXPECT_EQ(text_of(event.remote), event.direction == CW_EGRESS ? "10.7.0.1" : text_of(event.remote));
    EXPECT_EQ(event.sent_packets, 2U);
    EXPECT_EQ(event.received_packets, 2U);
  }
}

TEST_P(TrafficKinds, a_ping_socket_is_a_flow_of_its_container) {
  start();
  ASSERT_EQ(std::system("sysctl -q net.ipv4.ping_group_range='0 2147483647'"), 0);
  for (const std::string address : {"10.7.0.1", "fd07::1"}) {
    const bool v6 = address.find(':') != std::string::npos;
    const int protocol = v6 ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP};
    for (const bool connected : {false, true})
      EXPECT_EQ(run_in(web_, [&] { return ping(address, connected); }), 0);
    const auto found = events();
    ASSERT_EQ(found.size(), 2U);
    for (const cw_event& event : found) {
      EXPECT_EQ(event.protocol, protocol);
      EXPECT_EQ(event.direction, CW_EGRESS);
      EXPECT_EQ(event.socket_cgroup, cgroup_id(web_));
      EXPECT_EQ(event.end, CW_END_CLOSED);
      EXPECT_EQ(event.flags, 0);
    }
    EXPECT_EQ(text_of(found[1].remote), address);
  }
}

TEST_P(TrafficKinds, a_raw_socket_is_a_flow_of_its_container) {
  start();
  EXPECT_EQ(run_in(web_,
                   [] {
                     const int raw = make_socket("10.7.0.1", SOCK_RAW, IPPROTO_ICMP);
                     const int raw6 = make_socket("fd07::1", SOCK_RAW, 253);
                     const int connected = make_socket("10.7.0.1", SOCK_RAW, 253);
                     if (raw < 0 || raw6 < 0 || tcp_try(connected, "10.7.0.1", 0)) return 1;
                     close(raw);
                     close(raw6);
                     close(connected);
                     return 0;
                   }),
            0);
  const auto found = events();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].protocol, IPPROTO_ICMP);
  EXPECT_EQ(found[1].protocol, 253);
  EXPECT_EQ(found[2].protocol, 253);
  EXPECT_EQ(text_of(found[2].remote), "10.7.0.1");
  for (const cw_event& event : found) {
    EXPECT_EQ(event.socket_cgroup, cgroup_id(web_));
    EXPECT_EQ(event.direction, CW_EGRESS);
    EXPECT_EQ(event.flags, 0);
    EXPECT_GT(event.pid, 0U);
  }
}

}  // namespace
}  // namespace cellwall::test
