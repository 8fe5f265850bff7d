// SPDX-License-Identifier: Apache-2.0
//
// TCP connections of unusual kinds, and unusual lives of them.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "fixture.h"
#include "sockets.h"

namespace cellwall::test {
namespace {

class TcpKinds : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    web_ = container("web");
    db_ = container("db");
  }
  // The event with that direction; there must be exactly one.
  static const cw_event* only(const std::vector<cw_event>& events, cw_direction direction) {
    const cw_event* found = nullptr;
    for (const cw_event& event : events) {
      if (event.direction != direction) continue;
      EXPECT_EQ(found, nullptr) << "more than one";
      found = &event;
    }
    EXPECT_NE(found, nullptr) << "none";
    return found;
  }
  std::string web_, db_;
};
INSTANTIATE_TEST_SUITE_P(, TcpKinds, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(TcpKinds, fast_open_counts_what_the_syn_carried) {
  start();
  ASSERT_EQ(std::system("sysctl -q net.ipv4.tcp_fastopen=3"), 0);
  constexpr int kRounds = 3;  // the first one asks for the cookie
  Signal ready;
  Child serving(db_, [&] {
    const Server server(SOCK_STREAM, "10.7.0.1", 7001);
    const int queue = 16;
    setsockopt(server.fd(), IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
    ready.give();
    for (int i = 0; i < kRounds; i++) serve_one(server, 100, 50);
    return 0;
  });
  ASSERT_TRUE(ready.wait());
  for (int i = 0; i < kRounds; i++)
    EXPECT_EQ(run_in(web_, [] { return tcp_fast_open("10.7.0.1", 7001, 100, 50); }), 0);
  EXPECT_EQ(serving.join(), 0);
  const auto found = events();
  ASSERT_EQ(found.size(), 2U * kRounds);
  int egress = 0;
  for (const cw_event& event : found) {
    const bool client = event.direction == CW_EGRESS;
    egress += client;
    EXPECT_EQ(event.end, CW_END_CLOSED);
    EXPECT_EQ(event.socket_cgroup, cgroup_id(client ? web_ : db_));
    EXPECT_EQ(event.sent_bytes, client ? 100U : 50U);
    EXPECT_EQ(event.received_bytes, client ? 50U : 100U);
  }
  EXPECT_EQ(egress, kRounds);
}

TEST_P(TcpKinds, a_multipath_connection_is_one_flow_of_its_container) {
  start();
  NEED_MULTIPATH();
  Signal ready;
  Child serving(db_, [&] {
    const Server server(SOCK_STREAM, "10.7.0.1", 7002, kMultipath);
    ready.give();
    serve_one(server, 100, 50);
    return 0;
  });
  ASSERT_TRUE(ready.wait());
  EXPECT_EQ(run_in(web_, [] { return tcp_exchange("10.7.0.1", 7002, 100, 50, kMultipath); }), 0);
  EXPECT_EQ(serving.join(), 0);
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  const cw_event* client = only(found, CW_EGRESS);
  const cw_event* server = only(found, CW_INGRESS);
  ASSERT_TRUE(client && server);
  EXPECT_EQ(client->socket_cgroup, cgroup_id(web_));
  EXPECT_EQ(server->socket_cgroup, cgroup_id(db_));
  EXPECT_EQ(text_of(client->remote), "10.7.0.1");
  EXPECT_EQ(client->remote_port, 7002);
  EXPECT_EQ(client->local_port, server->remote_port);
  EXPECT_EQ(server->local_port, 7002);
  EXPECT_EQ(client->protocol, IPPROTO_TCP);
  EXPECT_EQ(client->end, CW_END_CLOSED);
  EXPECT_GT(client->start_ns, 0U);
  if (client->sent_bytes != CW_UNKNOWN_BYTES) {
    EXPECT_EQ(client->sent_bytes, 100U);
    EXPECT_EQ(client->received_bytes, 50U);
    EXPECT_EQ(server->sent_bytes, 50U);
    EXPECT_EQ(server->received_bytes, 100U);
  }
}

TEST_P(TcpKinds, a_multipath_connection_to_a_plain_server_is_one_flow) {
  start();
  NEED_MULTIPATH();
  const Server server(SOCK_STREAM, "10.7.0.1");
  Child serving("", [&] {
    serve_one(server, 100, 50);
    return 0;
  });
  EXPECT_EQ(run_in(web_, [&] { return tcp_exchange("10.7.0.1", server.port(), 100, 50, kMultipath); }), 0);
  EXPECT_EQ(run_in(web_, [] { return tcp_exchange("10.7.0.1", 9, 0, 0, kMultipath); }), ECONNREFUSED);
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].end, CW_END_CLOSED);
  EXPECT_TRUE(found[0].sent_bytes == 100 || found[0].sent_bytes == CW_UNKNOWN_BYTES);
  EXPECT_EQ(found[1].end, CW_END_FAILED);
  EXPECT_EQ(found[1].failure, CW_FAILURE_REFUSED);
  EXPECT_EQ(found[1].remote_port, 9);
}

