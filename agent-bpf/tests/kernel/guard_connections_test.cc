// SPDX-License-Identifier: Apache-2.0
//
// Packets of TCP connections under a policy that is younger than they are, or that says who may come in.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "fixture.h"
#include "sockets.h"

namespace cellwall::test {
namespace {

// How many bytes come within that time; -1 at the end: it was reset.
ssize_t read_for(int fd, int milliseconds) {
  ssize_t total = 0;
  pollfd waiting = {.fd = fd, .events = POLLIN, .revents = 0};
  char text[256];
  while (poll(&waiting, 1, milliseconds) == 1) {
    const ssize_t count = recv(fd, text, sizeof(text), MSG_DONTWAIT);
    if (count < 0) return -1;
    if (count == 0) break;
    total += count;
  }
  return total;
}

class GuardConnections : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    web_ = container("pod/web");
    start();
  }
  // Everything both ways; one network each way is denied.
  std::vector<KernelPeer> all_but(const std::string& to, const std::string& from = "") {
    std::vector<KernelPeer> peers = {peer("::", 0, kClassAllow), sender("::", 0, kClassAllow)};
    if (!to.empty()) peers.push_back(peer(to, 32, kClassDeny));
    if (!from.empty()) peers.push_back(sender(from, 32, kClassDeny));
    return peers;
  }
  std::vector<cw_event> of_web() {
    auto found = events();
    std::erase_if(found, [&](const cw_event& event) { return event.socket_cgroup != cgroup_id(web_); });
    return found;
  }
  std::string web_;
};
INSTANTIATE_TEST_SUITE_P(, GuardConnections, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(GuardConnections, an_open_connection_that_a_new_policy_refuses_sends_nothing_more) {
  const Server server(SOCK_STREAM, "10.7.0.1");
  guard(web_, all_but(""));
  Signal connected, go;
  Child client(web_, [&] {
    const int fd = make_socket("10.7.0.1", SOCK_STREAM);
    if (tcp_try(fd, "10.7.0.1", server.port()) || send(fd, "12345", 5, 0) != 5) return 1;
    connected.give();
    go.wait();
    (void)!send(fd, "67890", 5, MSG_NOSIGNAL);
    usleep(100000);
    close(fd);
    return 0;
  });
  ASSERT_TRUE(connected.wait());
  const int accepted = accept(server.fd(), nullptr, nullptr);
  EXPECT_EQ(read_for(accepted, 50), 5);
  guard(web_, all_but("10.7.0.1"));
  go.give();
  EXPECT_EQ(read_for(accepted, 300), 0) << "not a byte after the deny";
  EXPECT_EQ(client.join(), 0);
  close(accepted);
  const auto found = of_web();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].verdict, CW_DENIED);
  EXPECT_EQ(found[0].end, CW_END_DENIED);
  EXPECT_EQ(found[0].rule, kRuleDeny);
  EXPECT_EQ(found[0].generation, 2U);
  EXPECT_EQ(found[0].container, cgroup_id(web_));
  EXPECT_EQ(kernel_->counters()[CW_COUNT_DENIED], 1U);
}

TEST_P(GuardConnections, an_open_connection_goes_on_under_a_policy_that_allows_it) {
  const Server server(SOCK_STREAM, "10.7.0.1");
  guard(web_, all_but(""));
  Signal connected, go;
  Child client(web_, [&] {
    const int fd = make_socket("10.7.0.1", SOCK_STREAM);
    if (tcp_try(fd, "10.7.0.1", server.port()) || send(fd, "12345", 5, 0) != 5) return 1;
    connected.give();
    go.wait();
    return send(fd, "67890", 5, MSG_NOSIGNAL) == 5 ? 0 : 1;
  });
  ASSERT_TRUE(connected.wait());
  const int accepted = accept(server.fd(), nullptr, nullptr);
  EXPECT_EQ(read_for(accepted, 50), 5);
  guard(web_, all_but("10.7.0.2", "10.7.0.2"));
  go.give();
  EXPECT_EQ(client.join(), 0);
  EXPECT_EQ(read_for(accepted, 50), 5);
  close(accepted);
  const auto found = of_web();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].verdict, CW_ALLOWED);
  EXPECT_EQ(found[0].rule, kRuleAllow);
}

