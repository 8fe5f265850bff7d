// SPDX-License-Identifier: Apache-2.0
#include "wall_keeper.h"

#include <gtest/gtest.h>

#include "fake_kernel.h"

namespace cellwall::test {
namespace {

using namespace std::chrono_literals;

constexpr uint64_t kWeb = 70, kDatabase = 71, kSandbox = 72;

class WallKept : public ::testing::Test {
 protected:
  void born(uint64_t id, const std::string& name, uint32_t flags) {
    const std::string number = std::to_string(id);
    containers_.born({.id = id, .path = "/" + number, .identity = {"containerd", number, "uid", 0}}, now_);
    RuntimeContainer listed;
    listed.name = name;
    containers_.name({{number, listed}}, now_);
    kernel_.subjects[id] = {.cgroup = id, .rule_set = 1, .flags = flags, .directory = ""};
  }

  std::vector<WallKeeper::Told> tick(std::chrono::milliseconds later = 100ms) {
    now_ += later;
    return keeper_.tick(now_);
  }

  FakeKernel kernel_;
  Containers containers_;
  WallKeeper keeper_{kernel_, containers_, [](const std::string& path) { return "/cgroup" + path; }};
  WallKeeper::Time now_ = std::chrono::steady_clock::now();
};

TEST_F(WallKept, waits_until_containers_and_policy_are_known) {
  born(kWeb, "web", CW_SUBJECT_GUARDED);
  tick(1h);
  EXPECT_TRUE(kernel_.walls.empty()) << "what needs no wall would lose it";
  keeper_.changed();
  tick();
  ASSERT_EQ(kernel_.walls.size(), 1U);
  EXPECT_TRUE(kernel_.walls[0].again);
}

TEST_F(WallKept, says_who_is_guarded_and_leaves_sandboxes_out) {
  born(kWeb, "web", CW_SUBJECT_GUARDED);
  born(kDatabase, "database", CW_SUBJECT_NAMES);
  born(kSandbox, kSandboxName, 0);
  keeper_.changed();
  tick();
  ASSERT_EQ(kernel_.walls.size(), 1U);
  std::map<uint64_t, WallContainer> told;
  for (const WallContainer& one : kernel_.walls[0].containers) told[one.cgroup] = one;
  ASSERT_EQ(told.size(), 2U);
  EXPECT_TRUE(told.at(kWeb).guarded);
  EXPECT_EQ(told.at(kWeb).directory, "/cgroup/70");
  EXPECT_FALSE(told.at(kDatabase).guarded);
}

TEST_F(WallKept, what_is_refused_at_its_start_is_guarded) {
  born(kWeb, "web", CW_SUBJECT_STARTUP);
  keeper_.changed();
  tick();
  EXPECT_TRUE(kernel_.walls.at(0).containers.at(0).guarded);
}

TEST_F(WallKept, is_looked_after_at_each_change_and_as_a_whole_each_half_minute) {
  keeper_.changed();
  tick();
  tick();
  EXPECT_EQ(kernel_.walls.size(), 1U) << "nothing changed";
  keeper_.changed();
  tick();
  ASSERT_EQ(kernel_.walls.size(), 2U);
  EXPECT_FALSE(kernel_.walls[1].again) << "known devices were looked at just now";
  tick(30s);
  ASSERT_EQ(kernel_.walls.size(), 3U);
  EXPECT_TRUE(kernel_.walls[2].again);
}

TEST_F(WallKept, is_looked_after_at_each_tick_while_a_container_has_no_process) {
  kernel_.wall_report.pending = 1;
  keeper_.changed();
  tick();
  tick();
  tick();
  ASSERT_EQ(kernel_.walls.size(), 3U);
  EXPECT_FALSE(kernel_.walls[2].again);
  kernel_.wall_report.pending = 0;
  tick();
  tick();
  EXPECT_EQ(kernel_.walls.size(), 4U);
}

TEST_F(WallKept, tells_once_of_each_container_of_which_packets_go_past_it) {
  born(kWeb, "web", CW_SUBJECT_GUARDED);
  kernel_.wall_report.devices = 2;
  kernel_.wall_report.without = {{kWeb, "its pod sends through net1 (macvlan)"}};
  keeper_.changed();
  const auto told = tick();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].cgroup, kWeb);
  EXPECT_NE(told[0].message.find("net1 (macvlan)"), std::string::npos);
  EXPECT_EQ(keeper_.without(), 1U);
  EXPECT_EQ(keeper_.devices(), 2U);
  EXPECT_TRUE(tick(30s).empty());
  EXPECT_EQ(kernel_.walls.size(), 2U);
  // Its cgroup's number is given to another one.
  containers_.died(kWeb, now_);
  kernel_.wall_report.without.clear();
  EXPECT_TRUE(tick(30s).empty());
  EXPECT_EQ(keeper_.without(), 0U);
  born(kWeb, "other", CW_SUBJECT_GUARDED);
  kernel_.wall_report.without = {{kWeb, "it is in the node's network namespace"}};
  EXPECT_EQ(tick(30s).size(), 1U);
}

TEST_F(WallKept, tells_once_that_there_is_none) {
  kernel_.wall_report.devices = 1;
  keeper_.changed();
  tick();
  kernel_.refuses = "open the node's network namespace";
  const auto told = tick(30s);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].cgroup, 0U);
  EXPECT_NE(told[0].message.find("open the node's network namespace"), std::string::npos);
  EXPECT_TRUE(tick(30s).empty());
  kernel_.refuses.clear();
  EXPECT_TRUE(tick(30s).empty());
  kernel_.refuses = "open the node's network namespace";
  EXPECT_EQ(tick(30s).size(), 1U) << "it had been there again";
}

}  // namespace
}  // namespace cellwall::test
