// SPDX-License-Identifier: Apache-2.0
//
// What containers and addresses that came or went change within a generation.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "policy.h"
#include "rule_sets.h"

namespace cellwall {
namespace {

using test::address;
using test::amendment;
using test::container;
using test::kNode;
using test::rule_set;
using test::rule_sets;

class Amendment : public ::testing::Test {
 protected:
  Amendment() : policy_(*Policy::parse(rule_sets().SerializeAsString(), kNode)) {}

  KernelAmendment take(const v1::RuleSetAmendment& made) {
    const auto changes = policy_.prepare(made);
    EXPECT_TRUE(changes.has_value()) << changes.error().message;
    policy_.commit(made);
    return *changes;
  }

  std::string error_of(const std::function<void(v1::RuleSetAmendment&)>& change) {
    v1::RuleSetAmendment made = amendment();
    change(made);
    const auto changes = policy_.prepare(made);
    return changes ? "" : changes.error().message;
  }

  Policy policy_;
};

v1::RuleSetAmendment with_identity(uint32_t class_id) {
  v1::RuleSetAmendment made = amendment();
  auto* set = made.add_additions();
  set->set_id(1);
  test::add_identity(set, 8, class_id);
  return made;
}

TEST_F(Amendment, gives_the_kernel_only_what_is_new) {
  v1::RuleSetAmendment made = with_identity(1);
  *made.add_rule_sets() = rule_set(5, {0, 1, 2});
  *made.add_addresses() = address(2, 8);
  made.add_removed_addresses(test::address_bytes(1));
  const KernelAmendment changes = take(made);
  EXPECT_EQ(changes.rules.peers.size(), 2U) << "of the new rule set, both directions";
  EXPECT_EQ(changes.rules.ports.size(), 1U);
  ASSERT_EQ(changes.rules.identities.size(), 1U);
  EXPECT_EQ(changes.rules.identities[0].rule_set, 1U);
  ASSERT_EQ(changes.addresses.size(), 1U);
  EXPECT_EQ(changes.addresses[0].identity, 8U);
  EXPECT_EQ(changes.removed_addresses.size(), 1U);
  EXPECT_EQ(policy_.revision(), 6U);
  EXPECT_EQ(policy_.match(container("nginx", "db")).rule_set, 5U);
  EXPECT_FALSE(policy_.match(container("nginx", "db")).partial);
}

TEST_F(Amendment, keeps_the_numbers_of_classes_that_are_in_force) {
  const KernelRules before = policy_.kernel_policy().rules;
  const auto class_of = [&](uint32_t set) {
    return std::find_if(before.peers.begin(), before.peers.end(),
                        [&](auto& it) { return it.rule_set == set; })
        ->class_id;
  };
  EXPECT_EQ(take(with_identity(1)).rules.identities[0].class_id, class_of(1)) << "a known class";
  v1::RuleSetAmendment made = amendment();
  made.set_base_revision(6);
  made.set_revision(7);
  auto* set = made.add_additions();
  set->set_id(1);
  test::add_identity(set, 9, 2);
  test::add_port(set, 2, v1::VERDICT_DENIED);
  const KernelAmendment changes = take(made);
  const uint32_t fresh = changes.rules.ports.at(0).class_id;
  EXPECT_EQ(changes.rules.identities[0].class_id, fresh);
  for (const auto& port : before.ports) EXPECT_NE(port.class_id, fresh) << "a number is given once";
}

TEST_F(Amendment, out_of_order_is_refused_with_both_revisions) {
  for (const auto& [base, revision] : {std::pair(4, 5), std::pair(6, 7), std::pair(5, 5), std::pair(5, 4)}) {
    const std::string error = error_of([&](auto& it) {
      it.set_base_revision(static_cast<uint64_t>(base));
      it.set_revision(static_cast<uint64_t>(revision));
    });
    EXPECT_NE(error.find("from revision " + std::to_string(base) + " of generation 3"), std::string::npos)
        << error;
    EXPECT_NE(error.find("revision 5 of generation 3, which is in force"), std::string::npos) << error;
  }
  EXPECT_NE(error_of([](auto& it) { it.set_generation(4); }), "");
  EXPECT_EQ(policy_.revision(), 5U);
  take(amendment());
  EXPECT_NE(error_of([](auto&) {}), "") << "the same one again";
}

TEST_F(Amendment, that_the_kernel_did_not_take_ends_amending) {
  ASSERT_TRUE(policy_.prepare(with_identity(1)).has_value());
  EXPECT_NE(error_of([](auto&) {}).find("all rule sets have to be sent"), std::string::npos);
  EXPECT_EQ(policy_.revision(), 5U);
  EXPECT_EQ(policy_.kernel_policy().rules.identities.size(), 0U) << "not kept";
}

TEST_F(Amendment, may_skip_revisions) {
  v1::RuleSetAmendment made = amendment();
  made.set_revision(9);
  take(made);
  EXPECT_EQ(policy_.revision(), 9U);
}

TEST_F(Amendment, that_changes_what_is_in_force_is_refused) {
  const struct {
    const char* says;
    std::function<void(v1::RuleSetAmendment&)> damage;
  } kCases[] = {
      {"policies cannot change",
       [](auto& it) {
         it.add_additions()->set_id(1);
         it.mutable_additions(0)->add_policies(0);
       }},
      {"rule set 9, which is not there", [](auto& it) { it.add_additions()->set_id(9); }},
      {"twice",
       [](auto& it) {
         it.add_additions()->set_id(1);
         it.add_additions()->set_id(1);
       }},
      {"rule set 1 is there already",
       [](auto& it) {
         *it.add_rule_sets() = rule_set(1, {0, 2});
       }},
      {"rule set 6 is the second",
       [](auto& it) {
         *it.add_rule_sets() = rule_set(6, {0, 1});
       }},
      {"rule set 7 is the second",
       [](auto& it) {
         *it.add_rule_sets() = rule_set(6, {0, 2});
         *it.add_rule_sets() = rule_set(7, {0, 2});
       }},
      {"class 1 already",
       [](auto& it) {
         it.add_additions()->set_id(1);
         test::add_port(it.mutable_additions(0), 1, v1::VERDICT_DENIED);
       }},
      {"identity whose class",
       [](auto& it) {
         it.add_additions()->set_id(1);
         test::add_identity(it.mutable_additions(0), 3, 4);
       }},
      {"change the class",
       [](auto& it) {
         auto* set = it.add_additions();
         set->set_id(1);
         test::add_port(set, 2, v1::VERDICT_DENIED);
         auto* peer = set->add_peers();
         peer->set_network(std::string(16, '\0'));
         peer->set_direction(v1::DIRECTION_EGRESS);
         peer->set_class_(2);
       }},
      {"change the class",
       [](auto& it) {
         auto* set = it.add_additions();
         set->set_id(1);
         test::add_port(set, 2, v1::VERDICT_DENIED);
         test::add_identity(set, 3, 1);
         test::add_identity(set, 3, 2);
       }},
      {"every address",
       [](auto& it) {
         *it.add_rule_sets() = rule_set(6, {0, 2});
         it.mutable_rule_sets(0)->clear_peers();
       }},
      {"16 bytes", [](auto& it) { it.add_removed_addresses("x"); }},
      {"identity 0", [](auto& it) { *it.add_addresses() = address(1, 0); }},
  };
  for (const auto& it : kCases) {
    const std::string error = error_of(it.damage);
    EXPECT_NE(error.find(it.says), std::string::npos) << it.says << ": " << error;
  }
  take(amendment());  // none of them left a trace
}

TEST_F(Amendment, an_address_that_comes_again_is_not_removed) {
  v1::RuleSetAmendment made = amendment();
  *made.add_addresses() = address(1, 9);
  made.add_removed_addresses(test::address_bytes(1));
  made.add_removed_addresses(test::address_bytes(77));
  const KernelAmendment changes = take(made);
  EXPECT_TRUE(changes.removed_addresses.empty()) << "and what is not there needs no removal";
  ASSERT_EQ(policy_.kernel_policy().addresses.size(), 1U);
  EXPECT_EQ(policy_.kernel_policy().addresses[0].identity, 9U);
}

TEST_F(Amendment, is_part_of_what_is_kept_on_disk) {
  v1::RuleSetAmendment made = with_identity(1);
  *made.add_rule_sets() = rule_set(5, {0, 1, 2});
  made.mutable_additions(0)->add_names()->set_name("*.example.com");
  made.mutable_additions(0)->mutable_names(0)->set_class_(1);
  *made.add_addresses() = address(2, 8);
  made.add_removed_addresses(test::address_bytes(1));
  take(made);
  auto again = Policy::parse(policy_.payload(), kNode);
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(again->generation(), 3U);
  EXPECT_EQ(again->revision(), 6U);
  const KernelPolicy one = policy_.kernel_policy(), other = again->kernel_policy();
  EXPECT_EQ(one.rules.peers.size(), other.rules.peers.size());
  EXPECT_EQ(one.rules.ports.size(), other.rules.ports.size());
  EXPECT_EQ(other.rules.identities.size(), 1U);
  EXPECT_EQ(other.rules.names.size(), 1U);
  ASSERT_EQ(other.addresses.size(), 1U);
  EXPECT_EQ(other.addresses[0].identity, 8U);
  EXPECT_EQ(again->match(container("nginx", "db")).rule_set, 5U);
  EXPECT_TRUE(again->match(container("malware")).flags & CW_SUBJECT_NAMES);
}

TEST_F(Amendment, an_address_of_this_node_has_an_identity_of_its_own) {
  v1::RuleSetAmendment made = amendment();
  *made.add_addresses() = address(2, 8);
  made.mutable_addresses(0)->set_node(kNode);
  made.mutable_addresses(0)->set_own_identity(9);
  EXPECT_EQ(take(made).addresses.at(0).identity, 9U);
}

}  // namespace
}  // namespace cellwall
