// SPDX-License-Identifier: Apache-2.0
//
// Which containers a selector means. The server compiles rule sets by the same rules
// (control-plane/policy): where both differ, a container gets a part of its policy.
#pragma once

#include <string>

#include "cellwall/v1/agent.pb.h"

namespace cellwall {

bool matches(const v1::Requirement& requirement,
             const google::protobuf::Map<std::string, std::string>& labels);

// pattern: a reference as it is, or without its tag and digest; "*" stands for any run of characters.
bool matches_image(const std::string& pattern, const std::string& image);

// All parts must hold. A container without a name is selected by nothing.
bool selects(const v1::PolicySelector& selector, const v1::Container& container);

// No policy, but a wish to read what the container's packets carry.
inline bool observes(const v1::PolicySelector& selector) {
  return selector.observe_names() || selector.observe_payload();
}

}  // namespace cellwall
