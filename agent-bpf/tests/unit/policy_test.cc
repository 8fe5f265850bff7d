// SPDX-License-Identifier: Apache-2.0
#include "policy.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "rule_sets.h"

namespace cellwall {
namespace {

using test::address;
using test::amendment;
using test::container;
using test::kNode;
using test::rule_set;
using test::rule_sets;

Policy parse(const v1::RuleSets& made) {
  auto parsed = Policy::parse(made.SerializeAsString(), kNode);
  EXPECT_TRUE(parsed.has_value()) << parsed.error().message;
  return std::move(*parsed);
}

std::string error_of(const std::function<void(v1::RuleSets&)>& change) {
  v1::RuleSets made = rule_sets();
  change(made);
  const auto parsed = Policy::parse(made.SerializeAsString(), kNode);
  return parsed ? "" : parsed.error().message;
}

v1::PolicySelector peer_selector(uint32_t index) {
  v1::PolicySelector made;
  made.set_index(index);
  made.set_all_namespaces(true);
  return made;
}

TEST(Policy, gives_a_container_the_rule_set_of_all_policies_that_select_it) {
  const Policy policy = parse(rule_sets());
  EXPECT_EQ(policy.match(container("malware")).rule_set, 1U);
  EXPECT_EQ(policy.match(container("nginx")).rule_set, 4U);
  EXPECT_FALSE(policy.match(container("nginx")).partial);
  v1::Container other = container("nginx");
  other.set_namespace_("bank");
  EXPECT_EQ(policy.match(other), Policy::Match{});
}

TEST(Policy, uses_the_largest_part_of_a_combination_that_is_missing) {
  const auto match = parse(rule_sets()).match(container("nginx", "db"));
  EXPECT_EQ(match.rule_set, 4U);
  EXPECT_TRUE(match.partial);
}

TEST(Policy, parts_with_more_policies_go_before_parts_with_more_peers) {
  v1::RuleSets made = rule_sets();
  for (uint32_t i = 3; i < 6; i++) *made.add_policies() = peer_selector(i);
  *made.add_rule_sets() = rule_set(5, {0, 3, 4, 5});
  const Policy policy = parse(made);
  // {0, 1, 3, 4, 5} is not there.
  const auto match = policy.match(container("nginx"));
  EXPECT_EQ(match.rule_set, 4U) << "two policies and no peer";
  EXPECT_FALSE(match.partial) << "only peers were left out";
  EXPECT_EQ(policy.match(container("malware")).rule_set, 5U);
}

TEST(Policy, of_parts_with_as_many_policies_the_one_with_more_peers_is_used) {
  v1::RuleSets made = rule_sets();
  for (uint32_t i = 3; i < 5; i++) *made.add_policies() = peer_selector(i);
  *made.add_rule_sets() = rule_set(5, {0, 4});
  EXPECT_EQ(parse(made).match(container("malware")).rule_set, 5U);
}

TEST(Policy, a_container_that_is_only_a_peer_is_not_partially_covered) {
  v1::RuleSets made = rule_sets();
  *made.add_policies() = peer_selector(3);
  const Policy policy = parse(made);
  v1::Container other = container("other");
  other.set_namespace_("bank");
  EXPECT_EQ(policy.match(other), Policy::Match{}) << "the rule set of {3} is not there";
}

TEST(Policy, a_container_without_a_name_is_selected_by_nothing) {
  EXPECT_EQ(parse(rule_sets()).match(container("")).rule_set, 0U);
}

TEST(Policy, tells_the_kernel_what_a_rule_set_asks_for) {
  v1::RuleSets made = rule_sets();
  auto* set = made.mutable_rule_sets(0);
  const auto flags = [&] { return parse(made).match(container("malware")).flags; };
  EXPECT_EQ(flags(), static_cast<uint32_t>(CW_SUBJECT_GUARDED));
  set->set_guarded(false);
  EXPECT_EQ(flags(), 0U);
  set->set_refuses_sockets(true);
  EXPECT_EQ(flags(), static_cast<uint32_t>(CW_SUBJECT_REFUSES_SOCKETS));
  set->set_raw_sockets(true);
  EXPECT_EQ(flags(), static_cast<uint32_t>(CW_SUBJECT_REFUSES_SOCKETS | CW_SUBJECT_RAW_SOCKETS));
  auto* name = set->add_names();
  name->set_name("*.example.com");
  name->set_class_(1);
  EXPECT_TRUE(flags() & CW_SUBJECT_NAMES);
}

TEST(Policy, selectors_that_observe_are_no_policies) {
  v1::RuleSets made = rule_sets();
  for (uint32_t i = 3; i < 5; i++) {
    auto* observing = made.add_policies();
    observing->set_index(i);
    observing->set_namespace_("shop");
  }
  made.mutable_policies(3)->set_observe_names(true);
  made.mutable_policies(4)->set_observe_payload(true);
  made.mutable_policies(4)->add_containers("nginx");
  const Policy policy = parse(made);
  EXPECT_EQ(policy.match(container("nginx")).rule_set, 4U);
  EXPECT_FALSE(policy.match(container("nginx")).partial);
  EXPECT_EQ(policy.observation(container("nginx")), (Observation{.names = true, .payload = true}));
  EXPECT_EQ(policy.observation(container("malware")), (Observation{.names = true, .payload = false}));
  v1::Container other = container("nginx");
  other.set_namespace_("bank");
  EXPECT_EQ(policy.observation(other), Observation{});
  EXPECT_EQ(policy.observation(container("")), Observation{});
  EXPECT_EQ(parse(rule_sets()).observation(container("nginx")), Observation{});
}

TEST(Policy, numbers_classes_over_all_rule_sets) {
  const KernelPolicy kernel = parse(rule_sets()).kernel_policy();
  EXPECT_EQ(kernel.generation, 3U);
  ASSERT_EQ(kernel.rules.peers.size(), 8U) << "four rule sets, two directions";
  std::set<uint32_t> classes;
  for (const auto& port : kernel.rules.ports) classes.insert(port.class_id);
  EXPECT_EQ(classes.size(), 4U);
  EXPECT_FALSE(classes.contains(0));
}

TEST(Policy, gives_the_kernel_all_that_a_rule_set_says) {
  v1::RuleSets made = rule_sets();
  auto* set = made.mutable_rule_sets(0);
  test::add_port(set, 2, v1::VERDICT_DENIED);
  auto* port = set->mutable_ports(1);
  port->set_protocol(6);
  port->set_port(443);
  port->set_port_prefix_length(16);
  port->set_rule(30);
  port->set_lift(v1::LIFT_ENFORCED);
  port->set_lifted_rule(31);
  test::add_identity(set, 7, 2);
  set->mutable_identities(0)->set_direction(v1::DIRECTION_INGRESS);
  auto* name = set->add_names();
  name->set_name("api.example.com");
  name->set_class_(2);
  const KernelRules rules = parse(made).kernel_policy().rules;
  ASSERT_EQ(rules.identities.size(), 1U);
  const uint32_t number = rules.identities[0].class_id;
  EXPECT_EQ(rules.identities[0].rule_set, 1U);
  EXPECT_EQ(rules.identities[0].identity, 7U);
  EXPECT_EQ(rules.identities[0].direction, CW_INGRESS);
  ASSERT_EQ(rules.names.size(), 1U);
  EXPECT_EQ(rules.names[0].name, "api.example.com");
  EXPECT_EQ(rules.names[0].class_id, number);
  const auto of_class =
      std::find_if(rules.ports.begin(), rules.ports.end(), [&](auto& it) { return it.class_id == number; });
  ASSERT_NE(of_class, rules.ports.end());
  EXPECT_EQ(of_class->protocol, 6);
  EXPECT_EQ(of_class->port, 443);
  EXPECT_EQ(of_class->port_prefix_length, 16);
  EXPECT_EQ(of_class->verdict, CW_DENIED);
  EXPECT_EQ(of_class->rule, 30U);
  EXPECT_EQ(of_class->lift, CW_LIFT_ENFORCED);
  EXPECT_EQ(of_class->lifted_rule, 31U);
}

TEST(Policy, an_address_of_this_node_has_an_identity_of_its_own) {
  v1::RuleSets made = rule_sets();
  made.clear_addresses();
  *made.add_addresses() = address(2, 8);
  made.mutable_addresses(0)->set_node(kNode);
  made.mutable_addresses(0)->set_own_identity(9);
  EXPECT_EQ(parse(made).kernel_policy().addresses.at(0).identity, 9U);
  made.mutable_addresses(0)->set_node("node-b");
  const auto addresses = parse(made).kernel_policy().addresses;
  EXPECT_EQ(addresses.at(0).identity, 8U);
  EXPECT_EQ(std::string(addresses[0].address.begin(), addresses[0].address.end()), test::address_bytes(2));
}

TEST(Policy, refuses_what_a_correct_compiler_never_writes) {
  EXPECT_FALSE(Policy::parse("not protobuf", kNode).has_value());
  const struct {
    const char* says;
    std::function<void(v1::RuleSets&)> damage;
  } kCases[] = {
      {"generation", [](auto& it) { it.set_generation(0); }},
      {"generation", [](auto& it) { it.set_generation(UINT64_MAX); }},
      {"numbered in order", [](auto& it) { it.mutable_policies(1)->set_index(7); }},
      {"observes", [](auto& it) { it.mutable_policies(1)->set_observe_names(true); }},
      {"policy 9", [](auto& it) { it.mutable_rule_sets(0)->add_policies(9); }},
      {"out of order", [](auto& it) { it.mutable_rule_sets(3)->set_policies(0, 1); }},
      {"id 0", [](auto& it) { it.mutable_rule_sets(0)->set_id(0); }},
      {"the id 2", [](auto& it) { it.mutable_rule_sets(0)->set_id(2); }},
      {"malformed network", [](auto& it) { it.mutable_rule_sets(0)->mutable_peers(0)->set_network("x"); }},
      {"malformed network",
       [](auto& it) { it.mutable_rule_sets(0)->mutable_peers(0)->set_prefix_length(129); }},
      {"without a direction", [](auto& it) { it.mutable_rule_sets(0)->mutable_peers(0)->clear_direction(); }},
      {"every address at egress",
       [](auto& it) { it.mutable_rule_sets(0)->mutable_peers(0)->set_prefix_length(1); }},
      {"every address at ingress", [](auto& it) { it.mutable_rule_sets(0)->mutable_peers()->RemoveLast(); }},
      {"network whose class", [](auto& it) { it.mutable_rule_sets(0)->mutable_peers(0)->set_class_(5); }},
      {"out of range", [](auto& it) { it.mutable_rule_sets(0)->mutable_ports(0)->set_port(70000); }},
      {"out of range", [](auto& it) { it.mutable_rule_sets(0)->mutable_ports(0)->set_protocol(256); }},
      {"out of range",
       [](auto& it) { it.mutable_rule_sets(0)->mutable_ports(0)->set_port_prefix_length(17); }},
      {"verdict",
       [](auto& it) { it.mutable_rule_sets(0)->mutable_ports(0)->set_verdict(v1::VERDICT_UNSPECIFIED); }},
      {"lift",
       [](auto& it) { it.mutable_rule_sets(0)->mutable_ports(0)->set_lift(static_cast<v1::Lift>(3)); }},
      {"identity 0", [](auto& it) { test::add_identity(it.mutable_rule_sets(0), 0, 1); }},
      {"identity whose class", [](auto& it) { test::add_identity(it.mutable_rule_sets(0), 1, 5); }},
      {"two rule sets", [](auto& it) { *it.add_rule_sets() = rule_set(9, {0}); }},
      {"16 bytes", [](auto& it) { it.mutable_addresses(0)->set_address("x"); }},
      {"identity 0", [](auto& it) { it.mutable_addresses(0)->set_identity(0); }},
      {"node-b", [](auto& it) { it.mutable_addresses(0)->set_node("node-b"); }},
      {"twice", [](auto& it) { *it.add_addresses() = address(1, 8); }},
  };
  for (const auto& it : kCases)
    EXPECT_NE(error_of(it.damage).find(it.says), std::string::npos) << it.says << ": " << error_of(it.damage);
}

TEST(Policy, refuses_names_that_no_answer_can_have) {
  const auto error = [](const std::string& text) {
    return error_of([&](auto& it) {
      auto* name = it.mutable_rule_sets(0)->add_names();
      name->set_name(text);
      name->set_class_(1);
    });
  };
  for (const std::string good : {"a", "a.b", "*.b", "_x-1.example", "*.a.b"})
    EXPECT_EQ(error(good), "") << good;
  for (const std::string malformed : {"", "*", "*.", "a.", ".a", "a..b", "A.b", "a.*.b", "a b", "*a.b"})
    EXPECT_NE(error(malformed).find("malformed name"), std::string::npos) << malformed;
  EXPECT_EQ(error(std::string(CW_NAME_BYTES - 1, 'a')), "");
  EXPECT_NE(error(std::string(CW_NAME_BYTES, 'a')), "");
}

}  // namespace
}  // namespace cellwall
