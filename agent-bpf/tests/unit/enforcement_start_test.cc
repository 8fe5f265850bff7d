// SPDX-License-Identifier: Apache-2.0
//
// Containers that nobody has named yet, and agents that have just started.
#include "clock.h"
#include "enforcement_fixture.h"

namespace cellwall::test {
namespace {

using namespace std::chrono_literals;

using EnforcementAtStart = EnforcementTest;

TEST_F(EnforcementAtStart, startup_deny_refuses_what_is_not_named_and_ends_with_its_name) {
  start(Startup::kDeny);
  take(rule_sets());
  born(kWeb);
  EXPECT_EQ(kernel_.subjects.at(kWeb).flags, static_cast<uint32_t>(CW_SUBJECT_STARTUP));
  EXPECT_EQ(counter("containers_refused_at_startup"), 1U);
  tick(1h);
  EXPECT_EQ(kernel_.subjects.at(kWeb).flags, static_cast<uint32_t>(CW_SUBJECT_STARTUP)) << "no limit in time";
  name(kWeb, "nginx");
  EXPECT_EQ(kernel_.subjects.at(kWeb).rule_set, 4U);
  EXPECT_EQ(kernel_.subjects.at(kWeb).flags, static_cast<uint32_t>(CW_SUBJECT_GUARDED));
  EXPECT_EQ(counter("containers_refused_at_startup"), 0U);
}

TEST_F(EnforcementAtStart, startup_deny_ends_also_for_what_no_policy_selects) {
  start(Startup::kDeny);
  v1::RuleSets sets = rule_sets();
  sets.mutable_policies(0)->add_containers("somebody-else");
  take(sets);
  born(kWeb);
  name(kWeb, "sidecar");
  EXPECT_EQ(kernel_.subjects.at(kWeb).rule_set, 0U);
  EXPECT_EQ(kernel_.subjects.at(kWeb).flags, 0U);
}

TEST_F(EnforcementAtStart, startup_deny_does_not_take_a_guess_for_a_name) {
  start(Startup::kDeny);
  take(rule_sets());
  containers_.born({.id = kWeb, .path = "/70", .identity = {"docker", "70", "", 0}}, now_);
  ASSERT_NE(containers_.all().at(kWeb).name(), "");
  enforcement_->born(kWeb, 0, now_);
  EXPECT_EQ(kernel_.subjects.at(kWeb).flags, static_cast<uint32_t>(CW_SUBJECT_STARTUP));
  name(kWeb, "nginx");
  EXPECT_EQ(kernel_.subjects.at(kWeb).rule_set, 4U);
}

TEST_F(EnforcementAtStart, startup_deny_holds_across_generations) {
  start(Startup::kDeny);
  take(rule_sets());
  born(kWeb);
  v1::RuleSets next = rule_sets();
  next.set_generation(4);
  take(next);
  EXPECT_EQ(kernel_.subjects.at(kWeb).flags, static_cast<uint32_t>(CW_SUBJECT_STARTUP));
}

TEST_F(EnforcementAtStart, startup_deny_begins_with_the_first_generation) {
  start(Startup::kDeny);
  born(kWeb);
  EXPECT_TRUE(kernel_.subjects.empty());
  take(rule_sets());
  EXPECT_EQ(kernel_.subjects.at(kWeb).flags, static_cast<uint32_t>(CW_SUBJECT_STARTUP));
}

TEST_F(EnforcementAtStart, a_restart_keeps_what_is_in_force_for_what_it_cannot_name) {
  for (Startup startup : {Startup::kAllow, Startup::kDeny}) {
    start(startup);
    take(rule_sets());
    born(kWeb);
    name(kWeb, "nginx");
    // The next agent finds the container without a name.
    containers_ = Containers();
    enforcement_.reset();
    born(kWeb);
    born(kOther);
    start(startup);
    EXPECT_EQ(kernel_.applied.size(), 2U) << "as a whole";
    EXPECT_EQ(kernel_.subjects.at(kWeb).rule_set, 4U);
    EXPECT_EQ(kernel_.subjects.at(kWeb).flags, static_cast<uint32_t>(CW_SUBJECT_GUARDED));
    EXPECT_EQ(kernel_.subjects.at(kWeb).directory, "/cgroup/70") << "for its guard";
    EXPECT_EQ(kernel_.subjects.at(kOther).flags,
              startup == Startup::kDeny ? uint32_t{CW_SUBJECT_STARTUP} : 0U);
    EXPECT_EQ(enforcement_->applied().containers(), 1U);
    name(kWeb, "malware");
    EXPECT_EQ(kernel_.subjects.at(kWeb).rule_set, 1U);
    kernel_ = FakeKernel();
    containers_ = Containers();
    enforcement_.reset();
    std::filesystem::remove(directory_ + "/rule-sets");
  }
}

TEST_F(EnforcementAtStart, without_a_saved_policy_what_is_in_force_stays) {
  kernel_.first_generation = 9;
  kernel_.subjects[kWeb] = {.cgroup = kWeb, .rule_set = 2, .flags = CW_SUBJECT_GUARDED, .directory = ""};
  born(kWeb);
  born(kOther);
  start(Startup::kDeny);
  EXPECT_TRUE(kernel_.applied.empty());
  EXPECT_EQ(kernel_.subjects.at(kWeb).rule_set, 2U);
  EXPECT_EQ(kernel_.subjects.at(kOther).flags, static_cast<uint32_t>(CW_SUBJECT_STARTUP));
}

TEST_F(EnforcementAtStart, what_a_recalled_container_may_do_is_known) {
  start(Startup::kDeny);
  take(rule_sets());
  enforcement_.reset();
  born(kWeb);
  v1::Container known = containers_.all().at(kWeb);
  known.set_name("nginx");
  known.set_namespace_("shop");
  known.set_pod("web-1");
  containers_.recall(known);
  start(Startup::kDeny);
  EXPECT_EQ(kernel_.subjects.at(kWeb).rule_set, 4U);
}

TEST_F(EnforcementAtStart, says_how_long_a_new_container_was_without_its_policy) {
  start();
  take(rule_sets());
  born(kWeb, boot_now_ns() - 40'000'000);
  EXPECT_EQ(counter("startup_policy_us"), 0U) << "not yet";
  name(kWeb, "nginx");
  EXPECT_GE(counter("startup_policy_us"), 40'000U);
  EXPECT_LT(counter("startup_policy_us"), 10'000'000U);
  born(kOther, boot_now_ns());
  name(kOther, "nginx");
  EXPECT_LT(counter("startup_policy_us"), 40'000U);
  EXPECT_GE(counter("startup_policy_longest_us"), 40'000U);
}

}  // namespace
}  // namespace cellwall::test
