// SPDX-License-Identifier: Apache-2.0
#include "rule_set_check.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "cellwall/events.h"
#include "selectors.h"

namespace cellwall {
namespace {

constexpr size_t kAddressBytes = 16;
constexpr uint32_t kLargestPrefix = 128;
constexpr uint32_t kLargestPort = 65535;
constexpr uint32_t kLargestProtocol = 255;
constexpr uint32_t kPortBits = 16;

std::string where(const v1::RuleSet& set) {
  return "rule set " + std::to_string(set.id());
}

bool has_direction(v1::Direction direction) {
  return direction == v1::DIRECTION_EGRESS || direction == v1::DIRECTION_INGRESS;
}

// As the kernel learns them; a wildcard stands for one or more labels.
bool is_name(std::string_view name) {
  const bool wildcard = name.starts_with("*.");
  if (wildcard) name.remove_prefix(2);
  // In the kernel's key, one byte more says whether the name ends there.
  if (name.empty() || name.size() + 1 > CW_NAME_BYTES) return false;
  char before = '.';
  for (const char c : name) {
    const bool label = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!label && (c != '.' || before == '.')) return false;
    before = c;
  }
  return before != '.';
}

Result<void> check_port(const v1::PortEntry& port, const std::string& where) {
  if (port.protocol() > kLargestProtocol || port.port() > kLargestPort ||
      port.port_prefix_length() > kPortBits)
    return bad_rule_sets(where + " has a port entry out of range");
  if (port.verdict() < v1::VERDICT_ALLOWED || port.verdict() > v1::VERDICT_AUDIT)
    return bad_rule_sets(where + " has no verdict for a port");
  if (port.lift() < v1::LIFT_UNSPECIFIED || port.lift() > v1::LIFT_AUDIT)
    return bad_rule_sets(where + " has a port with a lift that this agent does not know: upgrade the agent");
  return {};
}

Result<void> check_entries(const v1::RuleSet& set, const KnownClass& has_ports) {
  for (const auto& peer : set.peers()) {
    if (peer.network().size() != kAddressBytes || peer.prefix_length() > kLargestPrefix)
      return bad_rule_sets(where(set) + " has a malformed network");
    if (!has_direction(peer.direction()))
      return bad_rule_sets(where(set) + " has a network without a direction");
    if (!has_ports(peer.class_()))
      return bad_rule_sets(where(set) + " has a network whose class has no ports");
  }
  for (const auto& entry : set.identities()) {
    if (entry.identity() == 0) return bad_rule_sets(where(set) + " has an identity 0");
    if (!has_direction(entry.direction()))
      return bad_rule_sets(where(set) + " has an identity without a direction");
    if (!has_ports(entry.class_()))
      return bad_rule_sets(where(set) + " has an identity whose class has no ports");
  }
  for (const auto& name : set.names()) {
    if (!is_name(name.name()))
      return bad_rule_sets(where(set) + " has a malformed name '" + name.name() + "'");
    if (!has_ports(name.class_())) return bad_rule_sets(where(set) + " has a name whose class has no ports");
  }
  return {};
}

Result<std::set<uint32_t>> check_ports(const v1::RuleSet& set) {
  std::set<uint32_t> classes;
  for (const auto& port : set.ports()) {
    if (auto ok = check_port(port, where(set)); !ok) return std::unexpected(ok.error());
    classes.insert(port.class_());
  }
  return classes;
}

bool covers(const v1::RuleSet& set, v1::Direction direction) {
  return std::any_of(set.peers().begin(), set.peers().end(), [&](const v1::PeerEntry& peer) {
    return peer.prefix_length() == 0 && peer.direction() == direction;
  });
}

Result<void> check_combination(const v1::RuleSet& set,
                               const google::protobuf::RepeatedPtrField<v1::PolicySelector>& selectors) {
  int64_t before = -1;
  for (uint32_t index : set.policies()) {
    if (index >= static_cast<size_t>(selectors.size()))
      return bad_rule_sets(where(set) + " names policy " + std::to_string(index) + ", which is not there");
    if (static_cast<int64_t>(index) <= before)
      return bad_rule_sets(where(set) + " names policies out of order");
    if (observes(selectors[static_cast<int>(index)]))
      return bad_rule_sets(where(set) + " names selector " + std::to_string(index) + ", which only observes");
    before = index;
  }
  return {};
}

// An entry that says otherwise than one that is kept. key: what makes an entry one of its kind.
template <typename Entries, typename Key>
bool contradicts(const Entries& additions, const Entries& kept, const Key& key) {
  if (additions.empty()) return false;
  // Of the few that are new; those that are kept can be many.
  std::map<decltype(key(additions[0])), uint32_t> classes;
  for (const auto& entry : additions) {
    if (classes.emplace(key(entry), entry.class_()).first->second != entry.class_()) return true;
  }
  return std::any_of(kept.begin(), kept.end(), [&](const auto& entry) {
    const auto found = classes.find(key(entry));
    return found != classes.end() && found->second != entry.class_();
  });
}

}  // namespace

