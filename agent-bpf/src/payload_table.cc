// SPDX-License-Identifier: Apache-2.0
#include "payload_table.h"

#include <netinet/in.h>

#include <algorithm>

#include "name_cache.h"

namespace cellwall {

size_t PayloadTable::KeyHash::operator()(const Key& key) const {
  constexpr size_t kOdd = 0x9e3779b97f4a7c15;
  return (key.socket * kOdd + key.peer_port) * kOdd + AddressHash()(key.peer) + key.local_port;
}

PayloadTable::Key PayloadTable::key_of(const cw_capture& capture) {
  Key key = {.socket = capture.cookie, .peer = {}, .peer_port = 0, .local_port = 0};
  if (capture.cookie && capture.protocol == IPPROTO_TCP) return key;
  std::copy_n(capture.peer, key.peer.size(), key.peer.begin());
  key.peer_port = capture.peer_port;
  if (capture.cookie) return key;
  key.socket = capture.socket_cgroup;
  key.local_port = capture.local_port;
  return key;
}

PayloadTable::Key PayloadTable::key_of(const cw_event& event) {
  if (event.protocol == IPPROTO_TCP)
    return {.socket = event.cookie, .peer = {}, .peer_port = 0, .local_port = 0};
  Key key = key_before_accept(event);
  key.socket = event.cookie;
  key.local_port = 0;
  return key;
}

PayloadTable::Key PayloadTable::key_before_accept(const cw_event& event) {
  Key key = {.socket = event.socket_cgroup,
             .peer = {},
             .peer_port = event.remote_port,
             .local_port = event.local_port};
  std::copy_n(event.remote, key.peer.size(), key.peer.begin());
  return key;
}

void PayloadTable::add(const cw_capture& capture, Bytes bytes, Time now) {
  const bool began = capture.began;
  merge(key_of(capture),
        classify({.bytes = bytes,
                  .length = capture.length,
                  .protocol = capture.protocol,
                  .from_client = began == static_cast<bool>(capture.outgoing),
                  .server_port = began ? capture.peer_port : capture.local_port}),
        now);
}

void PayloadTable::merge(const Key& key, PayloadKind kind, Time now) {
  if (const auto known = by_key_.find(key); known != by_key_.end()) {
    Entry& entry = *known->second;
    entry.kind = sharper(std::move(entry.kind), std::move(kind));
    entry.touched = now;
    entries_.splice(entries_.end(), entries_, known->second);
    return;
  }
  if (entries_.size() >= limit_) {
    by_key_.erase(entries_.front().key);
    entries_.pop_front();
    dropped_++;
  }
  by_key_.emplace(key,
                  entries_.insert(entries_.end(), {.key = key, .kind = std::move(kind), .touched = now}));
}

PayloadKind PayloadTable::find(const Key& key, Time now) {
  const auto known = by_key_.find(key);
  if (known == by_key_.end()) return {};
  known->second->touched = now;
  entries_.splice(entries_.end(), entries_, known->second);
  return known->second->kind;
}

PayloadKind PayloadTable::take(const Key& key) {
  const auto known = by_key_.find(key);
  if (known == by_key_.end()) return {};
  PayloadKind kind = std::move(known->second->kind);
  entries_.erase(known->second);
  by_key_.erase(known);
  return kind;
}

PayloadKind PayloadTable::find(const cw_event& event, Time now) {
  PayloadKind kind = find(key_of(event), now);
  if (event.direction != CW_INGRESS || event.protocol != IPPROTO_TCP) return kind;
  return sharper(find(key_before_accept(event), now), std::move(kind));
}

PayloadKind PayloadTable::take(const cw_event& event) {
  if (by_key_.empty()) return {};
  PayloadKind kind = take(key_of(event));
  if (event.direction != CW_INGRESS || event.protocol != IPPROTO_TCP) return kind;
  return sharper(take(key_before_accept(event)), std::move(kind));
}

void PayloadTable::tick(Time now) {
  while (!entries_.empty() && now - entries_.front().touched > kMaxAge) {
    by_key_.erase(entries_.front().key);
    entries_.pop_front();
  }
}

}  // namespace cellwall
