// SPDX-License-Identifier: Apache-2.0
//
// The addresses of a flow on the other side of NAT: first as the pod's own namespace translates (a mesh
// redirects there), then as the node does.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "cellwall/events.h"
#include "conntrack.h"
#include "namespaces.h"

namespace cellwall {

struct Translation {
  // Egress: what the far side sees, and the backend. Ingress: the caller's own address, and what it asked
  // for.
  Endpoint source, destination;
};

struct NatResult {
  std::optional<Translation> translation;
  // Connections are tracked where the flow passed, but no entry is certainly its own: it may have been
  // translated.
  bool untracked = false;
};

// What has to be known about the container of an event.
struct NatSite {
  std::string cgroup;                              // directory, to find a process of the pod
  std::vector<std::array<uint8_t, 16>> addresses;  // of the pod
};

class Nat {
 public:
  using Time = Namespaces::Time;
  using SiteOf = std::function<NatSite(const cw_event&)>;

  Nat(Namespaces namespaces, SiteOf site_of)
      : namespaces_(std::move(namespaces)), site_of_(std::move(site_of)) {}

  // One result for each event.
  std::vector<NatResult> look_up(std::span<const cw_event* const> events, Time now);
  // As look_up, for flows that are open: what is found is remembered for their ends, when entries can be
  // gone.
  std::vector<NatResult> look_up_open(std::span<const cw_event* const> events, Time now);
  Namespaces& namespaces() { return namespaces_; }
  uint64_t look_ups() const { return look_ups_; }  // since the start, one for each namespace that was asked

 private:
  struct Query;
  Query query_of(const cw_event& event) const;
  static void mark_superseded(std::vector<Query>& queries);
  using Known = std::unordered_map<Tuple, TrackedConnection, TupleHash>;  // by what answers look like
  void look_up_in(Conntrack& conntrack, std::span<Query*> queries);
  void ask(Conntrack& conntrack, std::span<Query* const> queries, Known* known);
  void look_up_in_pods(std::vector<Query>& queries, Time now);
  void look_up_in_node(std::vector<Query>& queries);
  NatResult result_of(const Query& query) const;

  Namespaces namespaces_;
  SiteOf site_of_;
  std::unordered_map<uint64_t, Translation> open_;  // by cookie
  uint64_t look_ups_ = 0;
};

}  // namespace cellwall
