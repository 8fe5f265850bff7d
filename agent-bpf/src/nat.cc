// SPDX-License-Identifier: Apache-2.0
#include "nat.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <map>

namespace cellwall {
namespace {

Endpoint endpoint(const uint8_t address[16], uint16_t port) {
  Endpoint end;
  std::memcpy(end.address.data(), address, end.address.size());
  end.port = port;
  return end;
}

// Nothing was sent, or nothing that is tracked with ports.
bool has_passed(const cw_event& event) {
  const bool ports = event.protocol == IPPROTO_TCP || event.protocol == IPPROTO_UDP;
  return ports && event.verdict != CW_DENIED && event.remote_port != 0 && event.local_port != 0 &&
         event.failure != CW_FAILURE_UNREACHABLE;
}

// The address of the pod stands for that of a socket which is bound to all.
void fill_source(Endpoint* source, const Endpoint& remote, const NatSite& site) {
  if (!is_unspecified(source->address)) return;
  for (const auto& address : site.addresses) {
    if (is_v4(address) == is_v4(remote.address)) source->address = address;
  }
}

}  // namespace

// How a flow looks from where it has come to so far, going from the socket outwards.
struct Nat::Query {
  const cw_event* event;
  Tuple tuple;  // what this container sends, so far outwards
  bool eligible = false;
  bool tracked = false;  // an entry was found
  bool missing = false;  // an active namespace had none

  bool stays_inside() const {
    return is_loopback(tuple.source.address) || is_loopback(tuple.destination.address) ||
           tuple.source.address == tuple.destination.address;
  }
};

void Nat::look_up_in(Conntrack& conntrack, std::span<Query*> queries) {
  if (queries.empty() || !conntrack.active()) return;
  std::vector<Tuple> tuples;
  for (const Query* query : queries) tuples.push_back(query->tuple);
  const auto found = conntrack.look_up(tuples);
  for (size_t i = 0; i < queries.size(); i++) {
    Query& query = *queries[i];
    if (!found[i]) {
      query.missing = true;
      continue;
    }
    query.tracked = true;
    // What answers a tuple here is, turned around, what it has become on its way outwards.
    const bool original = found[i]->original == query.tuple;
    const Tuple& answer = original ? found[i]->reply : found[i]->original;
    query.tuple.source = answer.destination;
    query.tuple.destination = answer.source;
  }
}

void Nat::look_up_in_pods(std::vector<Query>& queries, Time now) {
  std::map<Conntrack*, std::vector<Query*>> pods;
  for (Query& query : queries) {
    const cw_event& event = *query.event;
    if (!query.eligible || !event.net || event.net == namespaces_.node_number()) continue;
    if (Conntrack* pod = namespaces_.pod(event.net, event.pid, site_of_(event).cgroup, now))
      pods[pod].push_back(&query);
  }
  for (auto& [conntrack, of_pod] : pods) look_up_in(*conntrack, of_pod);
}

NatResult Nat::result_of(const Query& query) const {
  NatResult result;
  if (!query.eligible) return result;
  const cw_event& event = *query.event;
  const Endpoint local = endpoint(event.local, event.local_port);
  const Endpoint remote = endpoint(event.remote, event.remote_port);
  const bool egress = event.direction == CW_EGRESS;
  const bool translated =
      query.tuple.destination != remote || (!is_unspecified(local.address) && query.tuple.source != local);
  if (query.tracked && translated) {
    result.translation = egress ? Translation{query.tuple.source, query.tuple.destination}
                                : Translation{query.tuple.destination, query.tuple.source};
    return result;
  }
  if (query.tracked) return result;
  if (const auto known = open_.find(event.cookie); known != open_.end()) {
    result.translation = known->second;
    return result;
  }
  result.untracked = query.missing;
  return result;
}

std::vector<NatResult> Nat::look_up(std::span<const cw_event* const> events, Time now) {
  std::vector<Query> queries;
  queries.reserve(events.size());
  for (const cw_event* event : events) {
    Query query = {.event = event, .tuple = {}, .eligible = has_passed(*event)};
    if (query.eligible) {
      query.tuple = {event->protocol, endpoint(event->local, event->local_port),
                     endpoint(event->remote, event->remote_port)};
      if (is_unspecified(query.tuple.source.address))
        fill_source(&query.tuple.source, query.tuple.destination, site_of_(*event));
      query.eligible = is_v4(query.tuple.source.address) == is_v4(query.tuple.destination.address);
    }
    queries.push_back(query);
  }
  look_up_in_pods(queries, now);
  std::vector<Query*> outside;
  for (Query& query : queries) {
    if (query.eligible && !query.stays_inside()) outside.push_back(&query);
  }
  if (Conntrack* node = namespaces_.node()) look_up_in(*node, outside);
  std::vector<NatResult> results;
  for (const Query& query : queries) results.push_back(result_of(query));
  return results;
}

std::vector<NatResult> Nat::look_up_open(std::span<const cw_event* const> events, Time now) {
  auto results = look_up(events, now);
  open_.clear();
  for (size_t i = 0; i < events.size(); i++) {
    if (results[i].translation) open_.emplace(events[i]->cookie, *results[i].translation);
  }
  return results;
}

}  // namespace cellwall
