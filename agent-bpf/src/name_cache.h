// SPDX-License-Identifier: Apache-2.0
//
// Which name a container looked an address up by. Answers are kept beyond their time to live, since a flow's
// event comes when it ends: only its start has to be within it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "dns_message.h"

namespace cellwall {

struct AddressHash {
  size_t operator()(const Address& address) const;
};

// How an answer came: what decides whether it may teach (bpf/names_guard.h).
struct AnswerSource {
  Address server = {};  // as the container asked it
  uint32_t net = 0;     // network namespace: its inode number, 0: unknown
  bool loopback = false;
  bool stream = false;
};

// The newest answer that gave a container an address for a name.
struct KnownAnswer {
  const Address& address;
  const std::string& name;
  uint32_t ttl;
  uint64_t time_ns;  // CLOCK_BOOTTIME
  const AnswerSource& source;

  uint64_t learned_until_ns() const;  // as the kernel has it
};

class NameCache {
 public:
  struct Limits {
    size_t per_container = 1024;  // addresses; full: the container's oldest goes
    size_t total = 8192;          // full: the oldest of the container with the most goes
  };
  // Shorter and longer times to live are taken as these, in seconds; the kernel does the same
  // (bpf/dns_answer.h).
  static constexpr uint32_t kMinTtl = 30;
  static constexpr uint32_t kMaxTtl = 3600;
  static constexpr uint32_t kKernelGrace = 60;
  // Programs and their connection pools go on with an answer for a while after it has expired.
  static constexpr uint32_t kGrace = 300;
  // Names of one address, of which the newest are kept.
  static constexpr size_t kNamesPerAddress = 4;

  NameCache() : NameCache(Limits{}) {}
  explicit NameCache(Limits limits) : limits_(limits) {}

  // time_ns: of the answer, CLOCK_BOOTTIME.
  void add(uint64_t container, const DnsAnswer& answer, uint64_t time_ns, const AnswerSource& source = {});
  void each(uint64_t container, const std::function<void(const KnownAnswer&)>& what) const;
  // The name by which an address was looked up before a flow to it began, empty: none.
  std::string find(uint64_t container, const Address& address, uint64_t start_ns) const;
  void forget(uint64_t container);

  size_t size() const { return size_; }
  // Addresses which went before their time because there was no room.
  uint64_t dropped() const { return dropped_; }

 private:
  struct Entry {
    Address address;
    std::shared_ptr<const std::string> name;
    uint64_t from_ns;
    uint64_t until_ns;
    // Of the newest answer.
    uint64_t time_ns;
    uint32_t ttl;
    AnswerSource source;
  };
  using Entries = std::list<Entry>;
  struct Container {
    Entries entries;  // the one that was answered longest ago first
    std::unordered_map<Address, std::vector<Entries::iterator>, AddressHash> by_address;  // likewise
  };

  void add_address(Container& container, Entry entry);
  void drop_oldest(Container& container, uint64_t now_ns);
  Container& fullest();

  Limits limits_;
  std::unordered_map<uint64_t, Container> containers_;
  size_t size_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace cellwall
