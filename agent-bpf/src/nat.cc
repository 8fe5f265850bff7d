// SPDX-License-Identifier: Apache-2.0
#include "nat.h"

#include <linux/netfilter/nf_conntrack_tcp.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>

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

// A connection that comes after this one with the same addresses makes an entry of its own, which may name
// another backend. The states of an entry go one way (nf_conntrack_proto_tcp.c), so they tell the two apart.
bool can_be_of(const TrackedConnection& entry, const cw_event& event) {
  if (event.protocol != IPPROTO_TCP || event.end == CW_END_OPEN || event.unsent) return true;
  switch (entry.tcp_state) {
    case TCP_CONNTRACK_SYN_SENT:
    case TCP_CONNTRACK_SYN_RECV:
      return event.end == CW_END_FAILED;
    case TCP_CONNTRACK_ESTABLISHED:
      return false;
    case TCP_CONNTRACK_CLOSE:
      return true;
    default:
      return event.end != CW_END_FAILED;
  }
}

bool is_inside(const Tuple& tuple) {
  return is_loopback(tuple.source.address) || is_loopback(tuple.destination.address) ||
         tuple.source.address == tuple.destination.address;
}

}  // namespace

// How a flow looks from where it has come to so far, going from the socket outwards.
struct Nat::Query {
  const cw_event* event;
  Tuple asked = {};  // what this container sends
  Tuple tuple = {};  // the same, so far outwards
  bool eligible = false;
  bool superseded = false;  // a later connection with the same addresses has ended, too
  bool missing = false;     // the last namespace that was asked tracks connections, but not this one

  bool wanted() const { return eligible && !superseded; }
  bool is_loopback_only() const {
    return is_loopback(tuple.destination.address) &&
           (is_loopback(tuple.source.address) || is_unspecified(tuple.source.address));
  }
  // Also of who was called: behind a redirect the caller's own side of it looks as if it came from outside.
  bool stays_inside() const { return is_inside(asked) || is_inside(tuple); }
  void follow(const std::optional<TrackedConnection>& entry);
};

void Nat::Query::follow(const std::optional<TrackedConnection>& entry) {
  const bool original = entry && entry->original == tuple, reply = entry && entry->reply == tuple;
  if ((!original && !reply) || !can_be_of(*entry, *event)) {
    missing = missing || !stays_inside();
    return;
  }
  // Seen here as it left the namespace before, it was not translated there.
  missing = false;
  // What answers a tuple here is, turned around, what it has become on its way outwards.
  const Tuple& answer = original ? entry->reply : entry->original;
  tuple.source = answer.destination;
  tuple.destination = answer.source;
}

Nat::Query Nat::query_of(const cw_event& event) const {
  Query query = {.event = &event};
  if (!has_passed(event)) return query;
  query.asked = {event.protocol, endpoint(event.local, event.local_port),
                 endpoint(event.remote, event.remote_port)};
  if (is_unspecified(query.asked.source.address) && !is_loopback(query.asked.destination.address))
    fill_source(&query.asked.source, query.asked.destination, site_of_(event));
  query.tuple = query.asked;
  query.eligible = is_v4(query.asked.source.address) == is_v4(query.asked.destination.address) &&
                   !is_unspecified(query.asked.source.address);
  return query;
}

// Of connections in one batch with the same addresses, the entry is that of the last one.
void Nat::mark_superseded(std::vector<Query>& queries) {
  std::vector<Query*> ends;
  for (Query& query : queries) {
    if (query.eligible && query.event->protocol == IPPROTO_TCP) ends.push_back(&query);
  }
  const auto key = [](const Query* query) {
    return std::tie(query->event->net, query->asked, query->event->end_ns);
  };
  std::sort(ends.begin(), ends.end(), [&](const Query* a, const Query* b) { return key(a) < key(b); });
  for (size_t i = 0; i + 1 < ends.size(); i++)
    ends[i]->superseded =
        ends[i]->event->net == ends[i + 1]->event->net && ends[i]->asked == ends[i + 1]->asked;
}

void Nat::look_up_in(Conntrack& conntrack, std::span<Query*> queries) {
  if (queries.empty() || !conntrack.active()) return;
  // Where both ends of a connection are here, the entry that one end's look-up finds is the other's as well.
  Known known;
  const auto first_ingress = std::stable_partition(queries.begin(), queries.end(), [](const Query* query) {
    return query->event->direction == CW_EGRESS;
  });
  std::vector<Query*> asked(queries.begin(), first_ingress);
  ask(conntrack, asked, &known);
  asked.clear();
  for (auto query = first_ingress; query != queries.end(); ++query) {
    if (const auto found = known.find((*query)->tuple); found != known.end())
      (*query)->follow(found->second);
    else
      asked.push_back(*query);
  }
  ask(conntrack, asked, nullptr);
}

void Nat::ask(Conntrack& conntrack, std::span<Query* const> queries, Known* known) {
  std::vector<Tuple> tuples;
  tuples.reserve(queries.size());
  for (const Query* query : queries) tuples.push_back(query->tuple);
  look_ups_ += tuples.size();
  const auto found = conntrack.look_up(tuples);
  for (size_t i = 0; i < queries.size(); i++) {
    if (found[i] && known) known->emplace(found[i]->reply, *found[i]);
    queries[i]->follow(found[i]);
  }
}

void Nat::look_up_in_pods(std::vector<Query>& queries, Time now) {
  std::map<Conntrack*, std::vector<Query*>> pods;
  for (Query& query : queries) {
    const cw_event& event = *query.event;
    if (!query.wanted() || !event.net || event.net == namespaces_.node_number() || query.is_loopback_only())
      continue;
    const auto cgroup = [&] { return site_of_(event).cgroup; };
    if (Conntrack* pod = namespaces_.pod(event.net, event.pid, cgroup, now)) pods[pod].push_back(&query);
  }
  for (auto& [conntrack, of_pod] : pods) look_up_in(*conntrack, of_pod);
}

// What a pod's own namespace keeps inside never gets here. The node itself can have sent anything elsewhere.
void Nat::look_up_in_node(std::vector<Query>& queries) {
  std::vector<Query*> outside;
  for (Query& query : queries) {
    const bool of_node = query.event->net == namespaces_.node_number();
    if (query.wanted() && (of_node || !query.stays_inside())) outside.push_back(&query);
  }
  if (Conntrack* node = namespaces_.node()) look_up_in(*node, outside);
}

NatResult Nat::result_of(const Query& query) const {
  NatResult result;
  if (!query.eligible) return result;
  if (query.missing || (query.superseded && !query.stays_inside())) {
    if (const auto known = open_.find(query.event->cookie); known != open_.end())
      result.translation = known->second;
    else
      result.untracked = true;
    return result;
  }
  const Tuple& outside = query.tuple;
  if (outside == query.asked) return result;
  result.translation = query.event->direction == CW_EGRESS ? Translation{outside.source, outside.destination}
                                                           : Translation{outside.destination, outside.source};
  return result;
}

std::vector<NatResult> Nat::look_up(std::span<const cw_event* const> events, Time now) {
  std::vector<Query> queries;
  queries.reserve(events.size());
  for (const cw_event* event : events) queries.push_back(query_of(*event));
  mark_superseded(queries);
  look_up_in_pods(queries, now);
  look_up_in_node(queries);
  std::vector<NatResult> results;
  results.reserve(events.size());
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
