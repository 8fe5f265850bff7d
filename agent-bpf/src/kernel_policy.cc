// SPDX-License-Identifier: Apache-2.0
#include "kernel_policy.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cstring>
#include <thread>

namespace cellwall {
namespace {

Result<void> write_state(int map, const cw_policy_state& state) {
  const uint32_t zero = 0;
  if (bpf_map_update_elem(map, &zero, &state, BPF_ANY) != 0) return fail_errno("write the policy generation");
  return {};
}

Result<void> within(size_t count, uint32_t limit, const char* what, const char* option) {
  if (count <= limit) return {};
  return fail("the policy needs " + std::to_string(count) + " " + what + ", the limit is " +
              std::to_string(limit) + " (" + option + ")");
}

// Before anything is made, so that a large policy is refused at once.
Result<void> check_limits(const KernelPolicy& policy, const PolicyLimits& limits) {
  const auto limit = [&](PolicyMap map) { return limits[static_cast<size_t>(map)]; };
  const KernelRules& rules = policy.rules;
  const std::array<Result<void>, 6> checks = {
      within(policy.subjects.size(), limit(PolicyMap::kSubjects), "containers", "--policy-containers"),
      within(policy.addresses.size(), limit(PolicyMap::kAddresses), "addresses", "--policy-addresses"),
      within(rules.identities.size(), limit(PolicyMap::kIdentities), "identity entries",
             "--policy-identities"),
      within(rules.peers.size(), limit(PolicyMap::kPeers), "peer networks", "--policy-peers"),
      within(rules.ports.size(), limit(PolicyMap::kPorts), "port entries", "--policy-ports"),
      within(rules.names.size(), limit(PolicyMap::kNames), "names", "--policy-names")};
  for (const auto& check : checks) {
    if (!check) return fail(check.error().message + "; the generation before stays in force");
  }
  return {};
}

Result<PolicySet> make_set(const KernelPolicy& policy, const PolicyLimits& limits) {
  auto set = PolicySet::make(limits);
  if (!set) return set;
  Result<void> done = set->add_rules(policy.rules);
  if (done) done = set->add_addresses(policy.addresses);
  for (const KernelSubject& subject : policy.subjects) {
    if (done) done = set->put_subject(subject);
  }
  if (!done) return std::unexpected(done.error());
  return set;
}

// Each update waits until no program looks into what was there (maybe_wait_bpf_programs,
// kernel/bpf/syscall.c), some 20 ms: side by side, so that a deny is in force that much sooner.
Result<void> put_in_place(const std::array<int, kPolicyMaps>& outer, const PolicySet& set, uint32_t slot) {
  std::array<int, kPolicyMaps> errors = {};
  {
    std::array<std::jthread, kPolicyMaps> waiting;
    for (size_t i = 0; i < kPolicyMaps; i++) {
      waiting[i] = std::jthread([&, i] {
        const int inner = set.fd(static_cast<PolicyMap>(i));
        errors[i] = bpf_map_update_elem(outer[i], &slot, &inner, BPF_ANY) == 0 ? 0 : errno;
      });
    }
  }
  for (int error : errors) {
    if (error) return fail_errno("put the policy maps in place", error);
  }
  return {};
}

}  // namespace

PolicyMaps::PolicyMaps(const Pins& pins, Outer outer, const KernelOptions& limits)
    : pins_(pins), outer_(outer), limits_(policy_limits(limits)) {}

Result<PolicyMaps> PolicyMaps::open(const Pins& pins, Outer outer, const KernelOptions& limits) {
  PolicyMaps maps(pins, outer, limits);
  const uint32_t zero = 0;
  if (bpf_map_lookup_elem(outer.state, &zero, &maps.state_) != 0)
    return fail_errno("read the policy generation");
  if (!maps.state_.selector) return maps;
  auto set = PolicySet::adopt(pins, maps.state_.selector & 1, maps.limits_);
  if (!set) return std::unexpected(set.error());
  maps.in_force_.emplace(std::move(*set));
  return maps;
}

// A program that read `changes` before and looked into the maps afterwards keeps its result with the old
// number. Nothing orders its two reads of cw_policy_state on all machines, so a swap counts twice: what was
// read between the two has a number that is over already.
Result<void> PolicyMaps::changed() {
  state_.changes++;
  return write_state(outer_.state, state_);
}

Result<void> PolicyMaps::put_in_force(PolicySet set, uint64_t generation, uint32_t slot) {
  if (auto ok = set.pin(pins_, slot); !ok) return ok;
  if (auto ok = put_in_place(outer_.maps, set, slot); !ok) return ok;
  cw_policy_state next = {.selector = generation << 1 | slot, .changes = state_.changes + 1};
  if (auto ok = write_state(outer_.state, next); !ok) return ok;
  state_ = next;
  in_force_.emplace(std::move(set));
  return changed();
}

Result<void> PolicyMaps::apply(const KernelPolicy& policy) {
  if (policy.generation == 0) return fail("a policy generation counts from 1");
  if (auto ok = check_limits(policy, limits_); !ok) return ok;
  auto set = make_set(policy, limits_);
  if (!set) return fail(set.error().message + "; the generation before stays in force");
  const uint32_t slot = state_.selector ? !(state_.selector & 1) : 0;
  return put_in_force(std::move(*set), policy.generation, slot);
}

Result<void> PolicyMaps::amend(const KernelAmendment& amendment) {
  if (!in_force_) return fail("there is no generation that could be amended");
  Result<void> done = in_force_->add_rules(amendment.rules);
  if (done) done = in_force_->add_addresses(amendment.addresses);
  if (done) done = in_force_->remove_addresses(amendment.removed_addresses);
  const auto counted = changed();
  return done ? counted : done;
}

Result<void> PolicyMaps::set_subject(const KernelSubject& subject) {
  if (!in_force_) {
    // apply() will bring all containers. One that must wait for it needs maps before: generation 0, whose
    // selector is not 0 in slot 1.
    if (!(subject.flags & CW_SUBJECT_STARTUP)) return {};
    auto set = PolicySet::make(limits_);
    if (!set) return std::unexpected(set.error());
    if (auto ok = put_in_force(std::move(*set), 0, 1); !ok) return ok;
  }
  if (in_force_->has(subject)) return {};
  if (auto ok = in_force_->put_subject(subject); !ok)
    return fail(ok.error().message + "; a container is not under policy");
  return changed();
}

Result<void> PolicyMaps::remove_subject(uint64_t cgroup) {
  if (!in_force_ || !in_force_->subject(cgroup)) return {};
  if (auto ok = in_force_->remove_subject(cgroup); !ok) return ok;
  return changed();
}

std::optional<cw_subject> PolicyMaps::subject(uint64_t cgroup) const {
  return in_force_ ? in_force_->subject(cgroup) : std::nullopt;
}

Result<void> PolicyMaps::allow_at_startup(const std::vector<KernelStartupAllow>& allowed) {
  std::vector<cw_startup_key> keys;
  for (const KernelStartupAllow& allow : allowed) {
    cw_startup_key key = {.address = {}, .port = allow.port, .protocol = allow.protocol, .pad = 0};
    std::copy(allow.address.begin(), allow.address.end(), key.address);
    keys.push_back(key);
    const uint8_t one = 1;
    if (bpf_map_update_elem(outer_.startup, &key, &one, BPF_ANY) != 0)
      return fail_errno("write what containers may reach at their start (at most 256 entries)");
  }
  cw_startup_key key = {}, next = {};
  bool more = bpf_map_get_next_key(outer_.startup, nullptr, &next) == 0;
  while (more) {
    key = next;
    more = bpf_map_get_next_key(outer_.startup, &key, &next) == 0;
    const auto same = [&](const cw_startup_key& kept) { return std::memcmp(&kept, &key, sizeof(key)) == 0; };
    if (std::none_of(keys.begin(), keys.end(), same)) bpf_map_delete_elem(outer_.startup, &key);
  }
  return changed();
}

}  // namespace cellwall
