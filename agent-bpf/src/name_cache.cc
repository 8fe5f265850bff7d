// SPDX-License-Identifier: Apache-2.0
#include "name_cache.h"

#include <algorithm>
#include <string_view>

namespace cellwall {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

uint64_t lasts_ns(uint32_t ttl, uint32_t grace) {
  return (std::clamp(ttl, NameCache::kMinTtl, NameCache::kMaxTtl) + uint64_t{grace}) * kSecond;
}

}  // namespace

size_t AddressHash::operator()(const Address& address) const {
  return std::hash<std::string_view>()({reinterpret_cast<const char*>(address.data()), address.size()});
}

uint64_t KnownAnswer::learned_until_ns() const {
  return time_ns + lasts_ns(ttl, NameCache::kKernelGrace);
}

void NameCache::add(uint64_t container, const DnsAnswer& answer, uint64_t time_ns,
                    const AnswerSource& source) {
  if (answer.addresses.empty()) return;
  const auto name = std::make_shared<const std::string>(answer.name);
  const uint64_t until = time_ns + lasts_ns(answer.ttl, kGrace);
  Container& known = containers_[container];
  for (const Address& address : answer.addresses)
    add_address(known, {.address = address,
                        .name = name,
                        .from_ns = time_ns,
                        .until_ns = until,
                        .time_ns = time_ns,
                        .ttl = answer.ttl,
                        .source = source});
  while (known.entries.size() > limits_.per_container) drop_oldest(known, time_ns);
  while (size_ > limits_.total) drop_oldest(fullest(), time_ns);
}

void NameCache::add_address(Container& container, Entry entry) {
  auto& names = container.by_address[entry.address];
  // The same answer again makes the one before last longer.
  if (!names.empty() && *names.back()->name == *entry.name && names.back()->until_ns >= entry.from_ns) {
    Entry& known = *names.back();
    known.until_ns = std::max(known.until_ns, entry.until_ns);
    known.time_ns = entry.time_ns;
    known.ttl = entry.ttl;
    known.source = entry.source;
    container.entries.splice(container.entries.end(), container.entries, names.back());
    return;
  }
  if (names.size() == kNamesPerAddress) {
    container.entries.erase(names.front());
    names.erase(names.begin());
    size_--;
  }
  names.push_back(container.entries.insert(container.entries.end(), std::move(entry)));
  size_++;
}

void NameCache::drop_oldest(Container& container, uint64_t now_ns) {
  const auto oldest = container.entries.begin();
  dropped_ += oldest->until_ns > now_ns;
  const auto names = container.by_address.find(oldest->address);
  std::erase(names->second, oldest);
  if (names->second.empty()) container.by_address.erase(names);
  container.entries.erase(oldest);
  size_--;
}

// Not the oldest of all: one container that asks for much must not take the names of its neighbours.
NameCache::Container& NameCache::fullest() {
  return std::max_element(containers_.begin(), containers_.end(),
                          [](const auto& one, const auto& other) {
                            return one.second.entries.size() < other.second.entries.size();
                          })
      ->second;
}

std::string NameCache::find(uint64_t container, const Address& address, uint64_t start_ns) const {
  const auto known = containers_.find(container);
  if (known == containers_.end() || start_ns == 0) return "";
  const auto names = known->second.by_address.find(address);
  if (names == known->second.by_address.end()) return "";
  for (auto entry = names->second.rbegin(); entry != names->second.rend(); ++entry) {
    if ((*entry)->from_ns <= start_ns && start_ns <= (*entry)->until_ns) return *(*entry)->name;
  }
  return "";
}

void NameCache::each(uint64_t container, const std::function<void(const KnownAnswer&)>& what) const {
  const auto known = containers_.find(container);
  if (known == containers_.end()) return;
  for (const Entry& entry : known->second.entries)
    what({.address = entry.address,
          .name = *entry.name,
          .ttl = entry.ttl,
          .time_ns = entry.time_ns,
          .source = entry.source});
}

void NameCache::forget(uint64_t container) {
  const auto known = containers_.find(container);
  if (known == containers_.end()) return;
  size_ -= known->second.entries.size();
  containers_.erase(known);
}

}  // namespace cellwall
