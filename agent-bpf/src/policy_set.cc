// SPDX-License-Identifier: Apache-2.0
#include "policy_set.h"

#include <bpf/bpf.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>

namespace cellwall {
namespace {

struct Kind {
  bpf_map_type type;
  const char* name;  // in the kernel, and of the pin
  uint32_t key;
  uint32_t value;
  const char* what;
  const char* option;
};

constexpr std::array<Kind, kPolicyMaps> kKinds = {{
    {BPF_MAP_TYPE_HASH, "subjects", sizeof(uint64_t), sizeof(cw_subject), "containers",
     "--policy-containers"},
    {BPF_MAP_TYPE_HASH, "addresses", 16, sizeof(uint32_t), "addresses", "--policy-addresses"},
    {BPF_MAP_TYPE_HASH, "identities", sizeof(cw_identity_key), sizeof(uint32_t), "identity entries",
     "--policy-identities"},
    {BPF_MAP_TYPE_LPM_TRIE, "peers", sizeof(cw_peer_key), sizeof(uint32_t), "peer networks",
     "--policy-peers"},
    {BPF_MAP_TYPE_LPM_TRIE, "ports", sizeof(cw_port_key), sizeof(cw_port_value), "port entries",
     "--policy-ports"},
    {BPF_MAP_TYPE_LPM_TRIE, "names", sizeof(cw_name_key), sizeof(uint64_t), "names", "--policy-names"},
    {BPF_MAP_TYPE_HASH, "patterns", sizeof(cw_pattern_key), sizeof(uint32_t), "names", "--policy-names"},
}};

const Kind& kind_of(PolicyMap map) {
  return kKinds[static_cast<size_t>(map)];
}

std::string pin_name(const Kind& kind, uint32_t slot) {
  return std::string(kind.name) + "_" + std::to_string(slot);
}

// class alone, class and protocol, or class, protocol and the first bits of the port
uint32_t port_prefix(const KernelPort& port) {
  if (port.port_prefix_length > 0) return 40U + port.port_prefix_length;
  return port.protocol ? 40 : 32;
}

cw_subject value_of(const KernelSubject& subject) {
  cw_subject value = {.rule_set = subject.rule_set, .flags = subject.flags, .own = {}};
  for (size_t i = 0; i < std::size(value.own) && i < subject.addresses.size(); i++)
    std::copy_n(subject.addresses[i].begin(), sizeof(value.own[i]), value.own[i]);
  return value;
}

}  // namespace

PolicyLimits policy_limits(const KernelOptions& options) {
  return {options.policy_containers, options.policy_addresses, options.policy_identities,
          options.policy_peers,      options.policy_ports,     options.policy_names,
          options.policy_names};
}

uint64_t pattern_number(const std::string& name) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest = {};
  unsigned int size = 0;
  EVP_Digest(name.data(), name.size(), digest.data(), &size, EVP_sha256(), nullptr);
  uint64_t number = 0;
  std::memcpy(&number, digest.data(), sizeof(number));
  return number ? number : 1;  // 0: none
}

std::optional<cw_name_key> name_key(uint32_t rule_set, const std::string& name) {
  const bool wildcard = name.starts_with("*.");
  std::string bytes(name.rbegin(), name.rend());
  if (wildcard)
    bytes.pop_back();  // the star: what is before it matches by being longer
  else
    bytes.push_back('\0');
  if (bytes.size() > CW_NAME_BYTES) return std::nullopt;
  cw_name_key key = {
      .prefix_length = static_cast<uint32_t>(32 + 8 * bytes.size()), .rule_set = rule_set, .name = {}};
  std::memcpy(key.name, bytes.data(), bytes.size());
  return key;
}

Result<PolicySet> PolicySet::make(const PolicyLimits& limits) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
  PolicySet set(limits);
  for (size_t i = 0; i < kPolicyMaps; i++) {
    const Kind& kind = kKinds[i];
    const std::string name = std::string("cw_") + kind.name + "_in";
    set.fds_[i] = Fd(bpf_map_create(kind.type, name.substr(0, BPF_OBJ_NAME_LEN - 1).c_str(), kind.key,
                                    kind.value, std::max<uint32_t>(limits[i], 1), &options));
    if (!set.fds_[i]) return fail_errno("make the policy map of " + std::string(kind.what));
  }
  return set;
}

// Pinned, because opening an inner map by its id needs CAP_SYS_ADMIN.
Result<PolicySet> PolicySet::adopt(const Pins& pins, uint32_t slot, const PolicyLimits& limits) {
  PolicySet set(limits);
  for (size_t i = 0; i < kPolicyMaps; i++) {
    set.fds_[i] = pins.get(pin_name(kKinds[i], slot));
    if (!set.fds_[i]) return fail_errno("open the pinned map " + pins.path(pin_name(kKinds[i], slot)));
  }
  return set;
}

Result<void> PolicySet::pin(const Pins& pins, uint32_t slot) const {
  for (size_t i = 0; i < kPolicyMaps; i++) {
    if (auto ok = pins.pin_fd(fds_[i].get(), pin_name(kKinds[i], slot)); !ok) return ok;
  }
  return {};
}

