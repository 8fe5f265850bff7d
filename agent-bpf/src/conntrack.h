// SPDX-License-Identifier: Apache-2.0
//
// Look-ups in the connection tracking of one network namespace (ctnetlink). Never events: a listener costs
// every connection of the node more than half of its time again; a look-up costs nobody but us, some 4 us in
// a batch.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "fd.h"
#include "ip_address.h"
#include "result.h"

namespace cellwall {

struct Endpoint {
  Address address = {};
  uint16_t port = 0;  // host byte order
  auto operator<=>(const Endpoint&) const = default;
};

struct Tuple {
  uint8_t protocol = 0;  // TCP, UDP
  Endpoint source, destination;
  auto operator<=>(const Tuple&) const = default;
};

struct TupleHash {
  size_t operator()(const Tuple& tuple) const;
};

// One tracked connection: what its first packet asked for, and what answers look like.
struct TrackedConnection {
  Tuple original, reply;
  uint8_t tcp_state = 0;  // enum tcp_conntrack
};

class Conntrack {
 public:
  // In the network namespace that the calling thread is in; stays there.
  static Result<Conntrack> open();

  // The connections that the tuples belong to, in either direction; empty where there is none.
  std::vector<std::optional<TrackedConnection>> look_up(std::span<const Tuple> tuples);
  // Does this namespace track connections at all? A yes is believed for a while; a no never: the first
  // tracked connection may be the one that is asked about.
  bool active();

 private:
  explicit Conntrack(Fd socket) : socket_(std::move(socket)) {}
  using Found = std::span<std::optional<TrackedConnection>>;
  void look_up_batch(std::span<const Tuple> tuples, Found found);
  std::optional<uint32_t> entries();

  Fd socket_;
  uint32_t sequence_ = 0;
  bool active_ = false;
  std::chrono::steady_clock::time_point asked_;
};

}  // namespace cellwall
