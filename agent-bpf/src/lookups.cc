// SPDX-License-Identifier: Apache-2.0
#include "lookups.h"

#include <algorithm>

namespace cellwall {
namespace {

std::string bytes_of(const Address& address) {
  const bool v4 = address[10] == 0xff && address[11] == 0xff &&
                  std::all_of(address.begin(), address.begin() + 10, [](uint8_t byte) { return byte == 0; });
  return {address.begin() + (v4 ? 12 : 0), address.end()};
}

v1::Lookup make(uint64_t container, uint64_t wall_us, v1::LookupResult result) {
  v1::Lookup lookup;
  lookup.set_cgroup(container);
  lookup.set_window_us(wall_us - wall_us % Lookups::kWindowUs);
  lookup.set_result(result);
  lookup.set_count(1);
  return lookup;
}

}  // namespace

v1::LookupResult lookup_result(const DnsAnswer& answer) {
  if (answer.truncated) return v1::LOOKUP_RESULT_TRUNCATED;
  if (answer.code == kDnsNameError) return v1::LOOKUP_RESULT_NOT_FOUND;
  if (answer.code != kDnsNoError) return v1::LOOKUP_RESULT_FAILED;
  return answer.answered ? v1::LOOKUP_RESULT_ANSWERED : v1::LOOKUP_RESULT_EMPTY;
}

void Lookups::add(uint64_t container, const DnsAnswer& answer, uint64_t wall_us) {
  v1::Lookup lookup = make(container, wall_us, lookup_result(answer));
  lookup.set_name(answer.name);
  lookup.set_type(answer.type);
  for (const Address& address : answer.addresses) {
    if (lookup.addresses_size() == kMaxAddresses) break;
    lookup.add_addresses(bytes_of(address));
  }
  count(std::move(lookup));
}

void Lookups::add_unreadable(uint64_t container, uint64_t wall_us) {
  count(make(container, wall_us, v1::LOOKUP_RESULT_UNREADABLE));
}

Lookups::Key Lookups::key_of(const v1::Lookup& lookup) {
  return {lookup.cgroup(), lookup.window_us(), lookup.name(), lookup.type(), lookup.result()};
}

void Lookups::count(v1::Lookup lookup) {
  const auto known = versions_.find(key_of(lookup));
  if (known != versions_.end()) {
    lookup.set_count(by_version_.at(known->second).count() + 1);
    by_version_.erase(known->second);
    known->second = ++version_;
  } else {
    if (!make_room(lookup)) {
      dropped_++;
      return;
    }
    versions_.emplace(key_of(lookup), ++version_);
    per_container_[lookup.cgroup()]++;
  }
  by_version_.emplace(version_, std::move(lookup));
}

bool Lookups::make_room(const v1::Lookup& lookup) {
  const auto used = per_container_.find(lookup.cgroup());
  if (used != per_container_.end() && used->second >= limits_.per_container) return false;
  if (by_version_.size() < limits_.total) return true;
  const auto oldest = by_version_.begin();
  if (oldest->second.window_us() >= lookup.window_us()) return false;
  if (oldest->first > acknowledged_) dropped_ += oldest->second.count();
  erase(oldest);
  return true;
}

void Lookups::erase(std::map<uint64_t, v1::Lookup>::iterator entry) {
  const auto used = per_container_.find(entry->second.cgroup());
  if (--used->second == 0) per_container_.erase(used);
  versions_.erase(key_of(entry->second));
  by_version_.erase(entry);
}

uint64_t Lookups::fill(v1::FlowBatch* batch) const {
  uint64_t mark = 0;
  size_t rows = 0;
  for (auto entry = by_version_.upper_bound(acknowledged_);
       entry != by_version_.end() && rows < limits_.per_batch; ++entry, ++rows) {
    *batch->add_lookups() = entry->second;
    mark = entry->first;
  }
  return mark;
}

void Lookups::acknowledged(uint64_t mark) {
  acknowledged_ = std::max(acknowledged_, mark);
}

void Lookups::tick(uint64_t wall_us) {
  const uint64_t window = wall_us - wall_us % kWindowUs;
  for (auto entry = by_version_.begin(); entry != by_version_.end() && entry->first <= acknowledged_;) {
    const auto next = std::next(entry);
    if (entry->second.window_us() < window) erase(entry);
    entry = next;
  }
}

}  // namespace cellwall
