// SPDX-License-Identifier: Apache-2.0
//
// The rule sets of this node: checked, amended, matched to containers, put into the kernel's form.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cellwall/v1/agent.pb.h"
#include "kernel.h"
#include "result.h"

namespace cellwall {

class Policy {
 public:
  // payload: a serialized RuleSets. node: the name of this one, whose own addresses have identities of their
  // own. Errors name what is wrong; nothing is applied then.
  static Result<Policy> parse(const std::string& payload, const std::string& node);

  uint64_t generation() const { return sets_.generation(); }
  uint64_t revision() const { return sets_.revision(); }
  // All of it with what amendments changed: parse() reads it again.
  std::string payload() const;

  // The same with a difference, unchecked. An error: the difference is one from other rule sets.
  Result<std::string> payload_with(const v1::RuleSetDifference& difference) const;

  struct Match {
    uint32_t rule_set = 0;  // 0: no selector selects it
    uint32_t flags = 0;     // enum cw_subject_flag
    bool partial = false;   // the largest part of what is wanted is used, and it leaves out a policy
    bool operator==(const Match&) const = default;
  };
  Match match(const v1::Container& container) const;
  // What is to be read of a container's packets. Selectors that say so are no policies: they have no rules.
  Observation observation(const v1::Container& container) const;
  // All but the subjects.
  KernelPolicy kernel_policy() const;

  // Checks an amendment and gives what the kernel needs. It is kept with commit(), once the kernel has it:
  // without that, every further one is refused, and all rule sets have to come again.
  Result<KernelAmendment> prepare(const v1::RuleSetAmendment& amendment);
  void commit(v1::RuleSetAmendment amendment);

 private:
  // Classes are numbered within a rule set on the wire, over all of them in the kernel. Within a generation a
  // number is given once.
  using ClassKey = std::pair<uint32_t, uint32_t>;  // rule set, its class
  struct HashClass {
    size_t operator()(const ClassKey& key) const {
      return std::hash<uint64_t>{}(uint64_t{key.first} << 32 | key.second);
    }
  };

  Result<void> take_rule_set(int index);
  Result<void> take_addresses();
  Result<void> check_fits(const v1::RuleSetAmendment& amendment) const;
  Result<void> check(const v1::RuleSetAmendment& amendment) const;
  Result<void> check_new(const v1::RuleSetAmendment& amendment) const;
  std::vector<uint32_t> profile(const v1::Container& container) const;
  uint32_t largest_part(const std::vector<uint32_t>& profile, bool* partial) const;
  size_t count_subjects(const std::vector<uint32_t>& profile) const;
  void number_classes(const v1::RuleSet& set);
  void add_rules(const v1::RuleSet& set, KernelRules* rules) const;
  KernelAddress kernel_address(const v1::Address& address) const;

  std::string node_;
  v1::RuleSets sets_;                                         // without addresses
  std::unordered_map<std::string, v1::Address> addresses_;    // by their bytes
  std::map<std::vector<uint32_t>, uint32_t> by_combination_;  // rule set ids
  std::unordered_map<uint32_t, int> by_id_;                   // indexes into sets_.rule_sets
  std::unordered_map<ClassKey, uint32_t, HashClass> classes_;
  bool prepared_ = false;  // an amendment that was not committed
};

// SHA-256, 32 bytes.
std::string digest_of(const std::string& payload);

}  // namespace cellwall
