// SPDX-License-Identifier: Apache-2.0
#include "policy.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>

#include "rule_set_check.h"
#include "selectors.h"

namespace cellwall {
namespace {

std::vector<uint32_t> combination_of(const v1::RuleSet& set) {
  return {set.policies().begin(), set.policies().end()};
}

uint32_t flags_of(const v1::RuleSet& set) {
  uint32_t flags = 0;
  if (set.guarded()) flags |= CW_SUBJECT_GUARDED;
  if (set.refuses_sockets()) flags |= CW_SUBJECT_REFUSES_SOCKETS;
  if (set.raw_sockets()) flags |= CW_SUBJECT_RAW_SOCKETS;
  if (set.names_size() > 0) flags |= CW_SUBJECT_NAMES;
  return flags;
}

std::string of_revision(uint64_t generation, uint64_t revision) {
  return "revision " + std::to_string(revision) + " of generation " + std::to_string(generation);
}

}  // namespace

Result<Policy> Policy::parse(const std::string& payload, const std::string& node) {
  Policy policy;
  policy.node_ = node;
  if (!policy.sets_.ParseFromString(payload)) return bad_rule_sets("not a RuleSets message");
  if (policy.generation() == 0 || policy.generation() > kLargestGeneration)
    return bad_rule_sets("generation out of range");
  if (auto ok = check_selectors(policy.sets_); !ok) return std::unexpected(ok.error());
  for (int i = 0; i < policy.sets_.rule_sets_size(); i++) {
    if (auto ok = policy.take_rule_set(i); !ok) return std::unexpected(ok.error());
  }
  if (auto ok = policy.take_addresses(); !ok) return std::unexpected(ok.error());
  return policy;
}

Result<void> Policy::take_rule_set(int index) {
  const v1::RuleSet& set = sets_.rule_sets(index);
  if (auto ok = check_rule_set(set, sets_.policies()); !ok) return ok;
  if (!by_id_.emplace(set.id(), index).second)
    return bad_rule_sets("two rule sets have the id " + std::to_string(set.id()));
  if (!by_combination_.emplace(combination_of(set), set.id()).second)
    return bad_rule_sets("two rule sets for one combination of policies");
  number_classes(set);
  return {};
}

Result<void> Policy::take_addresses() {
  for (auto& address : *sets_.mutable_addresses()) {
    if (auto ok = check_address(address); !ok) return ok;
    const std::string bytes = address.address();
    if (!addresses_.emplace(bytes, std::move(address)).second)
      return bad_rule_sets("an address is there twice");
  }
  sets_.clear_addresses();
  return {};
}

// Serialized messages that follow each other are read as one.
std::string Policy::payload() const {
  std::string text = sets_.SerializeAsString();
  v1::RuleSets rest;
  for (const auto& [bytes, address] : addresses_) *rest.add_addresses() = address;
  rest.AppendToString(&text);
  return text;
}

Result<std::string> Policy::payload_with(const v1::RuleSetDifference& difference) const {
  const auto& [base, base_revision] = std::pair(difference.base_generation(), difference.base_revision());
  if (base != generation() || base_revision != revision() || prepared_)
    return fail("a difference from " + of_revision(base, base_revision) + " does not fit " +
                of_revision(generation(), revision()) + (prepared_ ? " with half an amendment" : "") +
                ", which is in force: all rule sets have to be sent");
  v1::RuleSets sets;
  sets.set_generation(difference.generation());
  sets.set_revision(difference.revision());
  *sets.mutable_policies() = difference.policies_size() > 0 ? difference.policies() : sets_.policies();
  std::unordered_set<uint32_t> replaced(difference.removed_rule_sets().begin(),
                                        difference.removed_rule_sets().end());
  for (const auto& set : difference.rule_sets()) replaced.insert(set.id());
  for (const auto& set : sets_.rule_sets()) {
    if (!replaced.contains(set.id())) *sets.add_rule_sets() = set;
  }
  sets.mutable_rule_sets()->MergeFrom(difference.rule_sets());
  std::unordered_set<std::string> gone(difference.removed_addresses().begin(),
                                       difference.removed_addresses().end());
  for (const auto& address : difference.addresses()) gone.insert(address.address());
  for (const auto& [bytes, address] : addresses_) {
    if (!gone.contains(bytes)) *sets.add_addresses() = address;
  }
  sets.mutable_addresses()->MergeFrom(difference.addresses());
  return sets.SerializeAsString();
}

std::vector<uint32_t> Policy::profile(const v1::Container& container) const {
  std::vector<uint32_t> found;
  for (const auto& selector : sets_.policies()) {
    if (!observes(selector) && selects(selector, container)) found.push_back(selector.index());
  }
  return found;
}

size_t Policy::count_subjects(const std::vector<uint32_t>& profile) const {
  return static_cast<size_t>(std::count_if(profile.begin(), profile.end(), [&](uint32_t index) {
    return sets_.policies(static_cast<int>(index)).subject();
  }));
}

// That a policy is left out is worse than that a peer of some other container is.
uint32_t Policy::largest_part(const std::vector<uint32_t>& profile, bool* partial) const {
  std::pair<size_t, size_t> best = {0, 0};  // subjects, selectors
  uint32_t rule_set = 0;
  for (const auto& [combination, id] : by_combination_) {
    if (!std::includes(profile.begin(), profile.end(), combination.begin(), combination.end())) continue;
    const std::pair size = {count_subjects(combination), combination.size()};
    // The part without any selector says to whom a container cannot go that no policy is about.
    if (rule_set != 0 && size <= best) continue;
    best = size;
    rule_set = id;
  }
  *partial = best.first < count_subjects(profile);
  return rule_set;
}

Policy::Match Policy::match(const v1::Container& container) const {
  Match match;
  const std::vector<uint32_t> wanted = profile(container);
  if (const auto exact = by_combination_.find(wanted); exact != by_combination_.end())
    match.rule_set = exact->second;
  else
    match.rule_set = largest_part(wanted, &match.partial);
  if (match.rule_set != 0) match.flags = flags_of(sets_.rule_sets(by_id_.at(match.rule_set)));
  return match;
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

KernelPolicy Policy::kernel_policy() const {
  KernelPolicy policy;
  policy.generation = generation();
  for (const auto& set : sets_.rule_sets()) add_rules(set, &policy.rules);
  for (const auto& [bytes, address] : addresses_) policy.addresses.push_back(kernel_address(address));
  return policy;
}

void Policy::number_classes(const v1::RuleSet& set) {
  for (const auto& port : set.ports())
    classes_.emplace(ClassKey(set.id(), port.class_()), static_cast<uint32_t>(classes_.size() + 1));
}

void Policy::add_rules(const v1::RuleSet& set, KernelRules* rules) const {
  const auto class_of = [&](uint32_t number) { return classes_.at(ClassKey(set.id(), number)); };
  for (const auto& peer : set.peers()) {
    KernelPeer entry = {.rule_set = set.id(),
                        .direction = static_cast<cw_direction>(peer.direction()),
                        .network = {},
                        .prefix_length = static_cast<uint8_t>(peer.prefix_length()),
                        .class_id = class_of(peer.class_())};
    std::copy_n(peer.network().begin(), entry.network.size(), entry.network.begin());
    rules->peers.push_back(entry);
  }
  for (const auto& entry : set.identities())
    rules->identities.push_back({.rule_set = set.id(),
                                 .direction = static_cast<cw_direction>(entry.direction()),
                                 .identity = entry.identity(),
                                 .class_id = class_of(entry.class_())});
  for (const auto& name : set.names())
    rules->names.push_back({.rule_set = set.id(), .name = name.name(), .class_id = class_of(name.class_())});
  for (const auto& port : set.ports())
    rules->ports.push_back({.class_id = class_of(port.class_()),
                            .protocol = static_cast<uint8_t>(port.protocol()),
                            .port = static_cast<uint16_t>(port.port()),
                            .port_prefix_length = static_cast<uint8_t>(port.port_prefix_length()),
                            .verdict = static_cast<uint8_t>(port.verdict()),
                            .rule = port.rule(),
                            .lift = static_cast<uint8_t>(port.lift()),
                            .lifted_rule = port.lifted_rule()});
}

KernelAddress Policy::kernel_address(const v1::Address& address) const {
  const bool own = !address.node().empty() && address.node() == node_;
  KernelAddress made = {.address = {}, .identity = own ? address.own_identity() : address.identity()};
  std::copy_n(address.address().begin(), made.address.size(), made.address.begin());
  return made;
}

Result<void> Policy::check_fits(const v1::RuleSetAmendment& amendment) const {
  if (amendment.generation() != generation() || amendment.base_revision() != revision() ||
      amendment.revision() <= amendment.base_revision())
    return fail("an amendment from " + of_revision(amendment.generation(), amendment.base_revision()) +
                " to revision " + std::to_string(amendment.revision()) + " does not fit " +
                of_revision(generation(), revision()) + ", which is in force: all rule sets have to be sent");
  if (prepared_)
    return fail("the kernel did not take the amendment of " + of_revision(generation(), revision()) +
                ": all rule sets have to be sent");
  return {};
}

Result<void> Policy::check_new(const v1::RuleSetAmendment& amendment) const {
  std::set<uint32_t> ids;
  std::set<std::vector<uint32_t>> combinations;
  for (const auto& set : amendment.rule_sets()) {
    if (auto ok = check_rule_set(set, sets_.policies()); !ok) return ok;
    if (by_id_.contains(set.id()) || !ids.insert(set.id()).second)
      return bad_rule_sets("rule set " + std::to_string(set.id()) + " is there already");
    if (by_combination_.contains(combination_of(set)) || !combinations.insert(combination_of(set)).second)
      return bad_rule_sets("rule set " + std::to_string(set.id()) +
                           " is the second for one combination of policies");
  }
  return {};
}

Result<void> Policy::check(const v1::RuleSetAmendment& amendment) const {
  if (auto ok = check_fits(amendment); !ok) return ok;
  if (auto ok = check_new(amendment); !ok) return ok;
  std::set<uint32_t> ids;
  for (const auto& set : amendment.additions()) {
    const auto kept = by_id_.find(set.id());
    if (kept == by_id_.end())
      return bad_rule_sets("additions to rule set " + std::to_string(set.id()) + ", which is not there");
    if (!ids.insert(set.id()).second)
      return bad_rule_sets("additions to rule set " + std::to_string(set.id()) + " are there twice");
    const auto known = [&](uint32_t id) { return classes_.contains(ClassKey(set.id(), id)); };
    if (auto ok = check_additions(set, sets_.rule_sets(kept->second), known); !ok) return ok;
  }
  for (const auto& address : amendment.addresses()) {
    if (auto ok = check_address(address); !ok) return ok;
  }
  for (const auto& address : amendment.removed_addresses()) {
    if (auto ok = check_removed_address(address); !ok) return ok;
  }
  return {};
}

Result<KernelAmendment> Policy::prepare(const v1::RuleSetAmendment& amendment) {
  if (auto ok = check(amendment); !ok) return std::unexpected(ok.error());
  prepared_ = true;
  KernelAmendment made;
  for (const auto* sets : {&amendment.rule_sets(), &amendment.additions()}) {
    for (const auto& set : *sets) {
      number_classes(set);
      add_rules(set, &made.rules);
    }
  }
  std::set<std::string> given;
  for (const auto& address : amendment.addresses()) {
    given.insert(address.address());
    made.addresses.push_back(kernel_address(address));
  }
  for (const auto& bytes : amendment.removed_addresses()) {
    if (given.contains(bytes) || !addresses_.contains(bytes)) continue;
    std::copy_n(bytes.begin(), 16, made.removed_addresses.emplace_back().begin());
  }
  return made;
}

void Policy::commit(v1::RuleSetAmendment amendment) {
  for (auto& set : *amendment.mutable_rule_sets()) {
    by_combination_.emplace(combination_of(set), set.id());
    by_id_.emplace(set.id(), sets_.rule_sets_size());
    *sets_.add_rule_sets() = std::move(set);
  }
  for (const auto& set : amendment.additions()) {
    auto* kept = sets_.mutable_rule_sets(by_id_.at(set.id()));
    kept->mutable_peers()->MergeFrom(set.peers());
    kept->mutable_ports()->MergeFrom(set.ports());
    kept->mutable_identities()->MergeFrom(set.identities());
    kept->mutable_names()->MergeFrom(set.names());
  }
  for (const auto& bytes : amendment.removed_addresses()) addresses_.erase(bytes);
  for (auto& address : *amendment.mutable_addresses()) {
    const std::string bytes = address.address();
    addresses_[bytes] = std::move(address);
  }
  sets_.set_revision(amendment.revision());
  prepared_ = false;
}

std::string digest_of(const std::string& payload) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  EVP_Digest(payload.data(), payload.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return std::string(reinterpret_cast<char*>(digest.data()), size);
}

}  // namespace cellwall
