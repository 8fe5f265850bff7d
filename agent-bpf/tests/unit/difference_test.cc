// SPDX-License-Identifier: Apache-2.0
//
// What another generation has otherwise.
#include <gtest/gtest.h>

#include "policy.h"
#include "rule_sets.h"

namespace cellwall {
namespace {

using test::address;
using test::address_bytes;
using test::container;
using test::difference;
using test::kNode;
using test::rule_set;
using test::rule_sets;

class Difference : public ::testing::Test {
 protected:
  Difference() : policy_(*Policy::parse(rule_sets().SerializeAsString(), kNode)) {}

  Policy with(const v1::RuleSetDifference& made) {
    const auto payload = policy_.payload_with(made);
    EXPECT_TRUE(payload.has_value()) << payload.error().message;
    auto changed = Policy::parse(*payload, kNode);
    EXPECT_TRUE(changed.has_value()) << changed.error().message;
    return std::move(*changed);
  }

  Policy policy_;
};

TEST_F(Difference, of_nothing_is_all_of_before_as_another_generation) {
  const Policy changed = with(difference());
  EXPECT_EQ(changed.generation(), 4U);
  EXPECT_EQ(changed.revision(), 6U);
  EXPECT_EQ(changed.match(container("nginx")), policy_.match(container("nginx")));
  EXPECT_EQ(changed.kernel_policy().rules.peers.size(), policy_.kernel_policy().rules.peers.size());
  EXPECT_EQ(changed.kernel_policy().addresses.size(), 1U);
}

TEST_F(Difference, replaces_adds_and_removes_rule_sets) {
  v1::RuleSetDifference made = difference();
  v1::RuleSet refusing = rule_set(1, {0});
  refusing.mutable_ports(0)->set_verdict(v1::VERDICT_DENIED);
  *made.add_rule_sets() = refusing;
  *made.add_rule_sets() = rule_set(9, {0, 1, 2});
  made.add_removed_rule_sets(4);
  const Policy changed = with(made);
  EXPECT_EQ(changed.match(container("nginx", "db")).rule_set, 9U);
  EXPECT_TRUE(changed.match(container("nginx")).partial) << "rule set 4 is gone";
  const KernelRules rules = changed.kernel_policy().rules;
  EXPECT_EQ(rules.peers.size(), 8U) << "of rule sets 1, 2, 3 and 9, both directions";
  int refused = 0;
  for (const auto& port : rules.ports) refused += port.verdict == v1::VERDICT_DENIED ? 1 : 0;
  EXPECT_EQ(refused, 1);
}

TEST_F(Difference, replaces_adds_and_removes_addresses) {
  v1::RuleSetDifference made = difference();
  *made.add_addresses() = address(1, 8);
  *made.add_addresses() = address(2, 9);
  EXPECT_EQ(with(made).kernel_policy().addresses.size(), 2U);
  EXPECT_EQ(
      with(made).kernel_policy().addresses[0].identity + with(made).kernel_policy().addresses[1].identity,
      17U);
  v1::RuleSetDifference less = difference();
  less.add_removed_addresses(address_bytes(1));
  EXPECT_TRUE(with(less).kernel_policy().addresses.empty());
}

TEST_F(Difference, has_its_selectors_in_place_of_those_of_before) {
  v1::RuleSetDifference made = difference();
  *made.mutable_policies() = rule_sets().policies();
  made.mutable_policies(1)->set_containers(0, "envoy");
  const Policy changed = with(made);
  EXPECT_EQ(changed.match(container("envoy")).rule_set, 4U);
  EXPECT_EQ(changed.match(container("nginx")).rule_set, 1U);
}

TEST_F(Difference, from_anything_else_is_refused) {
  v1::RuleSetDifference made = difference();
  made.set_base_revision(4);
  EXPECT_EQ(
      policy_.payload_with(made).error().message,
      "a difference from revision 4 of generation 3 does not fit revision 5 of generation 3, which is in "
      "force: all rule sets have to be sent");
  made = difference();
  made.set_base_generation(2);
  EXPECT_FALSE(policy_.payload_with(made).has_value());
  ASSERT_TRUE(policy_.prepare(test::amendment()).has_value());
  EXPECT_FALSE(policy_.payload_with(difference()).has_value()) << "the kernel may have half of the amendment";
}

}  // namespace
}  // namespace cellwall
