// SPDX-License-Identifier: Apache-2.0
//
// What the first payloads of flows told, until the events of the flows come.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <unordered_map>

#include "cellwall/events.h"
#include "dns_message.h"
#include "first_payload.h"

namespace cellwall {

class PayloadTable {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr size_t kEntries = 16384;  // full: the oldest goes
  // Of sockets whose event was lost in the kernel; a flow that is reported as open stays.
  static constexpr std::chrono::hours kMaxAge{24};

  explicit PayloadTable(size_t entries = kEntries) : limit_(entries) {}

  void add(const cw_capture& capture, Bytes bytes, Time now);
  // What is known of a flow that is open.
  PayloadKind find(const cw_event& event, Time now);
  // Of a flow that has ended, and forgets it.
  PayloadKind take(const cw_event& event);
  void tick(Time now);

  size_t size() const { return entries_.size(); }
  uint64_t dropped() const { return dropped_; }

 private:
  // A TCP socket; a UDP socket with one of its peers; or, for what came before a connection was accepted and
  // had a socket, the listening container with both ports and the peer.
  struct Key {
    uint64_t socket = 0;
    Address peer = {};
    uint16_t peer_port = 0;
    uint16_t local_port = 0;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };
  struct Entry {
    Key key;
    PayloadKind kind;
    Time touched;
  };
  using Entries = std::list<Entry>;

  static Key key_of(const cw_capture& capture);
  static Key key_of(const cw_event& event);
  static Key key_before_accept(const cw_event& event);
  void merge(const Key& key, PayloadKind kind, Time now);
  PayloadKind find(const Key& key, Time now);
  PayloadKind take(const Key& key);

  size_t limit_;
  Entries entries_;  // the one that was touched longest ago first
  std::unordered_map<Key, Entries::iterator, KeyHash> by_key_;
  uint64_t dropped_ = 0;
};

}  // namespace cellwall
