// SPDX-License-Identifier: Apache-2.0
#include "squeeze.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <unordered_map>

namespace cellwall {
namespace {

bool is_egress(const FlowRow& row) {
  return row.direction == v1::DIRECTION_EGRESS;
}

uint32_t server_port(const FlowRow& row) {
  return is_egress(row) ? row.remote.port : row.local.port;
}

void put(std::string* key, uint64_t value) {
  key->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void put(std::string* key, std::string_view text) {
  put(key, text.size());
  key->append(text);
}

// Rows with one key tell the same, but for when, how much, and from which port of the caller.
std::string key_of(const FlowRow& row) {
  std::string key;
  put(&key, row.cgroup);
  put(&key, row.remote.address);
  put(&key, uint64_t{server_port(row)} << 32 | row.protocol << 8 | static_cast<uint32_t>(row.direction));
  put(&key, row.local.address);
  put(&key, uint64_t{static_cast<uint32_t>(row.verdict)} << 48 |
                uint64_t{static_cast<uint32_t>(row.end)} << 40 |
                uint64_t{static_cast<uint32_t>(row.failure)} << 32 | row.rule);
  put(&key, row.process_name);
  put(&key, uint64_t{static_cast<uint32_t>(row.payload)} << 32 | row.tls_version << 2 |
                row.has_server_name << 1 | row.named);
  put(&key, row.server_name);
  put(&key, row.name);
  if (!row.translated) return key;
  put(&key, row.source.address);
  put(&key, row.destination.address);
  put(&key, row.destination.port);
  return key;
}

// The end of MurmurHash3.
uint64_t mix(uint64_t value) {
  value = (value ^ value >> 33) * 0xff51afd7ed558ccd;
  value = (value ^ value >> 33) * 0xc4ceb9fe1a85ec53;
  return value ^ value >> 33;
}

uint64_t sum_plus_one(uint64_t a, uint64_t b) {
  return a && b ? a + b - 1 : a + b;
}

uint32_t sum(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>(std::min<uint64_t>(uint64_t{a} + b, std::numeric_limits<uint32_t>::max()));
}

void keep_if_same(uint32_t* mine, uint32_t other) {
  if (*mine != other) *mine = 0;
}

void merge_into(FlowRow* row, const FlowRow& other) {
  const int64_t begin = std::min(row->begin_us(), other.begin_us());
  row->end_us = std::max(row->end_us, other.end_us);
  row->duration_plus_one = static_cast<uint64_t>(row->end_us - begin) + 1;
  row->sent_plus_one = sum_plus_one(row->sent_plus_one, other.sent_plus_one);
  row->received_plus_one = sum_plus_one(row->received_plus_one, other.received_plus_one);
  row->sent_packets = sum(row->sent_packets, other.sent_packets);
  row->received_packets = sum(row->received_packets, other.received_packets);
  row->rtt_us = std::max(row->rtt_us, other.rtt_us);
  row->retransmits = sum(row->retransmits, other.retransmits);
  row->generation = std::max(row->generation, other.generation);
  row->flags |= other.flags;
  row->count = sum(row->count, other.count);
  row->first_of_pair |= other.first_of_pair;
  keep_if_same(&row->process_id, other.process_id);
  keep_if_same(is_egress(*row) ? &row->local.port : &row->remote.port,
               is_egress(*row) ? other.local.port : other.remote.port);
  if (row->translated) keep_if_same(&row->source.port, other.source.port);
}

uint32_t events_of(const v1::FlowBatch& batch) {
  return batch.events() ? batch.events() : batch.ended().rows();
}

void count_dropped(v1::FlowBatch* batch, v1::LossReason reason, const FlowRow& row) {
  auto* all = batch->mutable_dropped();
  auto found = std::find_if(all->begin(), all->end(), [&](const auto& it) { return it.reason() == reason; });
  v1::Dropped* dropped = found == all->end() ? all->Add() : &*found;
  const auto begin = static_cast<uint64_t>(std::max<int64_t>(row.begin_us(), 0));
  const auto end = static_cast<uint64_t>(std::max<int64_t>(row.end_us, 0));
  const bool first = dropped->count() == 0;
  dropped->set_reason(reason);
  dropped->set_count(dropped->count() + row.count);
  dropped->set_first_us(first ? begin : std::min(dropped->first_us(), begin));
  dropped->set_last_us(std::max(dropped->last_us(), end));
}

}  // namespace

bool KnownPairs::add(uint64_t hash) {
  if (seen_.empty()) seen_.resize(kPairs);
  uint32_t& place = seen_[hash % kPairs];
  const auto mark = static_cast<uint32_t>(hash >> 32) | 1;
  return std::exchange(place, mark) != mark;
}

// On the columns themselves: this is done to every batch that is spooled.
void Squeezer::mark_new_pairs(v1::FlowBatch* batch) {
  auto* c = batch->mutable_ended();
  c->clear_first_of_pair();
  std::vector<uint64_t> addresses;
  for (const std::string& address : c->addresses()) addresses.push_back(std::hash<std::string>()(address));
  for (uint32_t i = 0; i < c->rows(); i++) {
    const auto row = static_cast<int>(i);
    if (c->remote_address(row) >= addresses.size() ||
        c->cgroup(row) >= static_cast<uint32_t>(c->cgroups_size()))
      return;
    const bool egress = c->direction(row) == v1::DIRECTION_EGRESS;
    const uint64_t port = egress ? c->remote_port(row) : c->local_port(row);
    uint64_t hash = addresses[c->remote_address(row)];
    for (uint64_t part : {c->cgroups(static_cast<int>(c->cgroup(row))),
                          port << 16 | c->protocol(row) << 8 | static_cast<uint64_t>(c->direction(row))})
      hash = mix(hash ^ part);
    if (pairs_.add(hash)) c->add_first_of_pair(i);
  }
}

void Squeezer::merge(v1::FlowBatch* batch) {
  std::vector<FlowRow> rows, merged;
  if (!read_rows(batch->ended(), &rows)) return;
  std::unordered_map<std::string, size_t> places;
  for (const FlowRow& row : rows) {
    const auto [place, added] = places.try_emplace(key_of(row), merged.size());
    if (added)
      merged.push_back(row);
    else
      merge_into(&merged[place->second], row);
  }
  if (merged.size() == rows.size()) return;
  counters_.merged_events += rows.size() - merged.size();
  const uint32_t events = events_of(*batch);
  // The views are into the columns that it replaces.
  *batch->mutable_ended() = write_rows(merged);
  batch->set_events(events);
}

void Squeezer::shed(v1::FlowBatch* batch, Keep keep, v1::LossReason reason) {
  std::vector<FlowRow> rows, kept;
  if (!read_rows(batch->ended(), &rows)) return;
  const uint32_t events = events_of(*batch);
  for (const FlowRow& row : rows) {
    if (row.verdict == v1::VERDICT_DENIED || (row.first_of_pair && keep == Keep::kRefusalsAndNewPairs)) {
      kept.push_back(row);
      continue;
    }
    counters_.shed_events += row.count;
    count_dropped(batch, reason, row);
  }
  if (kept.size() == rows.size()) return;
  *batch->mutable_ended() = write_rows(kept);
  batch->set_events(events);
}

}  // namespace cellwall
