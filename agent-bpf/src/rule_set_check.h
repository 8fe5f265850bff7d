// SPDX-License-Identifier: Apache-2.0
//
// What a correct server never sends is refused before any of it is in force. Errors name what is wrong.
#pragma once

#include <functional>

#include "cellwall/v1/agent.pb.h"
#include "result.h"

namespace cellwall {

// The kernel keeps the slot beside the generation.
inline constexpr uint64_t kLargestGeneration = UINT64_MAX >> 1;

std::unexpected<Error> bad_rule_sets(const std::string& what);

Result<void> check_selectors(const v1::RuleSets& sets);

// A whole one: it covers every address in both directions. selectors: of the rule sets that it is part of.
Result<void> check_rule_set(const v1::RuleSet& set,
                            const google::protobuf::RepeatedPtrField<v1::PolicySelector>& selectors);

// Entries that a known rule set gets in addition. known: the classes that it has already; they keep their
// ports, and what the known rule set says about an identity, a network or a name keeps its class.
using KnownClass = std::function<bool(uint32_t class_id)>;
Result<void> check_additions(const v1::RuleSet& additions, const v1::RuleSet& kept, const KnownClass& known);

Result<void> check_address(const v1::Address& address);
Result<void> check_removed_address(const std::string& address);

}  // namespace cellwall
