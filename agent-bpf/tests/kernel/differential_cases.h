// SPDX-License-Identifier: Apache-2.0
//
// Connections whose verdict the reference evaluator of the control plane has told, and the rule sets that its
// compiler made of the same policies. A folder has a file NAME.json for each node of each world, and beside
// it NAME.bin, a serialized RuleSets, and where containers came later NAME.1.bin, NAME.2.bin and so on,
// serialized RuleSetAmendments:
//   {"node": "n1",
//    "containers": [{"namespace", "pod", "name", "image", "labels": {}, "addresses": [],
//                    "ports": [{"name", "protocol", "port"}]}],
//    "cases": [{"container": 0, "direction": "egress", "address": "10.7.0.1", "protocol": 6, "port": 80,
//               "names": [], "verdict": "denied", "rule": 17}]}
// container is an index, rule the number in the rule sets; below 16 see cellwall.v1.BuiltinRule.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cellwall/events.h"
#include "cellwall/v1/agent.pb.h"

namespace cellwall::test {

struct DifferentialCase {
  size_t container;
  cw_direction direction;
  std::string address;
  uint8_t protocol;
  uint16_t port;
  std::vector<std::string> names;  // that the container has looked up
  cw_verdict verdict;
  uint32_t rule;
};

struct DifferentialWorld {
  std::string name;  // of the file
  std::string node;
  std::string rule_sets;  // serialized
  std::vector<v1::RuleSetAmendment> amendments;
  std::vector<v1::Container> containers;
  std::vector<DifferentialCase> cases;
};

// Their JSON files, in order.
std::vector<std::string> list_worlds(const std::string& folder);
// Throws what the JSON parser throws.
DifferentialWorld read_world(const std::string& file);

std::string describe(const DifferentialCase& it);

}  // namespace cellwall::test
