// SPDX-License-Identifier: Apache-2.0
#include "kernel_policy.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cstring>

namespace cellwall {
namespace {

Result<Fd> make_map(bpf_map_type type, const char* name, uint32_t key, uint32_t value, size_t entries) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
  Fd fd(
      bpf_map_create(type, name, key, value, static_cast<uint32_t>(std::max<size_t>(entries, 1)), &options));
  if (!fd) return fail_errno(std::string("make the policy map ") + name);
  return fd;
}

template <typename Key, typename Value>
Result<void> put(int map, const Key& key, const Value& value, const char* what) {
  if (bpf_map_update_elem(map, &key, &value, BPF_ANY) != 0)
    return fail_errno(std::string("fill the policy map of ") + what);
  return {};
}

Result<Fd> make_subjects(const KernelPolicy& policy, uint32_t limit) {
  auto map = make_map(BPF_MAP_TYPE_HASH, "cw_subjects_in", sizeof(uint64_t), sizeof(cw_subject), limit);
  if (!map) return map;
  for (const auto& [cgroup, rule_set] : policy.subjects) {
    if (auto done = put(map->get(), cgroup, cw_subject{.rule_set = rule_set, .pad = 0}, "containers"); !done)
      return std::unexpected(done.error());
  }
  return map;
}

Result<Fd> make_peers(const KernelPolicy& policy) {
  auto map = make_map(BPF_MAP_TYPE_LPM_TRIE, "cw_peers_in", sizeof(cw_peer_key), sizeof(uint32_t),
                      policy.peers.size());
  if (!map) return map;
  for (const auto& peer : policy.peers) {
    cw_peer_key key = {.prefix_length = 32U + peer.prefix_length, .rule_set = peer.rule_set, .address = {}};
    std::memcpy(key.address, peer.network.data(), sizeof(key.address));
    if (auto done = put(map->get(), key, peer.class_id, "peers"); !done) return std::unexpected(done.error());
  }
  return map;
}

// class alone, class and protocol, or class, protocol and the first bits of the port
uint32_t port_prefix(const KernelPort& port) {
  if (port.port_prefix_length > 0) return 40U + port.port_prefix_length;
  return port.protocol ? 40 : 32;
}

Result<Fd> make_ports(const KernelPolicy& policy) {
  auto map = make_map(BPF_MAP_TYPE_LPM_TRIE, "cw_ports_in", sizeof(cw_port_key), sizeof(cw_port_value),
                      policy.ports.size());
  if (!map) return map;
  for (const auto& port : policy.ports) {
    const cw_port_key key = {
        .prefix_length = port_prefix(port),
        .class_id = port.class_id,
        .protocol = port.protocol,
        .port = {static_cast<uint8_t>(port.port >> 8), static_cast<uint8_t>(port.port & 0xff)},
        .pad = 0};
    const cw_port_value value = {.rule = port.rule, .verdict = port.verdict, .pad = {}};
    if (auto done = put(map->get(), key, value, "ports"); !done) return std::unexpected(done.error());
  }
  return map;
}

Result<void> within(size_t count, uint32_t limit, const char* what, const char* option) {
  if (count <= limit) return {};
  return fail("the policy needs " + std::to_string(count) + " " + what + ", the limit is " +
              std::to_string(limit) + " (" + option + "); the generation before stays in force");
}

std::string subjects_pin(uint64_t slot) {
  return "subjects_" + std::to_string(slot);
}

}  // namespace

PolicyMaps::PolicyMaps(const Pins& pins, Outer outer, const KernelOptions& limits)
    : pins_(pins), outer_(outer), limits_(limits) {}

Result<PolicyMaps> PolicyMaps::open(const Pins& pins, Outer outer, const KernelOptions& limits) {
  PolicyMaps maps(pins, outer, limits);
  const uint32_t zero = 0;
  cw_policy_state state = {};
  if (bpf_map_lookup_elem(outer.state, &zero, &state) != 0) return fail_errno("read the policy generation");
  maps.selector_ = state.selector;
  if (state.selector) {
    // Pinned, because opening an inner map by its id needs CAP_SYS_ADMIN.
    maps.subjects_ = pins.get(subjects_pin(state.selector & 1));
    if (!maps.subjects_)
      return fail_errno("open the pinned map " + pins.path(subjects_pin(state.selector & 1)));
  }
  return maps;
}

Result<void> PolicyMaps::check_limits(const KernelPolicy& policy) const {
  if (policy.generation == 0) return fail("a policy generation counts from 1");
  if (auto ok =
          within(policy.subjects.size(), limits_.policy_containers, "containers", "--policy-containers");
      !ok)
    return ok;
  if (auto ok = within(policy.peers.size(), limits_.policy_peers, "peer networks", "--policy-peers"); !ok)
    return ok;
  return within(policy.ports.size(), limits_.policy_ports, "port entries", "--policy-ports");
}

Result<void> PolicyMaps::apply(const KernelPolicy& policy) {
  if (auto ok = check_limits(policy); !ok) return ok;
  auto subjects = make_subjects(policy, limits_.policy_containers);
  if (!subjects) return std::unexpected(subjects.error());
  auto peers = make_peers(policy);
  if (!peers) return std::unexpected(peers.error());
  auto ports = make_ports(policy);
  if (!ports) return std::unexpected(ports.error());

  const uint32_t slot = selector_ ? !(selector_ & 1) : 0;
  if (auto ok = pins_.pin_fd(subjects->get(), subjects_pin(slot)); !ok) return ok;
  // Each of these waits until no program looks into what was there (maybe_wait_bpf_programs,
  // kernel/bpf/syscall.c).
  if (auto ok = put(outer_.subjects, slot, subjects->get(), "containers"); !ok) return ok;
  if (auto ok = put(outer_.peers, slot, peers->get(), "peers"); !ok) return ok;
  if (auto ok = put(outer_.ports, slot, ports->get(), "ports"); !ok) return ok;
  const cw_policy_state state = {.selector = policy.generation << 1 | slot};
  if (auto ok = put(outer_.state, uint32_t{0}, state, "the generation"); !ok) return ok;
  selector_ = state.selector;
  subjects_ = std::move(*subjects);
  return {};
}

Result<void> PolicyMaps::set_subject(uint64_t cgroup, uint32_t rule_set) {
  if (!subjects_) return {};  // no generation yet: apply() will bring all containers
  const cw_subject value = {.rule_set = rule_set, .pad = 0};
  if (bpf_map_update_elem(subjects_.get(), &cgroup, &value, BPF_ANY) == 0) return {};
  if (errno == E2BIG)
    return fail("no room for another container: the limit is " + std::to_string(limits_.policy_containers) +
                " (--policy-containers); it is not under policy");
  return fail_errno("write the policy of a container");
}

Result<void> PolicyMaps::remove_subject(uint64_t cgroup) {
  if (!subjects_) return {};
  if (bpf_map_delete_elem(subjects_.get(), &cgroup) != 0 && errno != ENOENT)
    return fail_errno("remove the policy of a container");
  return {};
}

std::optional<uint32_t> PolicyMaps::subject(uint64_t cgroup) const {
  cw_subject value = {};
  if (!subjects_ || bpf_map_lookup_elem(subjects_.get(), &cgroup, &value) != 0) return std::nullopt;
  return value.rule_set;
}

}  // namespace cellwall