TEST_P(GuardConnections, a_connection_older_than_the_programs_is_judged_by_who_began_it) {
  stop();
  const Server server(SOCK_STREAM, "10.7.0.1");
  Signal listens, connected, go, more;
  // web connects to 10.7.0.1, and accepts from 10.7.0.2.
  Child both(web_, [&] {
    const Server own(SOCK_STREAM, "10.7.0.1", 7301);
    listens.give();
    const int in = accept(own.fd(), nullptr, nullptr), out = make_socket("10.7.0.1", SOCK_STREAM);
    if (tcp_try(out, "10.7.0.1", server.port())) return 1;
    connected.give();
    go.wait();
    (void)!send(out, "12345", 5, MSG_NOSIGNAL);
    (void)!send(in, "67890", 5, MSG_NOSIGNAL);
    more.wait();
    return 0;
  });
  ASSERT_TRUE(listens.wait());
  const int caller = bound_socket("10.7.0.2", 0, SOCK_STREAM);
  ASSERT_EQ(tcp_try(caller, "10.7.0.1", 7301), 0);
  ASSERT_TRUE(connected.wait());
  const int accepted = accept(server.fd(), nullptr, nullptr);
  start();
  // To 10.7.0.2 nothing may go, from 10.7.0.1 nothing may come: both concern others than these two.
  guard(web_, all_but("10.7.0.2", "10.7.0.1"));
  go.give();
  EXPECT_EQ(read_for(accepted, 150), 5);
  EXPECT_EQ(read_for(caller, 150), 5);
  guard(web_, all_but("10.7.0.1", "10.7.0.2"));
  const auto cut = kernel_->cut_refused();
  ASSERT_TRUE(cut.has_value()) << cut.error().message;
  EXPECT_EQ(*cut, 2U);
  more.give();
  both.join();
  close(caller);
  close(accepted);
}

