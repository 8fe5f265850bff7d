// SPDX-License-Identifier: Apache-2.0
//
// Connections whose verdict the reference evaluator of the control plane has told, and the rule sets that its
// compiler made of the same policies. test/differential/export.ts makes a folder of them: cases.jsonl has one
// case a line, {sets, node, container, direction, address, protocol, port, verdict, rule}. sets is a file
// beside it, a serialized RuleSets; NAME.1.pb, NAME.2.pb and so on beside NAME.pb are RuleSetAmendments to
// it, if there are some.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cellwall/events.h"
#include "cellwall/v1/agent.pb.h"

namespace cellwall::test {

struct DifferentialCase {
  size_t container;  // of the world's
  cw_direction direction;
  std::string address;
  uint8_t protocol;
  uint16_t port;
  cw_verdict verdict;
  uint32_t rule;
};

struct DifferentialWorld {
  std::string name;  // of the file with the rule sets
  std::string node;
  std::string rule_sets;  // serialized
  std::vector<v1::RuleSetAmendment> amendments;
  std::vector<v1::Container> containers;
  std::vector<DifferentialCase> cases;
};

// Throws what the JSON parser throws.
std::vector<DifferentialWorld> read_worlds(const std::string& folder);

std::string describe(const DifferentialCase& it);

}  // namespace cellwall::test