template <typename Key, typename Value>
Result<void> PolicySet::put(PolicyMap map, const Key& key, const Value& value) {
  if (bpf_map_update_elem(fd(map), &key, &value, BPF_ANY) == 0) return {};
  const Kind& kind = kind_of(map);
  if (errno == E2BIG || errno == ENOSPC)
    return fail("no room for more " + std::string(kind.what) + " of policies: the limit is " +
                std::to_string(limits_[static_cast<size_t>(map)]) + " (" + kind.option + ")");
  return fail_errno("fill the policy map of " + std::string(kind.what));
}

Result<void> PolicySet::add_ports(const std::vector<KernelPort>& ports) {
  for (const KernelPort& port : ports) {
    const cw_port_key key = {
        .prefix_length = port_prefix(port),
        .class_id = port.class_id,
        .protocol = port.protocol,
        .port = {static_cast<uint8_t>(port.port >> 8), static_cast<uint8_t>(port.port & 0xff)},
        .pad = 0};
    const cw_port_value value = {.rule = port.rule,
                                 .lifted_rule = port.lifted_rule,
                                 .verdict = port.verdict,
                                 .lift = port.lift,
                                 .pad = {}};
    if (auto ok = put(PolicyMap::kPorts, key, value); !ok) return ok;
  }
  return {};
}

Result<void> PolicySet::add_names(const std::vector<KernelName>& names) {
  for (const KernelName& name : names) {
    const auto key = name_key(name.rule_set, name.name);
    if (!key)
      return fail("the domain name '" + name.name + "' is longer than " + std::to_string(CW_NAME_BYTES - 1) +
                  " bytes");
    const uint64_t number = pattern_number(name.name);
    const cw_pattern_key pattern = {.rule_set = name.rule_set, .pad = 0, .pattern = number};
    if (auto ok = put(PolicyMap::kPatterns, pattern, name.class_id); !ok) return ok;
    if (auto ok = put(PolicyMap::kNames, *key, number); !ok) return ok;
  }
  return {};
}

Result<void> PolicySet::add_rules(const KernelRules& rules) {
  if (auto ok = add_ports(rules.ports); !ok) return ok;
  if (auto ok = add_names(rules.names); !ok) return ok;
  for (const KernelIdentity& entry : rules.identities) {
    const cw_identity_key key = {.rules = CW_RULES_OF(entry.rule_set, entry.direction),
                                 .identity = entry.identity};
    if (auto ok = put(PolicyMap::kIdentities, key, entry.class_id); !ok) return ok;
  }
  for (const KernelPeer& peer : rules.peers) {
    cw_peer_key key = {.prefix_length = 32U + peer.prefix_length,
                       .rules = CW_RULES_OF(peer.rule_set, peer.direction),
                       .address = {}};
    std::copy(peer.network.begin(), peer.network.end(), key.address);
    if (auto ok = put(PolicyMap::kPeers, key, peer.class_id); !ok) return ok;
  }
  return {};
}

Result<void> PolicySet::add_addresses(std::span<const KernelAddress> addresses) {
  for (const KernelAddress& entry : addresses) {
    if (auto ok = put(PolicyMap::kAddresses, entry.address, entry.identity); !ok) return ok;
  }
  return {};
}

Result<void> PolicySet::remove_addresses(std::span<const Address> addresses) {
  for (const auto& address : addresses) {
    if (bpf_map_delete_elem(fd(PolicyMap::kAddresses), address.data()) != 0 && errno != ENOENT)
      return fail_errno("remove an address from the policy");
  }
  return {};
}

Result<void> PolicySet::put_subject(const KernelSubject& subject) {
  return put(PolicyMap::kSubjects, subject.cgroup, value_of(subject));
}

bool PolicySet::has(const KernelSubject& subject) const {
  const auto known = this->subject(subject.cgroup);
  const cw_subject value = value_of(subject);
  return known && std::memcmp(&*known, &value, sizeof(value)) == 0;
}

Result<void> PolicySet::remove_subject(uint64_t cgroup) {
  if (bpf_map_delete_elem(fd(PolicyMap::kSubjects), &cgroup) != 0 && errno != ENOENT)
    return fail_errno("remove the policy of a container");
  return {};
}

std::optional<cw_subject> PolicySet::subject(uint64_t cgroup) const {
  cw_subject value = {};
  if (bpf_map_lookup_elem(fd(PolicyMap::kSubjects), &cgroup, &value) != 0) return std::nullopt;
  return value;
}

bool PolicySet::any_flags() const {
  const int map = fd(PolicyMap::kSubjects);
  uint64_t key = 0, next = 0;
  bool more = bpf_map_get_next_key(map, nullptr, &next) == 0;
  while (more) {
    key = next;
    if (const auto found = subject(key); found && found->flags) return true;
    more = bpf_map_get_next_key(map, &key, &next) == 0;
  }
  return false;
}

}  // namespace cellwall