std::unexpected<Error> bad_rule_sets(const std::string& what) {
  return fail("rule sets from the server: " + what);
}

Result<void> check_selectors(const v1::RuleSets& sets) {
  for (int i = 0; i < sets.policies_size(); i++) {
    const auto& selector = sets.policies(i);
    if (selector.index() != static_cast<uint32_t>(i))
      return bad_rule_sets("policies are not numbered in order");
    if (observes(selector) && selector.subject())
      return bad_rule_sets("selector " + std::to_string(i) +
                           " is of a policy and observes: it must be one of both");
  }
  return {};
}

Result<void> check_rule_set(const v1::RuleSet& set,
                            const google::protobuf::RepeatedPtrField<v1::PolicySelector>& selectors) {
  if (set.id() == 0) return bad_rule_sets("a rule set has id 0");
  if (auto ok = check_combination(set, selectors); !ok) return ok;
  const auto classes = check_ports(set);
  if (!classes) return std::unexpected(classes.error());
  if (auto ok = check_entries(set, [&](uint32_t id) { return classes->contains(id); }); !ok) return ok;
  for (v1::Direction direction : {v1::DIRECTION_EGRESS, v1::DIRECTION_INGRESS}) {
    if (!covers(set, direction))
      return bad_rule_sets(where(set) + " does not cover every address at " +
                           (direction == v1::DIRECTION_EGRESS ? "egress" : "ingress"));
  }
  return {};
}

Result<void> check_additions(const v1::RuleSet& additions, const v1::RuleSet& kept, const KnownClass& known) {
  if (additions.policies_size() > 0)
    return bad_rule_sets(where(additions) + " is known: its policies cannot change within a generation");
  const auto classes = check_ports(additions);
  if (!classes) return std::unexpected(classes.error());
  for (uint32_t id : *classes) {
    if (known(id))
      return bad_rule_sets(where(additions) + " has class " + std::to_string(id) +
                           " already, whose ports cannot change within a generation");
  }
  const auto has_ports = [&](uint32_t id) { return known(id) || classes->contains(id); };
  if (auto ok = check_entries(additions, has_ports); !ok) return ok;
  const bool changes =
      contradicts(additions.identities(), kept.identities(),
                  [](const v1::IdentityEntry& it) { return std::pair(it.identity(), it.direction()); }) ||
      contradicts(additions.peers(), kept.peers(),
                  [](const v1::PeerEntry& it) {
                    return std::tuple(it.network(), it.prefix_length(), it.direction());
                  }) ||
      contradicts(additions.names(), kept.names(), [](const v1::NameEntry& it) { return it.name(); });
  if (changes)
    return bad_rule_sets(where(additions) +
                         " would change the class of an entry, which only a new generation may");
  return {};
}

Result<void> check_address(const v1::Address& address) {
  if (address.address().size() != kAddressBytes) return bad_rule_sets("an address has not 16 bytes");
  if (address.identity() == 0) return bad_rule_sets("an address has identity 0");
  if (!address.node().empty() && address.own_identity() == 0)
    return bad_rule_sets("an address of node " + address.node() + " has no identity for the node itself");
  return {};
}

Result<void> check_removed_address(const std::string& address) {
  if (address.size() != kAddressBytes) return bad_rule_sets("an address to be removed has not 16 bytes");
  return {};
}

}  // namespace cellwall
