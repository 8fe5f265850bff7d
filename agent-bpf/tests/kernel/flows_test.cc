// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <thread>

#include "fixture.h"
#include "sockets.h"

namespace cellwall::test {
namespace {

class Flows : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(, Flows, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(Flows, records_tcp_connection_with_exact_bytes) {
  start();
  const std::string web = container("web");
  for (const std::string target : {"127.0.0.1", "::1"}) {
    Server server(SOCK_STREAM, target);
    std::thread answer([&] { serve_one(server, 1234, 567); });
    EXPECT_EQ(run_in(web, [&] { return tcp_exchange(target, server.port(), 1234, 567); }), 0);
    answer.join();
    const auto found = events();
    ASSERT_EQ(found.size(), 1U);
    const cw_event& event = found[0];
    EXPECT_EQ(event.socket_cgroup, cgroup_id(web));
    EXPECT_EQ(event.direction, CW_EGRESS);
    EXPECT_EQ(event.protocol, IPPROTO_TCP);
    EXPECT_EQ(event.verdict, CW_ALLOWED);
    EXPECT_EQ(event.end, CW_END_CLOSED);
    EXPECT_EQ(text_of(event.remote), target);
    EXPECT_EQ(text_of(event.local), target);
    EXPECT_EQ(event.remote_port, server.port());
    EXPECT_GT(event.local_port, 0);
    EXPECT_EQ(event.sent_bytes, 1234U);
    EXPECT_EQ(event.received_bytes, 567U);
    EXPECT_GT(event.end_ns, event.start_ns);
    EXPECT_GT(event.start_ns, 0U);
    EXPECT_GT(event.pid, 0U);
    EXPECT_EQ(event.comm, std::string(program_invocation_short_name).substr(0, CW_COMM_BYTES - 1));
    EXPECT_EQ(event.rule, CW_RULE_NO_POLICY);
  }
}

TEST_P(Flows, records_both_ends_with_mirrored_addresses_and_bytes) {
  start();
  const std::string web = container("web"), db = container("db");
  Server outside(SOCK_STREAM, "127.0.0.1");
  int port[2];
  ASSERT_EQ(pipe(port), 0);
  std::thread serving([&] {
    run_in(db, [&] {
      Server server(SOCK_STREAM, "10.7.0.1");
      const uint16_t number = server.port();
      (void)!write(port[1], &number, sizeof(number));
      serve_one(server, 4321, 100000);
      return 0;
    });
  });
  uint16_t number = 0;
  ASSERT_EQ(read(port[0], &number, sizeof(number)), 2);
  EXPECT_EQ(run_in(web, [&] { return tcp_exchange("10.7.0.1", number, 4321, 100000); }), 0);
  serving.join();
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  const bool first_is_egress = found[0].direction == CW_EGRESS;
  const cw_event& client = found[first_is_egress ? 0 : 1];
  const cw_event& server = found[first_is_egress ? 1 : 0];
  EXPECT_EQ(client.socket_cgroup, cgroup_id(web));
  EXPECT_EQ(server.socket_cgroup, cgroup_id(db));
  EXPECT_EQ(server.direction, CW_INGRESS);
  EXPECT_EQ(server.local_port, client.remote_port);
  EXPECT_EQ(server.remote_port, client.local_port);
  EXPECT_EQ(text_of(server.remote), text_of(client.local));
  EXPECT_EQ(client.sent_bytes, 4321U);
  EXPECT_EQ(client.received_bytes, 100000U);
  EXPECT_EQ(server.sent_bytes, 100000U);
  EXPECT_EQ(server.received_bytes, 4321U);
  EXPECT_EQ(server.end, CW_END_CLOSED);
}

TEST_P(Flows, shows_v4_mapped_and_unspecified_addresses_as_what_they_mean) {
  start();
  const std::string web = container("web");
  Server v4(SOCK_STREAM, "127.0.0.1");
  EXPECT_EQ(run_in(web, [&] { return tcp_exchange("::ffff:127.0.0.1", v4.port()); }), 0);
  EXPECT_EQ(run_in(web, [&] { return tcp_exchange("0.0.0.0", v4.port()); }), 0);
  Server v6(SOCK_STREAM, "::1");
  EXPECT_EQ(run_in(web, [&] { return tcp_exchange("::", v6.port()); }), 0);
  const auto found = events();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(text_of(found[0].remote), "127.0.0.1");
  EXPECT_EQ(text_of(found[1].remote), "127.0.0.1");
  EXPECT_EQ(text_of(found[2].remote), "::1");
}

TEST_P(Flows, records_refused_connect_as_failed) {
  start();
  const std::string web = container("web");
  EXPECT_EQ(run_in(web, [] { return tcp_exchange("127.0.0.1", 9); }), ECONNREFUSED);
  const auto found = events();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].end, CW_END_FAILED);
  EXPECT_EQ(found[0].sent_bytes, 0U);
  EXPECT_EQ(found[0].remote_port, 9);
}

TEST_P(Flows, records_connect_that_nobody_answered_as_failed) {
  start();
  const std::string web = container("web");
  const int code = run_in(web, [] {
    const int fd = make_socket("203.0.113.9", SOCK_STREAM);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    const int error = tcp_try(fd, "203.0.113.9", 80);
    usleep(20000);
    close(fd);
    return error;
  });
  EXPECT_EQ(code, EINPROGRESS);
  const auto found = events();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].end, CW_END_FAILED);
  EXPECT_EQ(text_of(found[0].remote), "203.0.113.9");
}