TEST_P(TcpKinds, a_further_subflow_is_recorded_when_it_connects) {
  start();
  // A kernel may be built without it: then there is no further subflow to record.
  if (std::system(
          "ip mptcp limits set subflows 2 2>/dev/null && ip mptcp endpoint add 10.7.0.2 dev lo subflow") != 0)
    GTEST_SKIP() << "no multipath TCP, or no 'ip mptcp'";
  Signal listens, accepted;
  Child serving(db_, [&] {
    const Server server(SOCK_STREAM, "10.7.0.1", 7007, kMultipath);
    listens.give();
    serve_one(server, 100, 50);
    return 0;
  });
  ASSERT_TRUE(listens.wait());
  EXPECT_EQ(run_in(web_,
                   [] {
                     const int fd = make_socket("10.7.0.1", SOCK_STREAM, kMultipath);
                     if (tcp_try(fd, "10.7.0.1", 7007)) return 1;
                     // The kernel adds subflows once both ends have heard of each other.
                     for (int i = 0; i < 4; i++) {
                       usleep(50000);
                       if (send(fd, std::string(25, 'x').data(), 25, 0) != 25) return 2;
                     }
                     char text[64];
                     (void)!recv(fd, text, sizeof(text), 0);
                     return 0;
                   }),
            0);
  EXPECT_EQ(serving.join(), 0);
  (void)!std::system("ip mptcp endpoint flush");
  int ends = 0, further = 0;
  for (const cw_event& event : events()) {
    // The server's kernel, which has the same configuration here, adds a subflow of its own.
    if (event.socket_cgroup != cgroup_id(web_)) continue;
    EXPECT_EQ(event.direction, CW_EGRESS);
    EXPECT_EQ(text_of(event.remote), "10.7.0.1");
    if (event.local_port)
      ends++;
    else
      further++;
  }
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(further, 1);
}

TEST_P(TcpKinds, multipath_connections_leave_nothing_behind) {
  start([](KernelOptions& options) { options.flow_slots = 1; });
  NEED_MULTIPATH();
  const Server server(SOCK_STREAM, "10.7.0.1");
  for (int i = 0; i < 3; i++)
    EXPECT_EQ(run_in(web_, [&] { return tcp_exchange("10.7.0.1", server.port(), 0, 0, kMultipath); }), 0);
  const auto found = events();
  ASSERT_EQ(found.size(), 3U);
  for (const cw_event& event : found) {
    EXPECT_EQ(event.direction, CW_EGRESS);
    EXPECT_GT(event.start_ns, 0U) << "the state of the connection before is still there";
  }
}

TEST_P(TcpKinds, a_multipath_connect_is_under_the_policy) {
  start();
  NEED_MULTIPATH();
  const Server server(SOCK_STREAM, "10.7.0.1");
  enforce(web_, {peer("::", 0, kClassAllow), peer("10.7.0.1", 32, kClassDeny)}, allow_and_deny_classes());
  EXPECT_EQ(run_in(web_, [&] { return tcp_exchange("10.7.0.1", server.port(), 0, 0, kMultipath); }), EPERM);
  const auto found = events();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].verdict, CW_DENIED);
}

TEST_P(TcpKinds, a_bound_port_is_the_local_port) {
  start();
  const Server server(SOCK_STREAM, "10.7.0.1"), server6(SOCK_STREAM, "fd07::1");
  EXPECT_EQ(run_in(web_,
                   [&] {
                     const int fd = bound_socket("10.7.0.2", 7103, SOCK_STREAM);
                     const int fd6 = bound_socket("fd07::1", 7104, SOCK_STREAM);
                     const int error = tcp_try(fd, "10.7.0.1", server.port());
                     return error ? error : tcp_try(fd6, "fd07::1", server6.port());
                   }),
            0);
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  for (const cw_event& event : found) {
    const bool v6 = event.local_port == 7104;
    EXPECT_EQ(event.local_port, v6 ? 7104 : 7103);
    EXPECT_EQ(text_of(event.local), v6 ? "fd07::1" : "10.7.0.2");
  }
}

