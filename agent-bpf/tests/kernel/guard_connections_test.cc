// SPDX-License-Identifier: Apache-2.0
//
// Packets of TCP connections under a policy that is younger than they are.
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "guard_fixture.h"

namespace cellwall::test {
namespace {

class GuardConnections : public GuardTest {};
INSTANTIATE_TEST_SUITE_P(, GuardConnections, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(GuardConnections, an_open_connection_that_a_new_policy_refuses_sends_nothing_more) {
  const Server server(SOCK_STREAM, "10.7.0.1");
  guard(web_, all_but(""));
  OpenConnection open(web_, server);
  ASSERT_GE(open.accepted(), 0);
  guard(web_, all_but("10.7.0.1"));
  open.send_more();
  EXPECT_EQ(read_for(open.accepted(), 300), 0) << "not a byte after the deny";
  EXPECT_EQ(open.end(), 0);
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
  OpenConnection open(web_, server);
  ASSERT_GE(open.accepted(), 0);
  guard(web_, all_but("10.7.0.2", "10.7.0.2"));
  open.send_more();
  EXPECT_EQ(read_bytes(open.accepted(), 5), 5);
  EXPECT_EQ(open.end(), 0);
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
  EXPECT_EQ(read_bytes(accepted, 5), 5);
  EXPECT_EQ(read_bytes(caller, 5), 5);
  guard(web_, all_but("10.7.0.1", "10.7.0.2"));
  const auto cut = kernel_->cut_refused();
  ASSERT_TRUE(cut.has_value()) << cut.error().message;
  EXPECT_EQ(*cut, 2U);
  more.give();
  both.join();
  close(caller);
  close(accepted);
}

TEST_P(GuardConnections, what_a_refused_syn_would_carry_does_not_go_out) {
  ASSERT_EQ(std::system("sysctl -q net.ipv4.tcp_fastopen=1027"), 0);
  const Server server(SOCK_STREAM, "10.7.0.1");
  guard(web_, all_but("10.7.0.1"));
  EXPECT_EQ(run_in(web_, [&] { return tcp_fast_open("10.7.0.1", server.port(), 100, 0); }), EPERM);
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
  NEED_MULTIPATH();
  const Server server(SOCK_STREAM, "10.7.0.1", 0, kMultipath);
  guard(web_, all_but(""));
  OpenConnection open(web_, server, kMultipath);
  ASSERT_GE(open.accepted(), 0);
  guard(web_, all_but("10.7.0.1"));
  open.send_more();
  EXPECT_EQ(read_for(open.accepted(), 150), 0);
  const auto cut = kernel_->cut_refused();
  ASSERT_TRUE(cut.has_value()) << cut.error().message;
  EXPECT_EQ(*cut, 1U);
  EXPECT_EQ(open.end(), 0);
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

}  // namespace
}  // namespace cellwall::test
