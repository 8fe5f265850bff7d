// SPDX-License-Identifier: Apache-2.0
//
// What is found in the kernel rather than told by it: connections that stay open, connections that are older
// than the programs, and sockets that wait for callers.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "fixture.h"
#include "sockets.h"

namespace cellwall::test {
namespace {

class Open : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    web_ = container("web");
    db_ = container("db");
  }
  OpenSockets open_now() {
    auto open = kernel_->open_sockets();
    EXPECT_TRUE(open.has_value()) << open.error().message;
    std::ranges::sort(open->flows, {}, &cw_event::direction);
    return *open;
  }
  std::string web_, db_;
};
INSTANTIATE_TEST_SUITE_P(, Open, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

// A connection from web to db, over which the client sends when it is told to.
struct LongConnection {
  LongConnection(const std::string& web, const std::string& db, const std::string& address, uint16_t port,
                 int protocol = 0)
      : server(db,
               [&, port, address, protocol] {
                 const Server listening(SOCK_STREAM, address, port, protocol);
                 listens.give();
                 const int fd = accept(listening.fd(), nullptr, nullptr);
                 accepted.give();
                 char text[64];
                 while (recv(fd, text, sizeof(text), 0) > 0) accepted.give();
                 return 0;
               }),
        client(web, [&, port, address, protocol] {
          listens.wait();
          const int fd = make_socket(address, SOCK_STREAM, protocol);
          if (tcp_try(fd, address, port)) return 1;
          while (go.wait() && !send_five(fd)) {
          }
          return 0;
        }) {
    EXPECT_TRUE(accepted.wait());
  }
  int send_five(int fd) {
    rounds++;
    return rounds > 2 ? 1 : send(fd, "12345", 5, 0) != 5;
  }
  void send_more() {
    go.give();
    EXPECT_TRUE(accepted.wait());
    usleep(20000);
  }
  void end() {
    go.give();
    EXPECT_EQ(client.join(), 0);
    EXPECT_EQ(server.join(), 0);
  }
  int rounds = 0;
  Signal listens, accepted, go;
  Child server, client;
};

TEST_P(Open, counters_of_an_open_connection_grow_from_report_to_report) {
  start();
  LongConnection connection(web_, db_, "10.7.0.1", 7301);
  std::set<uint64_t> cookies;
  for (uint64_t bytes : {5U, 10U}) {
    connection.send_more();
    const auto flows = open_now().flows;
    ASSERT_EQ(flows.size(), 2U);
    EXPECT_EQ(flows[0].direction, CW_EGRESS);
    EXPECT_EQ(flows[0].sent_bytes, bytes);
    EXPECT_EQ(flows[0].flags, 0);
    EXPECT_EQ(flows[1].direction, CW_INGRESS);
    EXPECT_EQ(flows[1].received_bytes, bytes);
    for (const cw_event& flow : flows) {
      EXPECT_EQ(flow.end, CW_END_OPEN);
      cookies.insert(flow.cookie);
    }
  }
  EXPECT_TRUE(events().empty());
  connection.end();
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  for (const cw_event& event : found) {
    cookies.insert(event.cookie);
    EXPECT_EQ(event.direction == CW_EGRESS ? event.sent_bytes : event.received_bytes, 10U);
  }
  EXPECT_EQ(cookies.size(), 2U) << "reports and ends belong together";
}

TEST_P(Open, connections_older_than_the_programs_are_found_and_recorded) {
  LongConnection connection(web_, db_, "10.7.0.1", 7302);
  connection.send_more();
  start();
  const auto flows = open_now().flows;
  connection.send_more();
  connection.end();
  const auto found = events();
  ASSERT_EQ(flows.size(), 2U);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(flows[0].sent_bytes, 5U);
  EXPECT_EQ(flows[1].received_bytes, 5U);
  for (const auto& list : {flows, found}) {
    for (const cw_event& event : list) {
      const bool client = event.direction == CW_EGRESS;
      EXPECT_EQ(event.socket_cgroup, cgroup_id(client ? web_ : db_));
      EXPECT_EQ(event.flags, client ? CW_FLAG_OLDER : 0);
      EXPECT_EQ(client ? event.remote_port : event.local_port, 7302);
      EXPECT_EQ(event.start_ns, 0U);
    }
  }
  for (const cw_event& event : found)
    EXPECT_EQ(event.direction == CW_EGRESS ? event.sent_bytes : event.received_bytes, 10U);
}

TEST_P(Open, an_older_connected_datagram_socket_is_flagged) {
  const Server server(SOCK_DGRAM, "10.7.0.1");
  Signal ready, go;
  Child client(web_, [&] {
    const int fd = make_socket("10.7.0.1", SOCK_DGRAM);
    const int error = tcp_try(fd, "10.7.0.1", server.port());
    ready.give();
    go.wait();
    return error;
  });
  ASSERT_TRUE(ready.wait());
  start();
  const auto flows = open_now().flows;
  go.give();
  EXPECT_EQ(client.join(), 0);
  const auto found = events();
  ASSERT_EQ(flows.size(), 1U);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(flows[0].flags, CW_FLAG_OLDER);
  EXPECT_EQ(found[0].flags, CW_FLAG_OLDER);
  EXPECT_EQ(found[0].remote_port, server.port());
}

TEST_P(Open, a_multipath_connection_is_reported_while_it_is_open) {
  NEED_MULTIPATH();
  start();
  LongConnection connection(web_, db_, "10.7.0.1", 7303, kMultipath);
  connection.send_more();
  const auto open = open_now();
  connection.send_more();
  connection.end();
  const auto found = events();
  ASSERT_EQ(open.flows.size(), 2U);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(open.flows[0].direction, CW_EGRESS);
  EXPECT_EQ(open.flows[0].remote_port, 7303);
  EXPECT_EQ(open.flows[1].direction, CW_INGRESS);
  std::set<uint64_t> cookies;
  for (const auto& list : {open.flows, found}) {
    for (const cw_event& event : list) cookies.insert(event.cookie);
  }
  EXPECT_EQ(cookies.size(), 2U);
  EXPECT_EQ(open.listeners.size(), 1U);
}

TEST_P(Open, sockets_that_wait_for_callers_are_listed) {
  start();
  Signal ready, go;
  Child serving(db_, [&] {
    const Server v4(SOCK_STREAM, "10.7.0.1", 7311), v6(SOCK_STREAM, "fd07::1", 7312);
    const Server any(SOCK_STREAM, "::", 7313), udp(SOCK_DGRAM, "10.7.0.1", 7314);
    const int unbound = make_socket("10.7.0.1", SOCK_DGRAM), idle = make_socket("10.7.0.1", SOCK_STREAM);
    (void)udp_send(unbound, "10.7.0.1", 7314);
    ready.give();
    go.wait();
    close(unbound);
    close(idle);
    return 0;
  });
  ASSERT_TRUE(ready.wait());
  const auto open = open_now();
  go.give();
  serving.join();
  std::set<std::string> listeners;
  for (const cw_event& listener : open.listeners) {
    EXPECT_EQ(listener.socket_cgroup, cgroup_id(db_));
    EXPECT_GT(listener.pid, 0U);
    listeners.insert(std::to_string(listener.protocol) + " " + text_of(listener.local) + " " +
                     std::to_string(listener.local_port));
  }
  EXPECT_EQ(open.listeners.size(), 4U);
  EXPECT_EQ(listeners,
            (std::set<std::string>{"6 10.7.0.1 7311", "6 fd07::1 7312", "6 :: 7313", "17 10.7.0.1 7314"}));
}

TEST_P(Open, containers_that_share_a_port_have_their_own_listeners_and_flows) {
  start();
  Signal ready, go;
  const auto serve = [&] {
    const int fd = make_socket("10.7.0.1", SOCK_STREAM | SOCK_NONBLOCK);
    share_port(fd, "10.7.0.1", 7321);
    ready.give();
    go.wait();
    int accepted = 0;
    for (int one; (one = accept(fd, nullptr, nullptr)) >= 0; accepted++) close(one);
    return accepted;
  };
  Child one(db_, serve), other(container("other"), serve);
  ASSERT_TRUE(ready.wait() && ready.wait());
  EXPECT_EQ(open_now().listeners.size(), 2U);
  constexpr int kConnections = 41;
  for (int i = 0; i < kConnections; i++) EXPECT_EQ(tcp_exchange("10.7.0.1", 7321), 0);
  go.give();
  go.give();
  const int first = one.join(), second = other.join();
  EXPECT_EQ(first + second, kConnections);
  int of_first = 0, of_second = 0;
  for (const cw_event& event : events()) {
    EXPECT_EQ(event.direction, CW_INGRESS);
    EXPECT_EQ(event.local_port, 7321);
    of_first += event.socket_cgroup == cgroup_id(db_);
    of_second += event.socket_cgroup == cgroup_id(root_ + "/other");
  }
  EXPECT_EQ(of_first, first);
  EXPECT_EQ(of_second, second);
}

TEST_P(Open, a_mapped_listener_shows_ipv4_callers_as_ipv4) {
  start();
  Signal ready;
  Child serving(db_, [&] {
    const Server server(SOCK_STREAM, "::", 7331);
    ready.give();
    serve_one(server, 10, 20);
    return 0;
  });
  ASSERT_TRUE(ready.wait());
  EXPECT_EQ(run_in(web_, [] { return tcp_exchange("10.7.0.1", 7331, 10, 20); }), 0);
  EXPECT_EQ(serving.join(), 0);
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  for (const cw_event& event : found) {
    EXPECT_EQ(text_of(event.remote), "10.7.0.1");
    EXPECT_EQ(text_of(event.local), "10.7.0.1");
  }
}

}  // namespace
}  // namespace cellwall::test
