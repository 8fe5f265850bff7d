// SPDX-License-Identifier: Apache-2.0
//
// Guards while the agent is away, and how they end.
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "guard_fixture.h"

namespace cellwall::test {
namespace {

class GuardLifetime : public GuardTest {};
INSTANTIATE_TEST_SUITE_P(, GuardLifetime, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(GuardLifetime, guards_outlive_the_agent_and_go_with_the_last_policy) {
  const Server server(SOCK_STREAM, "10.7.0.1");
  guard(web_, all_but(""));
  OpenConnection open(web_, server);
  ASSERT_GE(open.accepted(), 0);
  guard(web_, all_but("10.7.0.1"));
  stop();
  open.send_more();
  EXPECT_EQ(read_for(open.accepted(), 150), 0) << "without an agent";
  start();
  EXPECT_EQ(read_for(open.accepted(), 300), 0) << "with the next one";
  enforce(web_, all_but("10.7.0.1"), allow_and_deny_classes());
  EXPECT_EQ(read_bytes(open.accepted(), 5), 5) << "not guarded any more: what was sent again comes through";
  EXPECT_EQ(open.end(), 0);
}

TEST_P(GuardLifetime, removing_the_pins_removes_the_guards) {
  const Server server(SOCK_STREAM, "10.7.0.1");
  guard(web_, all_but("10.7.0.1"));
  EXPECT_EQ(access((pins_ + "/guard_out_" + std::to_string(cgroup_id(web_))).c_str(), F_OK), 0);
  stop();
  ASSERT_TRUE(remove_pins(pins_).has_value());
  EXPECT_NE(access(pins_.c_str(), F_OK), 0);
  EXPECT_EQ(run_in(web_, [&] { return tcp_exchange("10.7.0.1", server.port()); }), 0);
}

TEST_P(GuardLifetime, a_container_that_died_while_the_agent_was_away_leaves_no_guard) {
  const std::string gone = container("pod/gone");
  guard(gone, all_but(""));
  const std::string pin = pins_ + "/guard_in_" + std::to_string(cgroup_id(gone));
  stop();
  ASSERT_EQ(rmdir(gone.c_str()), 0);
  ASSERT_EQ(access(pin.c_str(), F_OK), 0);
  start();
  EXPECT_NE(access(pin.c_str(), F_OK), 0);
}

TEST_P(GuardLifetime, observation_goes_on_where_guards_cannot_be_loaded) {
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
