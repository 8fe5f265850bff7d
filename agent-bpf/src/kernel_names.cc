// SPDX-License-Identifier: Apache-2.0
#include "kernel_names.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "ip_address.h"
#include "test_run.h"

namespace cellwall {
namespace {

bool comes_before(const cw_resolver_key& one, const cw_resolver_key& other) {
  return std::memcmp(&one, &other, sizeof(one)) < 0;
}

// Keys of a hash map. What comes and goes meanwhile may be missing or twice.
template <typename Key>
std::vector<Key> keys_of(int map, uint32_t most) {
  std::vector<Key> keys;
  Key key;
  while (keys.size() < most && bpf_map_get_next_key(map, keys.empty() ? nullptr : &keys.back(), &key) == 0)
    keys.push_back(key);
  return keys;
}

void append(std::vector<uint8_t>& bytes, uint32_t number, int width) {
  while (width-- > 0) bytes.push_back(static_cast<uint8_t>(number >> width * 8));
}

// False: it has an empty or too long label.
bool append_name(std::vector<uint8_t>& bytes, std::string_view name) {
  constexpr size_t kMaxLabel = 63;
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    if (label.empty() || label.size() > kMaxLabel) return false;
    bytes.push_back(static_cast<uint8_t>(label.size()));
    bytes.insert(bytes.end(), label.begin(), label.end());
    name.remove_prefix(std::min(label.size() + 1, name.size()));
  }
  bytes.push_back(0);
  return true;
}

}  // namespace

std::vector<uint8_t> encode_dns_answer(const std::string& name, const Address& address, uint32_t ttl) {
  constexpr uint16_t kResponse = 0x8180, kIn = 1, kA = 1, kAaaa = 28, kPointerToQuestion = 0xc00c;
  const uint16_t type = is_v4(address) ? kA : kAaaa;
  const size_t skipped = type == kA ? 12 : 0;
  std::vector<uint8_t> bytes;
  for (const uint16_t word : {uint16_t{0}, kResponse, uint16_t{1}, uint16_t{1}, uint16_t{0}, uint16_t{0}})
    append(bytes, word, 2);
  if (!append_name(bytes, name)) return {};
  for (const uint16_t word : {type, kIn, kPointerToQuestion, type, kIn}) append(bytes, word, 2);
  append(bytes, ttl, 4);
  append(bytes, static_cast<uint32_t>(address.size() - skipped), 2);
  bytes.insert(bytes.end(), address.begin() + static_cast<ptrdiff_t>(skipped), address.end());
  return bytes;
}

Result<LearnedNames> LearnedNames::open(const Pins& pins, const Programs& programs, const Maps& maps) {
  LearnedNames names(pins, programs, maps);
  if (auto ok = names.guards_.adopt(); !ok) return std::unexpected(ok.error());
  return names;
}

// The count of addresses is the kernel's. It is zero as long as the network is not known.
Result<void> LearnedNames::put_learner(const KernelSubject& subject) {
  cw_learner learner = {};
  if (bpf_map_lookup_elem(maps_.learners, &subject.cgroup, &learner) == 0 &&
      (learner.net == subject.net || !subject.net))
    return {};
  learner.net = subject.net;
  if (bpf_map_update_elem(maps_.learners, &subject.cgroup, &learner, BPF_ANY) == 0) return {};
  if (errno == E2BIG)
    return fail("no room for another container that learns names: the limit is " +
                std::to_string(maps_.most_learners) + " (--policy-containers)");
  return fail_errno("let a container learn names");
}

Result<void> LearnedNames::set(const KernelSubject& subject) {
  if (!(subject.flags & CW_SUBJECT_NAMES)) {
    remove(subject.cgroup);
    return {};
  }
  if (auto ok = put_learner(subject); !ok) return ok;
  return guards_.add(subject.cgroup, subject.directory);
}

void LearnedNames::remove(uint64_t cgroup) {
  // What it learned goes with the next sweep.
  bpf_map_delete_elem(maps_.learners, &cgroup);
  guards_.remove(cgroup);
}

