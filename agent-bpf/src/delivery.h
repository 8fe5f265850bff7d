// SPDX-License-Identifier: Apache-2.0
//
// From the ring to the server, exactly once in effect. Knows no gRPC: the caller sends what next_to_send()
// gives and tells what came back.
//
// Events stay in the ring until the server has them, as long as the ring is not more than half full. Then
// they are read and written to the spool, and the ring gets its room back; what the spool holds is sent
// before anything newer. Without a spool, or while it cannot be written, batches stay in memory: at most
// queue_bytes, above which rows are merged, then left out, and then the oldest batch is dropped, which leaves
// a hole in the event indexes that the server counts as lost (QUEUE_FULL).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "batch.h"
#include "batch_spool.h"
#include "cellwall/v1/agent.pb.h"
#include "clock.h"
#include "flow_encoder.h"
#include "ring.h"
#include "squeeze.h"

namespace cellwall {

struct DeliveryLimits {
  size_t queue_bytes = 32 << 20;  // full: see above
  size_t batch_rows = 1024;
  // Of a batch for a spool that is more than half full: the more rows, the more are alike.
  size_t crowded_rows = 8192;
  std::chrono::milliseconds batch_age{
      250};  // a batch is sent at the latest so long after its first event was read
  std::chrono::milliseconds denial_age{20};  // with a refusal in it
};

class Delivery {
 public:
  using Time = std::chrono::steady_clock::time_point;

  Delivery(RingReader& ring, const Clock& clock, DescribeFlows describe, DeliveryLimits limits,
           std::unique_ptr<BatchSpool> spool = nullptr);

  void connected(uint64_t committed_index, uint32_t window);
  void disconnected();
  void acknowledged(uint64_t sequence);

  // Reads the ring and makes batches as far as the server, the spool, the queue and the time want it.
  void step(Time now);
  // Closes the batch that is being filled, whatever its age.
  void flush();
  // For the end of the agent: with a spool, what the server does not have yet is on disk when it returns.
  void finish(Time now);
  // What is new about containers while the server is away and the spool is in use.
  void spool_containers(const v1::ContainersUpdate& update);
  bool wants_containers() const { return !connected_ && spool_ && spool_->names_spooled(); }
  // A batch of no events, replaced by a newer one of its kind and forgotten when the stream breaks. Who needs
  // to know that it arrived gives it a mark.
  void offer(std::unique_ptr<v1::StreamRequest> status, uint64_t mark = 0);
  // The highest mark of what the server has acknowledged, 0: none.
  uint64_t acknowledged_mark() const { return acknowledged_mark_; }
  // Next message within the window; empty: none. Shared, since it is kept until it is acknowledged.
  std::shared_ptr<const v1::StreamRequest> next_to_send();

  bool idle() const;
  size_t queue_bytes() const { return queue_bytes_; }
  uint64_t dropped_events() const { return dropped_events_; }  // of the queue in memory
  // When the oldest event ended that the server does not have; 0: it has all.
  int64_t oldest_us() const;
  const BatchSpool* spool() const { return spool_.get(); }
  SqueezeCounters squeezed() const;
  // Why batches stay in memory though there is a spool; empty: they do not.
  const std::string& spool_trouble() const { return spool_trouble_; }

 private:
  bool ring_is_crowded() const { return ring_.used_bytes() > ring_.capacity_bytes() / 2; }
  void read_ring(Time now);
  void read_all(Time now);
  void append(const cw_event& event, const FlowDetails& details, uint64_t index, Time now);
  size_t rows_limit() const;
  bool spill();
  bool spill(Batch* batch, bool taken);
  void shrink_queue();
  bool squeeze_one();
  void drop_oldest();
  void forget_committed();
  void report_restart();
  Batch hole_report(v1::LossReason reason) const;
  Squeezer& squeezer() { return spool_ ? spool_->squeezer() : squeezer_; }

  RingReader& ring_;
  const Clock& clock_;
  DescribeFlows describe_;
  DeliveryLimits limits_;
  std::unique_ptr<BatchSpool> spool_;
  Squeezer squeezer_;  // without a spool
  bool connected_ = false;
  uint32_t window_ = 0;
  uint64_t sequence_ = 0;        // last one sent on this stream
  uint64_t committed_ = 0;       // last event index that the server has
  uint64_t spooled_ = 0;         // last event index that was in the spool when this agent began
  uint64_t first_readable_;      // of this agent: what the server lacks before it died with an earlier one
  uint64_t fixed_until_;         // an agent before may have sent events up to this one
  std::deque<Batch> in_flight_;  // sent on this stream; at most the window
  std::deque<Batch> fresh_;      // made, and neither sent nor spooled
  size_t queue_bytes_ = 0;       // of both, without what is spooled
  uint64_t dropped_events_ = 0;
  bool spilling_ = false;
  Time now_, spool_retry_;
  std::string spool_trouble_;

  std::shared_ptr<v1::StreamRequest> filling_;
  std::unique_ptr<FlowEncoder> encoder_;
  Batch filled_;  // what is known of the one that is being filled
  Time filling_due_;

  std::shared_ptr<v1::StreamRequest> status_;
  uint64_t status_mark_ = 0;
  bool report_due_ = false;
  uint64_t acknowledged_mark_ = 0;
};

}  // namespace cellwall
