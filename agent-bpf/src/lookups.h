// SPDX-License-Identifier: Apache-2.0
//
// How often containers asked for names, by the minute, until the server has it. A count that grew is sent
// again and replaces the one before, so sending twice does no harm.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>

#include "cellwall/v1/agent.pb.h"
#include "dns_message.h"

namespace cellwall {

v1::LookupResult lookup_result(const DnsAnswer& answer);

class Lookups {
 public:
  struct Limits {
    size_t per_container = 512;  // full: further names are not counted until the minute is over and sent
    size_t total = 4096;         // full: the oldest minute goes, or if it is this one, the new name
    size_t per_batch = 1024;
  };
  static constexpr uint64_t kWindowUs = 60'000'000;
  static constexpr int kMaxAddresses = 16;

  Lookups() : Lookups(Limits{}) {}
  explicit Lookups(Limits limits) : limits_(limits) {}

  void add(uint64_t container, const DnsAnswer& answer, uint64_t wall_us);
  void add_unreadable(uint64_t container, uint64_t wall_us);

  // Writes what the server does not have, oldest first, and returns the mark to give to acknowledged() when
  // the batch was stored. 0: there is nothing.
  uint64_t fill(v1::FlowBatch* batch) const;
  void acknowledged(uint64_t mark);
  // Forgets what is acknowledged and over.
  void tick(uint64_t wall_us);

  size_t size() const { return by_version_.size(); }
  uint64_t dropped() const { return dropped_; }  // look-ups that were counted nowhere, or lost before sent

 private:
  using Key =
      std::tuple<uint64_t, uint64_t, std::string, uint32_t, int>;  // container, window, name, type, result

  static Key key_of(const v1::Lookup& lookup);
  void count(v1::Lookup lookup);
  bool make_room(const v1::Lookup& lookup);
  void erase(std::map<uint64_t, v1::Lookup>::iterator entry);

  Limits limits_;
  std::map<uint64_t, v1::Lookup> by_version_;  // the version counts changes of any of them
  std::map<Key, uint64_t> versions_;
  std::unordered_map<uint64_t, size_t> per_container_;
  uint64_t version_ = 0;
  uint64_t acknowledged_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace cellwall
