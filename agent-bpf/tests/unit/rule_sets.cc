// SPDX-License-Identifier: Apache-2.0
#include "rule_sets.h"

namespace cellwall::test {

v1::Container container(const std::string& name, const std::string& app) {
  v1::Container made;
  made.set_namespace_("shop");
  made.set_pod("web-1");
  made.set_name(name);
  (*made.mutable_labels())["app"] = app;
  return made;
}

std::string address_bytes(uint8_t last) {
  std::string bytes(16, '\0');
  bytes[10] = bytes[11] = '\xff';
  bytes[12] = 10;
  bytes[15] = static_cast<char>(last);
  return bytes;
}

v1::Address address(uint8_t last, uint32_t identity) {
  v1::Address made;
  made.set_address(address_bytes(last));
  made.set_identity(identity);
  return made;
}

void add_port(v1::RuleSet* set, uint32_t class_id, v1::Verdict verdict) {
  auto* port = set->add_ports();
  port->set_class_(class_id);
  port->set_verdict(verdict);
  port->set_rule(16);
}

void add_identity(v1::RuleSet* set, uint32_t identity, uint32_t class_id) {
  auto* entry = set->add_identities();
  entry->set_identity(identity);
  entry->set_direction(v1::DIRECTION_EGRESS);
  entry->set_class_(class_id);
}

v1::RuleSet rule_set(uint32_t id, const std::vector<uint32_t>& policies) {
  v1::RuleSet set;
  set.set_id(id);
  set.set_guarded(true);
  for (uint32_t policy : policies) set.add_policies(policy);
  for (v1::Direction direction : {v1::DIRECTION_EGRESS, v1::DIRECTION_INGRESS}) {
    auto* peer = set.add_peers();
    peer->set_network(std::string(16, '\0'));
    peer->set_class_(1);
    peer->set_direction(direction);
  }
  add_port(&set, 1, v1::VERDICT_ALLOWED);
  return set;
}

v1::RuleSets rule_sets() {
  v1::RuleSets made;
  made.set_generation(3);
  made.set_revision(5);
  for (uint32_t i = 0; i < 3; i++) {
    auto* policy = made.add_policies();
    policy->set_index(i);
    policy->set_namespace_("shop");
    policy->set_subject(true);
  }
  made.mutable_policies(1)->add_containers("nginx");
  auto* label = made.mutable_policies(2)->add_pod_labels();
  label->set_key("app");
  label->set_operator_(v1::OPERATOR_IN);
  label->add_values("db");
  for (uint32_t i = 0; i < 3; i++) *made.add_rule_sets() = rule_set(i + 1, {i});
  *made.add_rule_sets() = rule_set(4, {0, 1});
  *made.add_addresses() = address(1, 7);
  return made;
}

v1::RuleSetAmendment amendment() {
  v1::RuleSetAmendment made;
  made.set_generation(3);
  made.set_base_revision(5);
  made.set_revision(6);
  return made;
}

v1::RuleSetDifference difference() {
  v1::RuleSetDifference made;
  made.set_base_generation(3);
  made.set_base_revision(5);
  made.set_generation(4);
  made.set_revision(6);
  return made;
}

}  // namespace cellwall::test
