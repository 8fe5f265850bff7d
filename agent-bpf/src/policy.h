// SPDX-License-Identifier: Apache-2.0
//
// The rule sets of this node: checked, kept on disk, matched to containers, put into the kernel's form.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "cellwall/v1/agent.pb.h"
#include "kernel.h"
#include "result.h"

namespace cellwall {

class Policy {
 public:
  Policy() = default;
  // payload: a serialized RuleSets. Errors name what is wrong; nothing is applied then.
  static Result<Policy> parse(const std::string& payload);

  uint64_t generation() const { return sets_.generation(); }

  struct Match {
    uint32_t rule_set = 0;  // 0: no policy selects it
    bool partial = false;   // the exact combination is not there: the largest part of it is used
  };
  Match match(const v1::Container& container) const;
  // What is to be read of a container's packets. Selectors that say so are no policies: they have no rules.
  Observation observation(const v1::Container& container) const;
  KernelPolicy kernel_policy(const std::unordered_map<uint64_t, v1::Container>& containers) const;

 private:
  v1::RuleSets sets_;
  std::map<std::vector<uint32_t>, uint32_t> by_combination_;
};

bool matches(const v1::Requirement& requirement,
             const google::protobuf::Map<std::string, std::string>& labels);
bool selects(const v1::PolicySelector& selector, const v1::Container& container);

// SHA-256, 32 bytes.
std::string digest_of(const std::string& payload);

}  // namespace cellwall
