// SPDX-License-Identifier: Apache-2.0
//
// From the ring to the server, exactly once in effect. Knows no gRPC: the caller sends what next_to_send()
// gives and tells what came back.
//
// An event is in one of three places: in the ring and not read; in the ring and in a batch that was not
// acknowledged; only in a batch, because the ring was more than half full and its space was given back.
// Batches take at most queue_bytes; above that the oldest is dropped, which leaves a hole in the event
// indexes that the server counts as lost (QUEUE_FULL).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "cellwall/v1/agent.pb.h"
#include "clock.h"
#include "flow_encoder.h"
#include "ring.h"

namespace cellwall {

struct DeliveryLimits {
  size_t queue_bytes = 32 << 20;  // full: the oldest batch is dropped
  size_t batch_rows = 1024;
  std::chrono::milliseconds batch_age{
      250};  // a batch is sent at the latest so long after its first event was read
  std::chrono::milliseconds denial_age{20};  // with a refusal in it
};

class Delivery {
 public:
  using Time = std::chrono::steady_clock::time_point;

  Delivery(RingReader& ring, const Clock& clock, DescribeFlows describe, DeliveryLimits limits);

  void connected(uint64_t committed_index, uint32_t window);
  void disconnected();
  void acknowledged(uint64_t sequence);

  // Reads the ring and makes batches as far as the server, the queue and the time want it.
  void step(Time now);
  // Closes the batch that is being filled, whatever its age.
  void flush();
  // A batch of no events, replaced by a newer one of its kind and forgotten when the stream breaks. Who needs
  // to know that it arrived gives it a mark.
  void offer(std::unique_ptr<v1::StreamRequest> status, uint64_t mark = 0);
  // The highest mark of what the server has acknowledged, 0: none.
  uint64_t acknowledged_mark() const { return acknowledged_mark_; }
  // Next message within the window; empty: none. Shared, since it is kept until it is acknowledged.
  std::shared_ptr<const v1::StreamRequest> next_to_send();

  bool idle() const { return queue_.empty() && !filling_ && !status_; }
  size_t queue_bytes() const { return queue_bytes_; }
  uint64_t dropped_events() const { return dropped_events_; }

 private:
  struct Batch {
    std::shared_ptr<v1::StreamRequest> message;
    uint64_t first = 0;  // event indexes; 0: covers none
    uint64_t last = 0;
    size_t bytes = 0;
    uint64_t sequence = 0;  // 0: not sent on this stream
    uint64_t mark = 0;
  };

  bool ring_is_crowded() const { return ring_.used_bytes() > ring_.capacity_bytes() / 2; }
  void read_ring(Time now);
  void append(const cw_event& event, const FlowDetails& details, uint64_t index, Time now);
  void drop_oldest();
  void forget_committed();
  void report_restart();

  RingReader& ring_;
  const Clock& clock_;
  DescribeFlows describe_;
  DeliveryLimits limits_;
  bool connected_ = false;
  uint32_t window_ = 0;
  uint64_t sequence_ = 0;    // last one sent on this stream
  uint64_t committed_ = 0;   // last event index that the server has
  uint64_t first_readable_;  // of this agent: what the server lacks before it died with an earlier one
  std::deque<Batch> queue_;
  size_t sent_ = 0;  // batches at the front of the queue which were sent on this stream
  size_t queue_bytes_ = 0;
  uint64_t dropped_events_ = 0;

  std::shared_ptr<v1::StreamRequest> filling_;
  std::unique_ptr<FlowEncoder> encoder_;
  uint64_t filling_first_ = 0;
  uint64_t filling_last_ = 0;
  Time filling_due_;

  std::shared_ptr<v1::StreamRequest> status_;
  uint64_t status_mark_ = 0;
  uint64_t acknowledged_mark_ = 0;
};

}  // namespace cellwall