TEST_P(Flows, records_each_attempt_of_a_socket_that_connects_again) {
  start();
  const std::string web = container("web");
  Server server(SOCK_STREAM, "127.0.0.1");
  EXPECT_EQ(run_in(web,
                   [&] {
                     const int fd = make_socket("127.0.0.1", SOCK_STREAM);
                     tcp_try(fd, "127.0.0.1", 9);
                     const int error = tcp_try(fd, "127.0.0.1", server.port());
                     close(fd);
                     return error;
                   }),
            0);
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].end, CW_END_FAILED);
  EXPECT_EQ(found[0].remote_port, 9);
  EXPECT_EQ(found[1].end, CW_END_CLOSED);
  EXPECT_EQ(found[1].remote_port, server.port());
}

TEST_P(Flows, records_reset_by_the_peer) {
  start();
  const std::string web = container("web");
  Server server(SOCK_STREAM, "127.0.0.1");
  std::thread resetting([&] {
    const int fd = accept(server.fd(), nullptr, nullptr);
    const linger abort = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
    char byte;
    (void)!recv(fd, &byte, 1, 0);
    close(fd);
  });
  run_in(web, [&] { return tcp_exchange("127.0.0.1", server.port(), 1, 1); });
  resetting.join();
  const auto found = events();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].end, CW_END_RESET);
  EXPECT_EQ(found[0].sent_bytes, 1U);
}

TEST_P(Flows, leaves_out_sockets_that_never_connected) {
  start();
  const std::string web = container("web");
  run_in(web, [] {
    for (const std::string target : {"127.0.0.1", "::1"}) {
      close(make_socket(target, SOCK_STREAM));
      close(make_socket(target, SOCK_DGRAM));
      Server listening(SOCK_STREAM, target);
      Server bound(SOCK_DGRAM, target);
    }
    return 0;
  });
  EXPECT_TRUE(events().empty());
}

TEST_P(Flows, sees_nothing_outside_the_attach_point) {
  start();
  Server server(SOCK_STREAM, "127.0.0.1");
  EXPECT_EQ(tcp_exchange("127.0.0.1", server.port()), 0);
  EXPECT_TRUE(events().empty());
}

TEST_P(Flows, keeps_flows_apart_when_all_share_one_slot) {
  start([](KernelOptions& options) { options.flow_slots = 1; });
  const std::string web = container("web");
  Server server(SOCK_STREAM, "127.0.0.1"), other(SOCK_STREAM, "127.0.0.1");
  constexpr int kCount = 101;
  EXPECT_EQ(run_in(web,
                   [&] {
                     int fds[kCount];
                     for (int i = 0; i < kCount; i++) {
                       fds[i] = make_socket("127.0.0.1", SOCK_STREAM);
                       if (tcp_try(fds[i], "127.0.0.1", i % 2 ? server.port() : other.port())) return 1;
                     }
                     for (int fd : fds) close(fd);
                     return 0;
                   }),
            0);
  const auto found = events();
  ASSERT_EQ(found.size(), static_cast<size_t>(kCount));
  int to_server = 0;
  for (const cw_event& event : found) {
    EXPECT_EQ(event.direction, CW_EGRESS);
    EXPECT_GT(event.start_ns, 0U);
    to_server += event.remote_port == server.port();
  }
  EXPECT_EQ(to_server, kCount / 2);
  EXPECT_EQ(kernel_->counters()[CW_COUNT_STATE_FULL], 0U);
}

TEST_P(Flows, lists_connections_that_are_open) {
  start();
  const std::string web = container("web");
  Server server(SOCK_STREAM, "10.7.0.1"), udp(SOCK_DGRAM, "10.7.0.2");
  int ready[2], go[2];
  ASSERT_EQ(pipe(ready) | pipe(go), 0);
  std::thread child([&] {
    run_in(web, [&] {
      const int tcp = make_socket("10.7.0.1", SOCK_STREAM), datagram = make_socket("10.7.0.2", SOCK_DGRAM);
      tcp_try(tcp, "10.7.0.1", server.port());
      (void)!send(tcp, "12345", 5, 0);
      tcp_try(datagram, "10.7.0.2", udp.port());
      (void)!write(ready[1], "x", 1);
      char byte;
      (void)!read(go[0], &byte, 1);
      return 0;
    });
  });
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  usleep(20000);
  const auto open = kernel_->open_sockets();
  ASSERT_TRUE(open.has_value()) << open.error().message;
  EXPECT_TRUE(events().empty());
  ASSERT_EQ(write(go[1], "x", 1), 1);
  child.join();
  const auto& flows = open->flows;
  ASSERT_EQ(flows.size(), 2U);
  const cw_event& tcp = flows[flows[0].protocol == IPPROTO_TCP ? 0 : 1];
  EXPECT_EQ(tcp.remote_port, server.port());
  EXPECT_EQ(tcp.end, CW_END_OPEN);
  EXPECT_EQ(tcp.sent_bytes, 5U);
  EXPECT_EQ(tcp.socket_cgroup, cgroup_id(web));
  const auto ended = events();
  ASSERT_EQ(ended.size(), 2U);
  std::set<uint64_t> cookies;
  for (const cw_event& event : flows) cookies.insert(event.cookie);
  for (const cw_event& event : ended) EXPECT_TRUE(cookies.contains(event.cookie));
}

}  // namespace
}  // namespace cellwall::test
