// SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "fixture.h"
#include "sockets.h"

namespace cellwall::test {
namespace {

class Lifetime : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(, Lifetime, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(Lifetime, enforcement_and_events_go_on_without_an_agent) {
  start();
  const std::string web = container("web");
  Server db(SOCK_STREAM, "10.7.0.1"), other(SOCK_STREAM, "10.7.0.2");
  enforce(web, {peer("::", 0, kClassAllow), peer("10.7.0.1", 32, kClassDeny)}, allow_and_deny_classes());
  EXPECT_FALSE(kernel_->adopted());
  const uint32_t ring = kernel_->ring_id();
  stop();
  EXPECT_EQ(run_in(web, [&] { return tcp_exchange("10.7.0.1", db.port()); }), EPERM);
  EXPECT_EQ(run_in(web, [&] { return tcp_exchange("10.7.0.2", other.port()); }), 0);
  start();
  EXPECT_TRUE(kernel_->adopted());
  EXPECT_EQ(kernel_->ring_id(), ring);
  EXPECT_EQ(kernel_->generation(), 1U);
  EXPECT_EQ(events().size(), 2U);
  EXPECT_EQ(run_in(web, [&] { return tcp_exchange("10.7.0.1", db.port()); }), EPERM);
  ASSERT_TRUE(kernel_->set_subject({.cgroup = cgroup_id(web), .directory = web}).has_value());
  EXPECT_EQ(run_in(web, [&] { return tcp_exchange("10.7.0.1", db.port()); }), 0);
}

TEST_P(Lifetime, an_agent_that_ended_leaves_unreleased_events_to_the_next) {
  start();
  const std::string web = container("web");
  Server db(SOCK_STREAM, "10.7.0.1");
  for (int i = 0; i < 5; i++) run_in(web, [&] { return tcp_exchange("10.7.0.1", db.port()); });
  std::vector<uint64_t> first;
  kernel_->ring().read(SIZE_MAX, [&](const cw_event&, uint64_t index) { first.push_back(index); });
  ASSERT_EQ(first, (std::vector<uint64_t>{1, 2, 3, 4, 5}));
  kernel_->ring().release(2);
  stop();
  start();
  std::vector<uint64_t> second;
  kernel_->ring().read(SIZE_MAX, [&](const cw_event&, uint64_t index) { second.push_back(index); });
  EXPECT_EQ(second, (std::vector<uint64_t>{3, 4, 5}));
}

TEST_P(Lifetime, programs_are_replaced_without_a_leak) {
  start();
  const std::string web = container("web");
  Server db(SOCK_STREAM, "10.7.0.1");
  enforce(web, {peer("::", 0, kClassDeny)}, allow_and_deny_classes());
  int attempts = 0;
  const int leaked = fails_while(
      web, [&] { return tcp_exchange("10.7.0.1", db.port()) == EPERM; },
      [&] {
        for (int i = 0; i < 11; i++) {
          stop();
          start();
        }
      },
      &attempts);
  EXPECT_EQ(leaked, 0);
  EXPECT_GT(attempts, 1000);
}

TEST_P(Lifetime, what_the_ring_has_no_room_for_is_counted) {
  start([](KernelOptions& options) { options.ring_bytes = 4096; });
  const std::string web = container("web");
  EXPECT_EQ(run_in(web,
                   [] {
                     for (int i = 0; i < 101; i++) tcp_exchange("127.0.0.1", 9);
                     return 0;
                   }),
            0);
  const size_t stored = events().size();
  EXPECT_EQ(stored, 4096U / 160);
  EXPECT_EQ(kernel_->counters()[CW_COUNT_RING_FULL], 101 - stored);
  EXPECT_EQ(kernel_->ring().newest_index(), stored);
  EXPECT_EQ(run_in(web, [] { return tcp_exchange("127.0.0.1", 9); }), ECONNREFUSED);
  EXPECT_EQ(events().size(), 1U) << "the ring goes on once there is room";
}

TEST_P(Lifetime, births_and_deaths_of_cgroups_are_told_with_their_path) {
  start();
  const std::string web = container("pod/web");
  const uint64_t id = cgroup_id(web);
  ASSERT_EQ(rmdir(web.c_str()), 0);
  std::vector<cw_lifecycle> told;
  kernel_->read_lifecycle([&](const cw_lifecycle& record) { told.push_back(record); });
  ASSERT_EQ(told.size(), 3U);
  EXPECT_EQ(told[1].cgroup, id);
  EXPECT_EQ(told[1].born, 1);
  EXPECT_EQ(cgroup2_mount() + told[1].path, web);
  EXPECT_EQ(told[2].cgroup, id);
  EXPECT_EQ(told[2].born, 0);
}

TEST_P(Lifetime, uninstall_ends_enforcement_and_leaves_nothing) {
  start();
  const std::string web = container("web");
  Server db(SOCK_STREAM, "10.7.0.1");
  enforce(web, {peer("::", 0, kClassDeny)}, allow_and_deny_classes());
  EXPECT_EQ(run_in(web, [&] { return tcp_exchange("10.7.0.1", db.port()); }), EPERM);
  ASSERT_TRUE(kernel_->uninstall().has_value());
  stop();
  // The kernel takes links down in a worker of its own.
  int code = EPERM;
  for (int i = 0; i < 100 && code == EPERM; i++) {
    usleep(10000);
    code = run_in(web, [&] { return tcp_exchange("10.7.0.1", db.port()); });
  }
  EXPECT_EQ(code, 0);
  EXPECT_NE(access(pins_.c_str(), F_OK), 0);
  EXPECT_TRUE(remove_pins(pins_).has_value()) << "a second time is no error";
}

class BadOptions : public KernelTest {
 protected:
  std::string error_of(const std::function<void(KernelOptions&)>& change) {
    KernelOptions options;
    options.cgroup = root_;
    options.pin_directory = pins_;
    options.ring_bytes = 4096;
    change(options);
    const auto opened = Kernel::open(options);
    EXPECT_NE(access((pins_ + "/link_cw_connect4").c_str(), F_OK), 0) << "a refused start left a link behind";
    return opened ? "" : opened.error().message;
  }
};
INSTANTIATE_TEST_SUITE_P(, BadOptions, ::testing::Values(false));

TEST_P(BadOptions, names_what_is_wrong_with_the_attach_point) {
  EXPECT_NE(error_of([](auto& options) { options.cgroup = cgroup2_mount(); }).find("is the root cgroup"),
            std::string::npos);
  EXPECT_NE(error_of([](auto& options) { options.cgroup = "/tmp"; }).find("not on a cgroup v2"),
            std::string::npos);
  EXPECT_NE(error_of([](auto& options) { options.cgroup = "/nowhere"; }).find("No such file"),
            std::string::npos);
  EXPECT_NE(error_of([](auto& options) { options.cgroup = ""; }).find("--cgroup"), std::string::npos);
  EXPECT_NE(
      error_of([this](auto& options) { options.cgroup = root_ + "/cgroup.procs"; }).find("not a directory"),
      std::string::npos);
}

TEST_P(BadOptions, names_a_pin_directory_that_is_not_on_a_bpffs) {
  EXPECT_NE(
      error_of([](auto& options) { options.pin_directory = "/tmp/cellwall-no-bpffs"; }).find("mount -t bpf"),
      std::string::npos);
}

TEST_P(BadOptions, refuses_pins_that_belong_to_another_attach_point) {
  start();
  stop();
  const std::string other = container("other");
  KernelOptions options;
  options.cgroup = other;
  options.pin_directory = pins_;
  const auto opened = Kernel::open(options);
  ASSERT_FALSE(opened.has_value());
  EXPECT_NE(opened.error().message.find("another cgroup"), std::string::npos) << opened.error().message;
  EXPECT_EQ(access((pins_ + "/link_cw_connect4").c_str(), F_OK), 0) << "what was enforced must stay";
}

}  // namespace
}  // namespace cellwall::test
