// SPDX-License-Identifier: Apache-2.0
#include "policy.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <set>

namespace cellwall {
namespace {

constexpr uint64_t kLargestGeneration = UINT64_MAX >> 1;  // the kernel keeps the slot beside it

std::unexpected<Error> bad(const std::string& what) {
  return fail("rule sets from the server: " + what);
}

Result<void> check_rule_set(const v1::RuleSet& set, size_t policies) {
  const std::string where = "rule set " + std::to_string(set.id());
  if (set.id() == 0) return bad("a rule set has id 0");
  for (uint32_t index : set.policies()) {
    if (index >= policies)
      return bad(where + " names policy " + std::to_string(index) + ", which is not there");
  }
  std::set<uint32_t> classes;
  for (const auto& port : set.ports()) {
    if (port.protocol() > 255 || port.port() > 65535 || port.port_prefix_length() > 16)
      return bad(where + " has a port entry out of range");
    if (port.verdict() < v1::VERDICT_ALLOWED || port.verdict() > v1::VERDICT_AUDIT)
      return bad(where + " has no verdict for a port");
    classes.insert(port.class_());
  }
  bool total = false;
  for (const auto& peer : set.peers()) {
    if (peer.network().size() != 16 || peer.prefix_length() > 128)
      return bad(where + " has a malformed network");
    if (!classes.contains(peer.class_())) return bad(where + " has a network whose class has no ports");
    total = total || peer.prefix_length() == 0;
  }
  if (!total) return bad(where + " does not cover every address");
  return {};
}

bool observes(const v1::PolicySelector& selector) {
  return selector.observe_names() || selector.observe_payload();
}

template <typename List>
bool has(const List& list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace

Result<Policy> Policy::parse(const std::string& payload) {
  Policy policy;
  if (!policy.sets_.ParseFromString(payload)) return bad("not a RuleSets message");
  if (policy.generation() == 0 || policy.generation() > kLargestGeneration)
    return bad("generation out of range");
  for (int i = 0; i < policy.sets_.policies_size(); i++) {
    if (policy.sets_.policies(i).index() != static_cast<uint32_t>(i))
      return bad("policies are not numbered in order");
  }
  for (const auto& set : policy.sets_.rule_sets()) {
    if (auto ok = check_rule_set(set, static_cast<size_t>(policy.sets_.policies_size())); !ok)
      return std::unexpected(ok.error());
    const std::vector<uint32_t> combination(set.policies().begin(), set.policies().end());
    if (!policy.by_combination_.emplace(combination, set.id()).second)
      return bad("two rule sets for one combination of policies");
  }
  return policy;
}

bool matches(const v1::Requirement& requirement,
             const google::protobuf::Map<std::string, std::string>& labels) {
  const auto label = labels.find(requirement.key());
  const bool present = label != labels.end();
  switch (requirement.operator_()) {
    case v1::OPERATOR_IN:
      return present && has(requirement.values(), label->second);
    case v1::OPERATOR_NOT_IN:
      return !present || !has(requirement.values(), label->second);
    case v1::OPERATOR_EXISTS:
      return present;
    case v1::OPERATOR_DOES_NOT_EXIST:
      return !present;
    default:
      return false;
  }
}

bool selects(const v1::PolicySelector& selector, const v1::Container& container) {
  // What has no name yet is selected by nothing: a guess would cut off the wrong container.
  if (container.name().empty() || selector.namespace_() != container.namespace_()) return false;
  if (selector.pods_size() > 0 && !has(selector.pods(), container.pod())) return false;
  if (selector.containers_size() > 0 && !has(selector.containers(), container.name())) return false;
  return std::all_of(selector.pod_labels().begin(), selector.pod_labels().end(),
                     [&](const auto& requirement) { return matches(requirement, container.labels()); });
}

Policy::Match Policy::match(const v1::Container& container) const {
  std::vector<uint32_t> wanted;
  for (const auto& selector : sets_.policies()) {
    if (!observes(selector) && selects(selector, container)) wanted.push_back(selector.index());
  }
  if (wanted.empty()) return {};
  if (const auto exact = by_combination_.find(wanted); exact != by_combination_.end())
    return {.rule_set = exact->second};
  Match best = {.rule_set = 0, .partial = true};
  size_t size = 0;
  for (const auto& [combination, id] : by_combination_) {
    const bool part = std::includes(wanted.begin(), wanted.end(), combination.begin(), combination.end());
    if (part && combination.size() > size) {
      size = combination.size();
      best.rule_set = id;
    }
  }
  return best;
}

Observation Policy::observation(const v1::Container& container) const {
  Observation wanted;
  for (const auto& selector : sets_.policies()) {
    if (!observes(selector) || !selects(selector, container)) continue;
    wanted.names = wanted.names || selector.observe_names();
    wanted.payload = wanted.payload || selector.observe_payload();
  }
  return wanted;
}

KernelPolicy Policy::kernel_policy(const std::unordered_map<uint64_t, v1::Container>& containers) const {
  KernelPolicy policy;
  policy.generation = generation();
  // Classes are numbered within a rule set on the wire, over all of them in the kernel.
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> classes;
  const auto class_of = [&](uint32_t set, uint32_t number) {
    return classes.emplace(std::pair(set, number), static_cast<uint32_t>(classes.size() + 1)).first->second;
  };
  for (const auto& set : sets_.rule_sets()) {
    for (const auto& peer : set.peers()) {
      const bool ingress = peer.direction() == v1::DIRECTION_INGRESS;
      KernelPeer entry = {.rule_set = set.id(),
                          .direction = ingress ? CW_INGRESS : CW_EGRESS,
                          .network = {},
                          .prefix_length = static_cast<uint8_t>(peer.prefix_length()),
                          .class_id = class_of(set.id(), peer.class_())};
      std::copy_n(peer.network().begin(), entry.network.size(), entry.network.begin());
      policy.rules.peers.push_back(entry);
    }
    for (const auto& port : set.ports()) {
      policy.rules.ports.push_back({.class_id = class_of(set.id(), port.class_()),
                                    .protocol = static_cast<uint8_t>(port.protocol()),
                                    .port = static_cast<uint16_t>(port.port()),
                                    .port_prefix_length = static_cast<uint8_t>(port.port_prefix_length()),
                                    .verdict = static_cast<uint8_t>(port.verdict()),
                                    .rule = port.rule()});
    }
  }
  for (const auto& [id, container] : containers)
    policy.subjects.push_back({.cgroup = id, .rule_set = match(container).rule_set, .directory = {}});
  return policy;
}

std::string digest_of(const std::string& payload) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  EVP_Digest(payload.data(), payload.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return std::string(reinterpret_cast<char*>(digest.data()), size);
}

}  // namespace cellwall