TEST_P(TcpKinds, a_connection_that_nobody_accepted_is_known_at_the_client_only) {
  start();
  Signal ready, end;
  Child serving(db_, [&] {
    const Server server(SOCK_STREAM, "10.7.0.1", 7005);
    ready.give();
    end.wait();
    return 0;
  });
  ASSERT_TRUE(ready.wait());
  EXPECT_EQ(run_in(web_,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_STREAM);
                     if (tcp_try(fd, "10.7.0.1", 7005) || send(fd, "12345", 5, 0) != 5) return 1;
                     end.give();
                     char byte;
                     return recv(fd, &byte, 1, 0) < 0 ? errno : 0;
                   }),
            ECONNRESET);
  EXPECT_EQ(serving.join(), 0);
  const auto found = events();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].socket_cgroup, cgroup_id(web_));
  EXPECT_EQ(found[0].end, CW_END_RESET);
  EXPECT_EQ(found[0].sent_bytes, 5U);
}

TEST_P(TcpKinds, a_half_closed_connection_counts_both_directions) {
  start();
  Signal ready;
  Child serving(db_, [&] {
    const Server server(SOCK_STREAM, "10.7.0.1", 7006);
    ready.give();
    const int fd = accept(server.fd(), nullptr, nullptr);
    char text[64];
    size_t received = 0;
    for (ssize_t count; (count = recv(fd, text, sizeof(text), 0)) > 0;)
      received += static_cast<size_t>(count);
    (void)!send(fd, "an answer", 9, 0);
    close(fd);
    return static_cast<int>(received);
  });
  ASSERT_TRUE(ready.wait());
  EXPECT_EQ(run_in(web_,
                   [] {
                     const int fd = make_socket("10.7.0.1", SOCK_STREAM);
                     if (tcp_try(fd, "10.7.0.1", 7006) || send(fd, "question", 8, 0) != 8) return 1;
                     shutdown(fd, SHUT_WR);
                     char text[64];
                     while (recv(fd, text, sizeof(text), 0) > 0) {
                     }
                     return 0;
                   }),
            0);
  EXPECT_EQ(serving.join(), 8);
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  const cw_event* client = only(found, CW_EGRESS);
  const cw_event* server = only(found, CW_INGRESS);
  ASSERT_TRUE(client && server);
  EXPECT_EQ(client->sent_bytes, 8U);
  EXPECT_EQ(client->received_bytes, 9U);
  EXPECT_EQ(server->sent_bytes, 9U);
  EXPECT_EQ(server->received_bytes, 8U);
  EXPECT_EQ(client->end, CW_END_CLOSED);
  EXPECT_EQ(server->end, CW_END_CLOSED);
}

// The peer ends its half, and resets on what comes after.
TEST_P(TcpKinds, a_reset_after_the_peers_end_counts_all_that_was_sent) {
  start();
  const Server server(SOCK_STREAM, "10.7.0.1");
  Child serving("", [&] {
    close(accept(server.fd(), nullptr, nullptr));
    return 0;
  });
  EXPECT_EQ(run_in(web_,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_STREAM);
                     char byte;
                     if (tcp_try(fd, "10.7.0.1", server.port()) || recv(fd, &byte, 1, 0) != 0) return 1;
                     if (send(fd, "1234567", 7, MSG_NOSIGNAL) != 7) return 2;
                     pollfd reset{fd, 0, 0};
                     if (poll(&reset, 1, 10000) != 1) return 3;
                     return send(fd, "8", 1, MSG_NOSIGNAL) < 0 ? errno : 0;
                   }),
            EPIPE);
  serving.join();
  const auto found = events();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].sent_bytes, 7U);
  EXPECT_EQ(found[0].received_bytes, 0U);
}

TEST_P(TcpKinds, a_socket_that_two_processes_hold_is_one_flow) {
  start();
  const Server server(SOCK_STREAM, "10.7.0.1");
  EXPECT_EQ(run_in(web_,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_STREAM);
                     if (tcp_try(fd, "10.7.0.1", server.port())) return 1;
                     Child child("", [&] { return send(fd, "12", 2, 0) == 2 ? 0 : 1; });
                     if (child.join()) return 2;
                     return send(fd, "345", 3, 0) == 3 ? 0 : 3;
                   }),
            0);
  const auto found = events();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].sent_bytes, 5U);
}

TEST_P(TcpKinds, a_socket_passed_to_another_container_stays_a_flow_of_its_own) {
  start();
  const Server server(SOCK_STREAM, "10.7.0.1");
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Child receiver(db_, [&] {
    const int fd = receive_descriptor(pair[1]);
    return send(fd, "1234", 4, 0) == 4 ? 0 : 1;
  });
  EXPECT_EQ(run_in(web_,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_STREAM);
                     const int error = tcp_try(fd, "10.7.0.1", server.port());
                     return error ? error : pass_descriptor(pair[0], fd);
                   }),
            0);
  EXPECT_EQ(receiver.join(), 0);
  close(pair[0]);
  close(pair[1]);
  const auto found = events();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].socket_cgroup, cgroup_id(web_));
  EXPECT_EQ(found[0].sent_bytes, 4U);
}

}  // namespace
}  // namespace cellwall::test
