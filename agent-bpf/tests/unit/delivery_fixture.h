// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "delivery.h"
#include "fake_ring.h"
#include "flow_rows.h"

namespace cellwall::test {

using namespace std::chrono_literals;
inline constexpr size_t kRingBytes = 64 << 10;  // 409 events

// Of few kinds, so that some are alike.
inline cw_event event_of(uint64_t cookie, uint8_t verdict = CW_ALLOWED) {
  cw_event event = {};
  event.cookie = cookie;
  event.end_ns = 1'000'000 + cookie * 1000;
  event.verdict = verdict;
  event.direction = CW_EGRESS;
  event.protocol = 6;
  event.sent_bytes = 10;
  event.received_bytes = CW_UNKNOWN_BYTES;
  event.remote[15] = static_cast<uint8_t>(cookie % 7);
  event.remote_port = 443;
  event.local_port = static_cast<uint16_t>(1024 + cookie);
  return event;
}

// The server's side of the contract, as agent.proto says it.
class Server {
 public:
  explicit Server(std::string epoch = "boot.1") : epoch_(std::move(epoch)) {}

  void commit(const v1::FlowBatch& batch) {
    for (const auto& container : batch.containers().upserted())
      names_[batch.epoch()][container.cgroup_id()] = container.name();
    Epoch& epoch = epochs_[batch.epoch().empty() ? epoch_ : batch.epoch()];
    const uint64_t first = batch.first_event_index();
    if (first == 0) return;
    const uint64_t before = epoch.committed;
    const uint64_t last = first + (batch.events() ? batch.events() : batch.ended().rows()) - 1;
    if (first > before + 1) epoch.holes[batch.hole_reason()] += first - before - 1;
    epoch.committed = std::max(before, last);
    if (batch.events() && before >= first) {
      if (before < last) overlaps_++;
      return;
    }
    std::vector<FlowRow> rows;
    if (!read_rows(batch.ended(), &rows)) broken_++;
    for (uint32_t i = 0; i < rows.size(); i++) {
      if (!batch.events() && first + i <= before) continue;
      if (rows[i].verdict == v1::VERDICT_DENIED) epoch.denied += rows[i].count;
      epoch.sent_bytes += rows[i].sent_plus_one - 1;
      epoch.count += rows[i].count;
      if (!batch.events()) epoch.stored.push_back(static_cast<uint64_t>(rows[i].cookie));
    }
    for (const auto& dropped : batch.dropped()) epoch.holes[dropped.reason()] += dropped.count();
  }
  void next_epoch(std::string epoch) { epoch_ = std::move(epoch); }

  uint64_t committed() { return epochs_[epoch_].committed; }
  const std::vector<uint64_t>& stored() { return epochs_[epoch_].stored; }  // cookies of rows of one event
  uint64_t holes(int reason) {
    uint64_t sum = 0;
    for (auto& [name, epoch] : epochs_) sum += epoch.holes[reason];
    return sum;
  }
  uint64_t lost() const {
    uint64_t sum = 0;
    for (const auto& [name, epoch] : epochs_) {
      for (const auto& [reason, count] : epoch.holes) sum += count;
    }
    return sum;
  }
  uint64_t count() const { return total(&Epoch::count); }
  uint64_t denied() const { return total(&Epoch::denied); }
  uint64_t sent_bytes() const { return total(&Epoch::sent_bytes); }
  uint64_t overlaps() const { return overlaps_; }
  uint64_t broken() const { return broken_; }
  std::string name_of(const std::string& epoch, uint64_t cgroup) { return names_[epoch][cgroup]; }

 private:
  struct Epoch {
    uint64_t committed = 0, count = 0, denied = 0, sent_bytes = 0;
    std::vector<uint64_t> stored;
    std::map<int, uint64_t> holes;
  };
  uint64_t total(uint64_t Epoch::*member) const {
    uint64_t sum = 0;
    for (const auto& [name, epoch] : epochs_) sum += epoch.*member;
    return sum;
  }
  std::string epoch_;
  std::map<std::string, Epoch> epochs_;
  std::map<std::string, std::map<uint64_t, std::string>> names_;
  uint64_t overlaps_ = 0, broken_ = 0;
};

// One life of an agent.
struct Agent {
  Agent(FakeRing& ring, DeliveryLimits limits, std::unique_ptr<BatchSpool> spool = nullptr)
      : reader(ring.reader()),
        delivery(
            reader, clock,
            [](auto events) {
              return std::vector<FlowDetails>(events.size(),
                                              {.container = 7, .nat = {}, .name = {}, .payload = {}});
            },
            limits, std::move(spool)) {}
  Clock clock;
  RingReader reader;
  Delivery delivery;
  Delivery::Time now = Delivery::Time() + 1h;

  void pass(std::chrono::milliseconds time) {
    now += time;
    delivery.step(now);
  }
  // Sends all that there is, and has it acknowledged.
  void deliver_all(Server& server) {
    while (const auto message = delivery.next_to_send()) {
      server.commit(message->flows());
      delivery.acknowledged(message->flows().sequence());
    }
  }
};

inline DeliveryLimits small() {
  DeliveryLimits limits;
  limits.batch_rows = 16;
  limits.crowded_rows = 64;
  return limits;
}

}  // namespace cellwall::test
