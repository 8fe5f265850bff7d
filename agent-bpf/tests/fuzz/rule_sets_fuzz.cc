// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a message of the server. Rule sets, amendments and differences that are taken give the kernel
// what it can hold, match any container, and read again as what they were; those that are refused change
// nothing.
#include <cstdint>
#include <string>

#include "../../src/policy.h"
#include "../unit/rule_sets.h"
#include "check.h"

namespace {

using namespace cellwall;

void check_rules(const KernelRules& rules) {
  for (const auto& peer : rules.peers) must(peer.class_id > 0, "a network has a class");
  for (const auto& entry : rules.identities) must(entry.class_id > 0, "an identity has a class");
  for (const auto& name : rules.names) must(name.class_id > 0, "a name has a class");
  for (const auto& port : rules.ports)
    must(port.class_id > 0 && port.port_prefix_length <= 16, "a port has a class and is in range");
}

void check_policy(const Policy& policy) {
  check_rules(policy.kernel_policy().rules);
  for (const char* name : {"nginx", "db"}) {
    const auto container = test::container(name, "db");
    (void)policy.match(container);
    (void)policy.observation(container);
  }
  const auto again = Policy::parse(policy.payload(), test::kNode);
  must(again.has_value(), "what was taken can be read again");
  must(again->generation() == policy.generation() && again->revision() == policy.revision(),
       "and is of the same revision");
}

void take(const v1::RuleSetUpdate& update) {
  const auto policy = Policy::parse(update.payload(), test::kNode);
  if (policy) check_policy(*policy);
}

void take(const v1::RuleSetAmendment& amendment) {
  auto policy = Policy::parse(test::rule_sets().SerializeAsString(), test::kNode);
  must(policy.has_value(), "the rule sets of the tests are good");
  const std::string before = policy->payload();
  const auto prepared = policy->prepare(amendment);
  if (!prepared) {
    must(policy->payload() == before, "an amendment that is refused changes nothing");
    return;
  }
  check_rules(prepared->rules);
  policy->commit(amendment);
  check_policy(*policy);
}

void take(const v1::RuleSetDifference& difference) {
  auto policy = Policy::parse(test::rule_sets().SerializeAsString(), test::kNode);
  must(policy.has_value(), "the rule sets of the tests are good");
  const auto payload = policy->payload_with(difference);
  if (!payload) return;
  const auto changed = Policy::parse(*payload, test::kNode);
  if (!changed) return;
  check_policy(*changed);
  must(changed->generation() == difference.generation(), "a difference leads to its generation");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  v1::StreamResponse response;
  if (!response.ParseFromArray(data, static_cast<int>(size))) return 0;
  if (response.has_rule_sets()) take(response.rule_sets());
  if (response.has_amendment()) take(response.amendment());
  if (response.has_difference()) take(response.difference());
  return 0;
}
