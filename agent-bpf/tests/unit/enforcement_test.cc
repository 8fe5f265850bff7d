// SPDX-License-Identifier: Apache-2.0
//
// What is in force for containers, generation by generation.
#include <unistd.h>

#include <fstream>

#include "clock.h"
#include "enforcement_fixture.h"
#include "looked_up.h"

namespace cellwall::test {
namespace {

using namespace std::chrono_literals;

using EnforcementOf = EnforcementTest;

TEST_F(EnforcementOf, a_generation_brings_all_containers_with_their_directories) {
  start();
  born(kWeb);
  name(kWeb, "nginx");
  EXPECT_EQ(kernel_.set_calls, 0U) << "no generation yet";
  take(rule_sets());
  const KernelSubject& subject = kernel_.subjects.at(kWeb);
  EXPECT_EQ(subject.rule_set, 4U);
  EXPECT_EQ(subject.flags, static_cast<uint32_t>(CW_SUBJECT_GUARDED));
  EXPECT_EQ(subject.directory, "/cgroup/70");
  const v1::Applied applied = enforcement_->applied();
  EXPECT_EQ(applied.generation(), 3U);
  EXPECT_EQ(applied.revision(), 5U);
  EXPECT_EQ(applied.containers(), 1U);
  EXPECT_EQ(applied.digest(), update(rule_sets()).digest());
}

TEST_F(EnforcementOf, containers_that_are_born_later_get_theirs_as_soon_as_they_are_named) {
  start();
  take(rule_sets());
  born(kWeb);
  EXPECT_EQ(kernel_.subjects.at(kWeb).rule_set, 0U);
  EXPECT_EQ(kernel_.subjects.at(kWeb).flags, 0U) << "startup: allow";
  name(kWeb, "nginx");
  EXPECT_EQ(kernel_.subjects.at(kWeb).rule_set, 4U);
  enforcement_->died(kWeb);
  EXPECT_TRUE(kernel_.subjects.empty());
}

TEST_F(EnforcementOf, addresses_that_a_runtime_tells_later_are_put_in_force) {
  start();
  take(rule_sets());
  born(kWeb);
  name(kWeb, "nginx");
  EXPECT_TRUE(kernel_.subjects.at(kWeb).addresses.empty());
  name(kWeb, "nginx", "web", {"10.7.0.1"});
  EXPECT_EQ(kernel_.subjects.at(kWeb).addresses, std::vector<Address>{*parse_address("10.7.0.1")});
}

TEST_F(EnforcementOf, older_rule_sets_are_refused_by_what_the_kernel_has_when_the_file_is_lost) {
  start();
  take(rule_sets());
  std::filesystem::remove(directory_ + "/rule-sets");
  kernel_.first_generation = 3;
  start();
  v1::RuleSets older = rule_sets();
  older.set_generation(2);
  const auto refused = enforcement_->take(update(older));
  ASSERT_FALSE(refused.has_value());
  EXPECT_TRUE(refused.error().message.contains("generation 2 is older than 3")) << refused.error().message;
  EXPECT_EQ(enforcement_->applied().generation(), 3U);
}

TEST_F(EnforcementOf, older_rule_sets_are_taken_once_from_another_store) {
  start();
  take(rule_sets());
  v1::RuleSets older = rule_sets();
  older.set_generation(1);
  enforcement_->expect_other_store();
  take(older);
  EXPECT_EQ(kernel_.applied.back().generation, 1U);
}

TEST_F(EnforcementOf, a_damaged_or_older_policy_leaves_the_one_in_force) {
  start();
  take(rule_sets());
  v1::RuleSetUpdate damaged = update(rule_sets());
  damaged.mutable_payload()->back() ^= 1;
  EXPECT_NE(enforcement_->take(damaged).error().message.find("damaged"), std::string::npos);
  v1::RuleSets older = rule_sets();
  older.set_generation(2);
  EXPECT_NE(enforcement_->take(update(older)).error().message.find("older"), std::string::npos);
  v1::RuleSets wrong = rule_sets();
  wrong.mutable_rule_sets(0)->clear_peers();
  EXPECT_FALSE(enforcement_->take(update(wrong)).has_value());
  kernel_.refuses = "full";
  v1::RuleSets next = rule_sets();
  next.set_generation(4);
  EXPECT_FALSE(enforcement_->take(update(next)).has_value());
  EXPECT_EQ(enforcement_->applied().generation(), 3U);
  EXPECT_EQ(kernel_.applied.size(), 1U);
}

TEST_F(EnforcementOf, the_same_rule_sets_again_are_applied_only_after_an_amendment) {
  start();
  take(rule_sets());
  take(rule_sets());
  EXPECT_EQ(kernel_.applied.size(), 1U);
  ASSERT_TRUE(enforcement_->take(amendment()).has_value());
  EXPECT_EQ(enforcement_->applied().revision(), 6U);
  take(rule_sets());
  EXPECT_EQ(kernel_.applied.size(), 2U);
  EXPECT_EQ(enforcement_->applied().revision(), 5U);
}

TEST_F(EnforcementOf, a_difference_is_applied_as_a_whole_and_kept_for_the_next_start) {
  start();
  take(rule_sets());
  ASSERT_TRUE(enforcement_->take(difference()).has_value());
  EXPECT_EQ(kernel_.applied.size(), 2U);
  EXPECT_EQ(kernel_.applied.back().generation, 4U);
  EXPECT_EQ(enforcement_->applied().generation(), 4U);
  EXPECT_FALSE(enforcement_->take(difference()).has_value()) << "it is from generation 3";
  EXPECT_EQ(enforcement_->applied().generation(), 4U);
  start();
  EXPECT_EQ(enforcement_->applied().generation(), 4U);
}

TEST_F(EnforcementOf, a_difference_before_any_rule_sets_is_refused) {
  start();
  EXPECT_FALSE(enforcement_->take(difference()).has_value());
}

TEST_F(EnforcementOf, an_amendment_gives_a_partly_covered_container_the_rest) {
  start();
  take(rule_sets());
  born(kWeb);
  name(kWeb, "nginx", "db");
  EXPECT_EQ(kernel_.subjects.at(kWeb).rule_set, 4U);
  EXPECT_EQ(counter("containers_partially_covered"), 1U);
  v1::RuleSetAmendment made = amendment();
  *made.add_rule_sets() = rule_set(5, {0, 1, 2});
  ASSERT_TRUE(enforcement_->take(made).has_value());
  EXPECT_EQ(kernel_.amended.size(), 1U);
  EXPECT_EQ(kernel_.subjects.at(kWeb).rule_set, 5U);
  EXPECT_EQ(counter("containers_partially_covered"), 0U);
  EXPECT_EQ(counter("policy_revision"), 6U);
}

TEST_F(EnforcementOf, an_amendment_that_brings_names_tells_the_kernel_to_look_for_them) {
  start();
  take(rule_sets());
  born(kWeb);
  name(kWeb, "malware");
  v1::RuleSetAmendment made = amendment();
  made.add_additions()->set_id(1);
  made.mutable_additions(0)->add_names()->set_name("a.example");
  made.mutable_additions(0)->mutable_names(0)->set_class_(1);
  ASSERT_TRUE(enforcement_->take(made).has_value());
  EXPECT_TRUE(kernel_.subjects.at(kWeb).flags & CW_SUBJECT_NAMES);
}

TEST_F(EnforcementOf, what_a_container_looked_up_before_its_rules_had_the_name_is_taught) {
  const auto with_name = [](uint64_t base, const std::string& name) {
    v1::RuleSetAmendment made = amendment();
    made.set_base_revision(base);
    made.set_revision(base + 1);
    made.add_additions()->set_id(1);
    made.mutable_additions(0)->add_names()->set_name(name);
    made.mutable_additions(0)->mutable_names(0)->set_class_(1);
    return made;
  };
  // This process is the container's.
  cgroups_ = directory_;
  std::filesystem::create_directory(directory_ + "/70");
  std::ofstream(directory_ + "/70/cgroup.procs") << getpid() << "\n";
  start();
  take(rule_sets());
  born(kWeb);
  name(kWeb, "malware");
  ASSERT_TRUE(enforcement_->take(with_name(5, "a.example")).has_value());
  ASSERT_FALSE(kernel_.resolvers.empty());
  const KernelResolver& resolver = kernel_.resolvers[0];
  names_.add(kWeb, answer("b.example", {v4(34)}), boot_now_ns(),
             {.server = resolver.address,
              .net = kernel_.subjects.at(kWeb).net,
              .loopback = is_loopback(resolver.address)});
  names_.add(kOther, answer("b.example", {v4(34)}), boot_now_ns());
  EXPECT_TRUE(kernel_.taught.empty());
  ASSERT_TRUE(enforcement_->take(with_name(6, "b.example")).has_value());
  ASSERT_EQ(kernel_.taught.size(), 1U);
  EXPECT_EQ(kernel_.taught[0].container, kWeb);
  EXPECT_EQ(kernel_.taught[0].name, "b.example");
}

TEST_F(EnforcementOf, after_an_amendment_that_failed_all_rule_sets_are_needed) {
  start();
  EXPECT_FALSE(enforcement_->take(amendment()).has_value()) << "before any rule sets";
  take(rule_sets());
  kernel_.refuses = "no room for another address";
  EXPECT_EQ(enforcement_->take(amendment()).error().message, "no room for another address");
  kernel_.refuses = "";
  EXPECT_FALSE(enforcement_->take(amendment()).has_value());
  EXPECT_EQ(enforcement_->applied().revision(), 5U);
  take(rule_sets());
  EXPECT_EQ(kernel_.applied.size(), 2U);
  EXPECT_TRUE(enforcement_->take(amendment()).has_value());
}

TEST_F(EnforcementOf, amendments_are_in_the_file_within_a_second_and_at_the_stop) {
  const auto saved = [&] {
    return Policy::parse(*StateFile(directory_ + "/rule-sets").load(), kNode)->revision();
  };
  start();
  take(rule_sets());
  EXPECT_EQ(saved(), 5U);
  v1::RuleSetAmendment made = amendment();
  ASSERT_TRUE(enforcement_->take(made).has_value());
  tick(0s);
  EXPECT_EQ(saved(), 6U);
  made.set_base_revision(6);
  made.set_revision(7);
  ASSERT_TRUE(enforcement_->take(made).has_value());
  tick(500ms);
  EXPECT_EQ(saved(), 6U) << "once a second";
  tick(500ms);
  EXPECT_EQ(saved(), 7U);
  made.set_base_revision(7);
  made.set_revision(8);
  ASSERT_TRUE(enforcement_->take(made).has_value());
  enforcement_->stop();
  EXPECT_EQ(saved(), 8U);
  const size_t before = kernel_.applied.size();
  start();
  EXPECT_EQ(kernel_.applied.size(), before + 1);
  EXPECT_EQ(enforcement_->applied().revision(), 8U);
}

TEST_F(EnforcementOf, connections_are_cut_once_per_change_and_not_more_than_once_per_pause) {
  start();
  tick(1s);
  EXPECT_EQ(kernel_.cuts, 0U);
  take(rule_sets());
  tick(1s);
  tick(1s);
  EXPECT_EQ(kernel_.cuts, 1U);
  EXPECT_EQ(counter("connections_cut"), 2U);
  born(kWeb);
  tick(1s);
  EXPECT_EQ(kernel_.cuts, 1U) << "nothing is refused to it";
  name(kWeb, "nginx");
  tick(1s);
  EXPECT_EQ(kernel_.cuts, 2U);
  name(kWeb, "malware");
  tick(1s);
  EXPECT_EQ(kernel_.cuts, 3U) << "renamed";
  ASSERT_TRUE(enforcement_->take(amendment()).has_value());
  tick(1s);
  EXPECT_EQ(kernel_.cuts, 4U);
  name(kWeb, "nginx");
  tick(10ms);
  EXPECT_EQ(kernel_.cuts, 4U) << "the last one was just now";
  tick(100ms);
  EXPECT_EQ(kernel_.cuts, 5U);
}

TEST_F(EnforcementOf, what_the_kernel_did_not_take_is_tried_again) {
  set_log_level(static_cast<LogLevel>(9));
  start();
  take(rule_sets());
  tick(1s);
  kernel_.refuses = "no room for another container";
  born(kWeb);
  name(kWeb, "nginx");
  tick(1s);
  EXPECT_EQ(counter("containers_policy_failed"), 1U);
  EXPECT_FALSE(kernel_.subjects.contains(kWeb));
  kernel_.refuses = "";
  tick(1s);
  EXPECT_EQ(counter("containers_policy_failed"), 0U);
  EXPECT_EQ(kernel_.subjects.at(kWeb).rule_set, 4U);
}

TEST_F(EnforcementOf, observes_what_is_named_only) {
  start();
  v1::RuleSets sets = rule_sets();
  auto* observing = sets.add_policies();
  observing->set_index(3);
  observing->set_namespace_("shop");
  observing->set_observe_names(true);
  born(kWeb);
  take(sets);
  EXPECT_TRUE(kernel_.observed.empty());
  name(kWeb, "nginx");
  EXPECT_TRUE(kernel_.observed.at(kWeb).names);
  enforcement_->died(kWeb);
  EXPECT_TRUE(kernel_.observed.empty());
}

}  // namespace
}  // namespace cellwall::test