TEST_P(GuardConnections, a_refused_caller_gets_no_connection_and_each_attempt_is_told_once) {
  Signal listens, go;
  guard(web_, all_but("", "10.7.0.2"));
  Child serving(web_, [&] {
    const Server server(SOCK_STREAM, "10.7.0.1", 7302);
    listens.give();
    const int fd = accept(server.fd(), nullptr, nullptr);
    return read_for(fd, 200) == 5 ? 0 : 1;
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

TEST_P(GuardConnections, ingress_rules_are_about_the_containers_own_port) {
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

TEST_P(GuardConnections, an_accepted_connection_is_cut_by_a_later_policy_and_says_so) {
  guard(web_, all_but(""));
  Signal listens, accepted;
  Child serving(web_, [&] {
    const Server server(SOCK_STREAM, "10.7.0.1", 7305);
    listens.give();
    const int fd = accept(server.fd(), nullptr, nullptr);
    if (read_for(fd, 100) != 5) return 1;
    accepted.give();
    const ssize_t more = read_for(fd, 1000);
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
  EXPECT_EQ(read_for(caller, 500), -1) << "the peer hears of it by a reset";
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

TEST_P(GuardConnections, what_a_refused_callers_syn_carries_does_not_come_in) {
  ASSERT_EQ(std::system("sysctl -q net.ipv4.tcp_fastopen=1027"), 0);  // without a cookie
  const auto serve = [&](Signal& listens) {
    const Server server(SOCK_STREAM, "10.7.0.1", 7306);
    const int queue = 16;
    setsockopt(server.fd(), IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
    listens.give();
    pollfd waiting = {.fd = server.fd(), .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, 500) != 1) return 0;
    const int fd = accept(server.fd(), nullptr, nullptr);
    const auto received = static_cast<int>(read_for(fd, 200));
    (void)!send(fd, "1234567", 7, 0);
    close(fd);
    return received;
  };
  guard(web_, all_but("", "10.7.0.1"));
  {
    Signal listens;
    Child serving(web_, [&] { return serve(listens); });
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
    Child serving(web_, [&] { return serve(listens); });
    ASSERT_TRUE(listens.wait());
    EXPECT_EQ(run_in("", [] { return tcp_fast_open("10.7.0.1", 7306, 100, 7); }), 0);
    EXPECT_EQ(serving.join(), 100);
  }
  found = of_web();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].direction, CW_INGRESS);
  EXPECT_EQ(found[0].rule, kRuleAllow);
}

TEST_P(GuardConnections, what_a_refused_syn_would_carry_does_not_go_out) {
  ASSERT_EQ(std::system("sysctl -q net.ipv4.tcp_fastopen=1027"), 0);
  const Server server(SOCK_STREAM, "10.7.0.1");
  guard(web_, all_but("10.7.0.1"));
  EXPECT_EQ(run_in(web_, [&] { return tcp_fast_open("10.7.0.1", server.port(), 100, 0); }), EPERM);
}

TEST_P(GuardConnections, removing_the_pins_removes_the_guards) {
  const Server server(SOCK_STREAM, "10.7.0.1");
  guard(web_, all_but("10.7.0.1"));
  EXPECT_EQ(access((pins_ + "/guard_out_" + std::to_string(cgroup_id(web_))).c_str(), F_OK), 0);
  stop();
  ASSERT_TRUE(remove_pins(pins_).has_value());
  EXPECT_NE(access(pins_.c_str(), F_OK), 0);
  EXPECT_EQ(run_in(web_, [&] { return tcp_exchange("10.7.0.1", server.port()); }), 0);
}

TEST_P(GuardConnections, a_container_that_died_while_the_agent_was_away_leaves_no_guard) {
  const std::string gone = container("pod/gone");
  guard(gone, all_but(""));
  const std::string pin = pins_ + "/guard_in_" + std::to_string(cgroup_id(gone));
  stop();
  ASSERT_EQ(rmdir(gone.c_str()), 0);
  ASSERT_EQ(access(pin.c_str(), F_OK), 0);
  start();
  EXPECT_NE(access(pin.c_str(), F_OK), 0);
}

TEST_P(GuardConnections, sockets_of_sub_cgroups_and_moved_ones_stay_under_the_guard) {
  const std::string inner = container("pod/web/inner"), other = container("pod/other");
  const Server server(SOCK_STREAM, "10.7.0.1");
  guard(web_, all_but(""));
  Signal connected, go;
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Child holder(other, [&] {
    const int fd = receive_descriptor(pair[1]);
    connected.give();
    go.wait();
    (void)!send(fd, "12345", 5, MSG_NOSIGNAL);
    usleep(100000);
    return 0;
  });
  Child maker(inner, [&] {
    const int fd = make_socket("10.7.0.1", SOCK_STREAM);
    return tcp_try(fd, "10.7.0.1", server.port()) ?: pass_descriptor(pair[0], fd);
  });
  ASSERT_TRUE(connected.wait());
  const int accepted = accept(server.fd(), nullptr, nullptr);
  guard(web_, all_but("10.7.0.1"));
  go.give();
  EXPECT_EQ(read_for(accepted, 300), 0);
  EXPECT_EQ(maker.join(), 0);
  holder.join();
  close(accepted);
  close(pair[0]);
  close(pair[1]);
}

TEST_P(GuardConnections, a_denied_multipath_connection_sends_nothing_more) {
  const int probe = socket(AF_INET, SOCK_STREAM, kMultipath);
  if (probe < 0) GTEST_SKIP() << "no multipath TCP: " << std::strerror(errno);
  close(probe);
  const Server server(SOCK_STREAM, "10.7.0.1", 0, kMultipath);
  guard(web_, all_but(""));
  Signal connected, go, more;
  Child client(web_, [&] {
    const int fd = make_socket("10.7.0.1", SOCK_STREAM, kMultipath);
    if (tcp_try(fd, "10.7.0.1", server.port()) || send(fd, "12345", 5, 0) != 5) return 1;
    connected.give();
    go.wait();
    (void)!send(fd, "67890", 5, MSG_NOSIGNAL);
    more.wait();
    return 0;
  });
  ASSERT_TRUE(connected.wait());
  const int accepted = accept(server.fd(), nullptr, nullptr);
  EXPECT_EQ(read_for(accepted, 50), 5);
  guard(web_, all_but("10.7.0.1"));
  go.give();
  EXPECT_EQ(read_for(accepted, 150), 0);
  const auto cut = kernel_->cut_refused();
  ASSERT_TRUE(cut.has_value()) << cut.error().message;
  EXPECT_EQ(*cut, 1U);
  more.give();
  EXPECT_EQ(client.join(), 0);
  close(accepted);
}

TEST_P(GuardConnections, a_socket_is_judged_for_its_user_as_well_as_for_its_owner) {
  const std::string other = container("pod/other");
  const Server server(SOCK_STREAM, "10.7.0.1");
  guard(web_, all_but("10.7.0.1"));
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Child maker(other, [&] { return pass_descriptor(pair[0], make_socket("10.7.0.1", SOCK_STREAM)); });
  EXPECT_EQ(run_in(web_, [&] { return tcp_try(receive_descriptor(pair[1]), "10.7.0.1", server.port()); }),
            EPERM);
  EXPECT_EQ(maker.join(), 0);
  EXPECT_EQ(run_in(other, [&] { return tcp_exchange("10.7.0.1", server.port()); }), 0);
  const auto found = events();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].verdict, CW_DENIED);
  EXPECT_EQ(found[0].rule, kRuleDeny);
  EXPECT_EQ(found[0].socket_cgroup, cgroup_id(other)) << "it stays a socket of who made it";
  close(pair[0]);
  close(pair[1]);
}

TEST_P(GuardConnections, guards_outlive_the_agent_and_go_with_the_last_policy) {
  const Server server(SOCK_STREAM, "10.7.0.1");
  guard(web_, all_but(""));
  Signal connected, go, more;
  Child client(web_, [&] {
    const int fd = make_socket("10.7.0.1", SOCK_STREAM);
    if (tcp_try(fd, "10.7.0.1", server.port())) return 1;
    connected.give();
    go.wait();
    (void)!send(fd, "12345", 5, MSG_NOSIGNAL);
    more.wait();
    return 0;
  });
  ASSERT_TRUE(connected.wait());
  const int accepted = accept(server.fd(), nullptr, nullptr);
  guard(web_, all_but("10.7.0.1"));
  stop();
  go.give();
  EXPECT_EQ(read_for(accepted, 150), 0) << "without an agent";
  start();
  EXPECT_EQ(read_for(accepted, 300), 0) << "with the next one";
  enforce(web_, all_but("10.7.0.1"), allow_and_deny_classes());
  EXPECT_EQ(read_for(accepted, 4000), 5) << "not guarded any more: what was sent again comes through";
  more.give();
  client.join();
  close(accepted);
}

TEST_P(GuardConnections, observation_goes_on_where_guards_cannot_be_loaded) {
  stop();
  ASSERT_TRUE(remove_pins(pins_).has_value());
  start([](KernelOptions& options) { options.without_guards = true; });
  EXPECT_FALSE(kernel_->guards_refused().empty());
  const Server server(SOCK_STREAM, "10.7.0.1"), other(SOCK_STREAM, "10.7.0.2");
  guard(web_, all_but("10.7.0.1"));
  EXPECT_EQ(run_in(web_, [&] { return tcp_exchange("10.7.0.1", server.port()); }), EPERM);
  EXPECT_EQ(run_in(web_, [&] { return tcp_exchange("10.7.0.2", other.port()); }), 0);
  EXPECT_EQ(of_web().size(), 2U);
}

}  // namespace
}  // namespace cellwall::test
