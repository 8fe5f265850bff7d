// SPDX-License-Identifier: Apache-2.0
#include "policy.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <set>

#include "state_file.h"

namespace cellwall {
namespace {

v1::Container container(const std::string& name, const std::string& app = "web") {
  v1::Container made;
  made.set_namespace_("shop");
  made.set_pod("web-1");
  made.set_name(name);
  (*made.mutable_labels())["app"] = app;
  return made;
}

v1::RuleSet rule_set(uint32_t id, std::vector<uint32_t> policies) {
  v1::RuleSet set;
  set.set_id(id);
  for (uint32_t policy : policies) set.add_policies(policy);
  auto* peer = set.add_peers();
  peer->set_network(std::string(16, '\0'));
  peer->set_class_(1);
  auto* port = set.add_ports();
  port->set_class_(1);
  port->set_verdict(v1::VERDICT_ALLOWED);
  port->set_rule(16);
  return set;
}

// Policy 0 selects all of namespace shop, policy 1 the containers named nginx, policy 2 those of app=db.
v1::RuleSets sets() {
  v1::RuleSets made;
  made.set_generation(3);
  for (uint32_t i = 0; i < 3; i++) {
    auto* policy = made.add_policies();
    policy->set_index(i);
    policy->set_namespace_("shop");
  }
  made.mutable_policies(1)->add_containers("nginx");
  auto* label = made.mutable_policies(2)->add_pod_labels();
  label->set_key("app");
  label->set_operator_(v1::OPERATOR_IN);
  label->add_values("db");
  for (uint32_t i = 0; i < 3; i++) *made.add_rule_sets() = rule_set(i + 1, {i});
  *made.add_rule_sets() = rule_set(4, {0, 1});
  return made;
}

Policy parse(const v1::RuleSets& made) {
  auto parsed = Policy::parse(made.SerializeAsString());
  EXPECT_TRUE(parsed.has_value()) << parsed.error().message;
  return std::move(*parsed);
}

std::string error_of(const std::function<void(v1::RuleSets&)>& change) {
  v1::RuleSets made = sets();
  change(made);
  const auto parsed = Policy::parse(made.SerializeAsString());
  return parsed ? "" : parsed.error().message;
}

TEST(Policy, gives_a_container_the_rule_set_of_all_policies_that_select_it) {
  const Policy policy = parse(sets());
  EXPECT_EQ(policy.match(container("malware")).rule_set, 1U);
  EXPECT_EQ(policy.match(container("nginx")).rule_set, 4U);
  EXPECT_FALSE(policy.match(container("nginx")).partial);
  v1::Container other = container("nginx");
  other.set_namespace_("bank");
  EXPECT_EQ(policy.match(other).rule_set, 0U);
}

TEST(Policy, uses_the_largest_part_of_a_combination_that_is_missing) {
  const auto match = parse(sets()).match(container("nginx", "db"));
  EXPECT_EQ(match.rule_set, 4U);
  EXPECT_TRUE(match.partial);
}

TEST(Policy, a_container_without_a_name_is_selected_by_nothing) {
  EXPECT_EQ(parse(sets()).match(container("")).rule_set, 0U);
}

TEST(Policy, reads_label_requirements_as_kubernetes_does) {
  const auto holds = [](v1::Operator op, std::vector<std::string> values, bool present) {
    v1::Requirement requirement;
    requirement.set_key("tier");
    requirement.set_operator_(op);
    for (const auto& value : values) requirement.add_values(value);
    google::protobuf::Map<std::string, std::string> labels;
    if (present) labels["tier"] = "front";
    return matches(requirement, labels);
  };
  EXPECT_TRUE(holds(v1::OPERATOR_IN, {"back", "front"}, true));
  EXPECT_FALSE(holds(v1::OPERATOR_IN, {"front"}, false));
  EXPECT_FALSE(holds(v1::OPERATOR_NOT_IN, {"front"}, true));
  EXPECT_TRUE(holds(v1::OPERATOR_NOT_IN, {"front"}, false));
  EXPECT_TRUE(holds(v1::OPERATOR_EXISTS, {}, true));
  EXPECT_FALSE(holds(v1::OPERATOR_EXISTS, {}, false));
  EXPECT_TRUE(holds(v1::OPERATOR_DOES_NOT_EXIST, {}, false));
  EXPECT_FALSE(holds(v1::OPERATOR_UNSPECIFIED, {}, true));
}

TEST(Policy, selectors_that_observe_are_no_policies) {
  v1::RuleSets made = sets();
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
  EXPECT_EQ(parse(sets()).observation(container("nginx")), Observation{});
}

TEST(Policy, numbers_classes_over_all_rule_sets) {
  const Policy policy = parse(sets());
  std::unordered_map<uint64_t, v1::Container> containers = {{70, container("nginx")}, {71, container("")}};
  const KernelPolicy kernel = policy.kernel_policy(containers);
  EXPECT_EQ(kernel.generation, 3U);
  ASSERT_EQ(kernel.rules.peers.size(), 4U);
  std::set<uint32_t> classes;
  for (const auto& port : kernel.rules.ports) classes.insert(port.class_id);
  EXPECT_EQ(classes.size(), 4U);
  for (const auto& subject : kernel.subjects) EXPECT_EQ(subject.rule_set, subject.cgroup == 70 ? 4U : 0U);
}

TEST(Policy, refuses_what_a_correct_compiler_never_writes) {
  EXPECT_NE(Policy::parse("not protobuf").has_value(), true);
  EXPECT_NE(error_of([](auto& it) { it.set_generation(0); }).find("generation"), std::string::npos);
  EXPECT_NE(error_of([](auto& it) { it.mutable_policies(1)->set_index(7); }).find("order"),
            std::string::npos);
  EXPECT_NE(error_of([](auto& it) { it.mutable_rule_sets(0)->add_policies(9); }).find("policy 9"),
            std::string::npos);
  EXPECT_NE(
      error_of([](auto& it) { it.mutable_rule_sets(0)->mutable_peers(0)->set_network("x"); }).find("network"),
      std::string::npos);
  EXPECT_NE(error_of([](auto& it) {
              it.mutable_rule_sets(0)->mutable_peers(0)->set_prefix_length(1);
            }).find("every address"),
            std::string::npos);
  EXPECT_NE(
      error_of([](auto& it) { it.mutable_rule_sets(0)->mutable_peers(0)->set_class_(5); }).find("class"),
      std::string::npos);
  EXPECT_NE(error_of([](auto& it) {
              it.mutable_rule_sets(0)->mutable_ports(0)->set_port(70000);
            }).find("out of range"),
            std::string::npos);
  EXPECT_NE(error_of([](auto& it) {
              it.mutable_rule_sets(0)->mutable_ports(0)->set_verdict(v1::VERDICT_UNSPECIFIED);
            }).find("verdict"),
            std::string::npos);
  EXPECT_NE(error_of([](auto& it) { *it.add_rule_sets() = rule_set(9, {0}); }).find("two rule sets"),
            std::string::npos);
}

TEST(StateFile, gives_back_what_was_saved_last) {
  char directory[] = "/tmp/cellwall-state-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const StateFile file(std::string(directory) + "/below/rule-sets");
  EXPECT_EQ(file.load().value(), "");
  ASSERT_TRUE(file.save("one").has_value());
  ASSERT_TRUE(file.save(std::string("two\0three", 9)).has_value());
  EXPECT_EQ(file.load().value(), std::string("two\0three", 9));
  EXPECT_FALSE(StateFile("/proc/nowhere/file").save("x").has_value());
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace cellwall
