// SPDX-License-Identifier: Apache-2.0
//
// Rule sets for the tests of what takes them.
#pragma once

#include <string>
#include <vector>

#include "cellwall/v1/agent.pb.h"

namespace cellwall::test {

inline constexpr char kNode[] = "node-a";

v1::Container container(const std::string& name, const std::string& app = "web");

// ::ffff:10.0.0.<last>
std::string address_bytes(uint8_t last);
v1::Address address(uint8_t last, uint32_t identity);

// Class 1 for every address in both directions, allowed.
v1::RuleSet rule_set(uint32_t id, const std::vector<uint32_t>& policies);
void add_identity(v1::RuleSet* set, uint32_t identity, uint32_t class_id);
void add_port(v1::RuleSet* set, uint32_t class_id, v1::Verdict verdict);

// Generation 3, revision 5, in namespace shop: policy 0 selects all, policy 1 the containers named nginx,
// policy 2 those of app=db; rule sets 1, 2, 3 for each of them and 4 for {0, 1}. All are subjects.
v1::RuleSets rule_sets();

// From revision 5 to 6.
v1::RuleSetAmendment amendment();

// From there to generation 4, revision 6, in which nothing is other.
v1::RuleSetDifference difference();

}  // namespace cellwall::test