void LearnedNames::keep(std::span<const KernelSubject> subjects) {
  std::set<uint64_t> gone = guards_.guarded();
  for (const uint64_t cgroup : keys_of<uint64_t>(maps_.learners, maps_.most_learners)) gone.insert(cgroup);
  for (const KernelSubject& subject : subjects) {
    if (subject.flags & CW_SUBJECT_NAMES) gone.erase(subject.cgroup);
  }
  for (const uint64_t cgroup : gone) remove(cgroup);
}

Result<void> LearnedNames::set_resolvers(std::span<const KernelResolver> resolvers) {
  if (resolvers.size() > maps_.most_resolvers)
    return fail(std::to_string(resolvers.size()) + " name servers, the limit is " +
                std::to_string(maps_.most_resolvers) + "; the list before stays in force");
  std::vector<cw_resolver_key> wanted;
  for (const KernelResolver& resolver : resolvers) {
    cw_resolver_key& key = wanted.emplace_back(cw_resolver_key{.net = resolver.net, .address = {}});
    std::copy(resolver.address.begin(), resolver.address.end(), key.address);
  }
  std::sort(wanted.begin(), wanted.end(), comes_before);
  for (const cw_resolver_key& key : keys_of<cw_resolver_key>(maps_.resolvers, maps_.most_resolvers)) {
    if (!std::binary_search(wanted.begin(), wanted.end(), key, comes_before))
      bpf_map_delete_elem(maps_.resolvers, &key);
  }
  for (const cw_resolver_key& key : wanted) {
    const uint8_t yes = 1;
    if (bpf_map_update_elem(maps_.resolvers, &key, &yes, BPF_ANY) != 0)
      return fail_errno("set the name servers that containers learn from");
  }
  return {};
}

Result<void> LearnedNames::learn(uint64_t container, const Address& address, const std::string& name,
                                 uint32_t ttl, uint64_t time_ns) {
  const std::vector<uint8_t> message = encode_dns_answer(name, address, ttl);
  if (message.empty()) return fail("teach a container the name '" + name + "': it is no domain name");
  cw_taught head = {.frame = {}, .pad = {}, .container = container, .time_ns = time_ns};
  // An Ethernet type for experiments: it is no IP packet.
  head.frame[12] = 0x88;
  head.frame[13] = 0xb5;
  std::vector<uint8_t> packet(sizeof(head));
  std::memcpy(packet.data(), &head, sizeof(head));
  packet.insert(packet.end(), message.begin(), message.end());
  const auto room = test_run(programs_.teach, packet, "teach a container a name");
  if (!room) return std::unexpected(room.error());
  if (!*room)
    return fail("teach a container the name '" + name +
                "': no room; it learns more when addresses that it learned have expired");
  return {};
}

Result<std::vector<KernelLearned>> LearnedNames::learned() const {
  constexpr uint32_t kMost = 1 << 20;  // ends also when the map never stands still
  std::vector<KernelLearned> found;
  for (const cw_learned_key& key : keys_of<cw_learned_key>(maps_.learned, kMost)) {
    cw_learned learned = {};
    if (bpf_map_lookup_elem(maps_.learned, &key, &learned) != 0) continue;
    for (int i = 0; i < CW_LEARNED_PATTERNS; i++) {
      if (!learned.pattern[i]) continue;
      KernelLearned& one = found.emplace_back(KernelLearned{.container = key.container,
                                                            .address = {},
                                                            .pattern = learned.pattern[i],
                                                            .until_ns = learned.until_ns[i]});
      std::copy(std::begin(key.address), std::end(key.address), one.address.begin());
    }
  }
  return found;
}

Result<void> LearnedNames::sweep() {
  const auto done = test_run(programs_.sweep, "take away learned names that are over");
  if (!done) return std::unexpected(done.error());
  return {};
}

}  // namespace cellwall
