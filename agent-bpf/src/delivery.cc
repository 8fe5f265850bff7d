// SPDX-License-Identifier: Apache-2.0
#include "delivery.h"

#include <algorithm>

namespace cellwall {

Delivery::Delivery(RingReader& ring, const Clock& clock, DescribeFlows describe, DeliveryLimits limits)
    : ring_(ring),
      clock_(clock),
      describe_(std::move(describe)),
      limits_(limits),
      first_readable_(ring.next_index()) {}

void Delivery::connected(uint64_t committed_index, uint32_t window) {
  connected_ = true;
  window_ = std::max<uint32_t>(window, 1);
  sequence_ = 0;
  committed_ = committed_index;
  for (Batch& batch : queue_) batch.sequence = 0;
  sent_ = 0;
  forget_committed();
  report_restart();
}

void Delivery::disconnected() {
  connected_ = false;
  status_.reset();
  // Status in flight is stale now.
  std::erase_if(queue_, [](const Batch& batch) { return batch.first == 0; });
  sent_ = 0;
}

void Delivery::forget_committed() {
  while (!queue_.empty() && queue_.front().last <= committed_) {
    queue_bytes_ -= queue_.front().bytes;
    queue_.pop_front();
  }
  ring_.release(std::min(committed_, ring_.next_index() - 1));
}

// Events which the server lacks and this agent never could read died in the memory of the agent before it. A
// batch of no rows says so by its first index, before any hole of our own follows.
void Delivery::report_restart() {
  if (committed_ + 1 >= first_readable_) return;
  Batch batch;
  batch.message = std::make_shared<v1::StreamRequest>();
  auto* flows = batch.message->mutable_flows();
  flows->set_first_event_index(first_readable_);
  flows->set_hole_reason(v1::LOSS_REASON_AGENT_RESTART);
  batch.first = first_readable_;
  batch.last = first_readable_ - 1;
  queue_.push_front(std::move(batch));
}

void Delivery::acknowledged(uint64_t sequence) {
  uint64_t durable = 0;
  while (sent_ > 0 && queue_.front().sequence <= sequence) {
    durable = std::max(durable, queue_.front().last);
    acknowledged_mark_ = std::max(acknowledged_mark_, queue_.front().mark);
    queue_bytes_ -= queue_.front().bytes;
    queue_.pop_front();
    sent_--;
  }
  committed_ = std::max(committed_, durable);
  if (durable) ring_.release(durable);
}

void Delivery::step(Time now) {
  // While nobody takes them, events are safest in the ring: they outlive this process.
  if (connected_ || ring_is_crowded()) read_ring(now);
  if (filling_ && now >= filling_due_) flush();
  if (ring_is_crowded() && ring_.next_index() > 1) {
    flush();
    ring_.release(ring_.next_index() - 1);
  }
  while (queue_bytes_ > limits_.queue_bytes && queue_.size() > 1) drop_oldest();
}

void Delivery::read_ring(Time now) {
  // With a full window, what is unread stays in the ring until it gets crowded there.
  const bool waiting = connected_ && queue_.size() - sent_ >= window_;
  if (waiting && !ring_is_crowded()) return;
  std::vector<const cw_event*> events;
  size_t count = 0;
  do {
    events.clear();
    const uint64_t first = ring_.next_index();
    count =
        ring_.read(limits_.batch_rows, [&](const cw_event& event, uint64_t) { events.push_back(&event); });
    if (count == 0) return;
    const auto details = describe_(events);
    for (size_t i = 0; i < count; i++) append(*events[i], details[i], first + i, now);
    while (queue_bytes_ > limits_.queue_bytes && queue_.size() > 1) drop_oldest();
  } while (count == limits_.batch_rows);
}

void Delivery::append(const cw_event& event, const FlowDetails& details, uint64_t index, Time now) {
  if (index <= committed_) return;
  if (!filling_) {
    filling_ = std::make_shared<v1::StreamRequest>();
    auto* flows = filling_->mutable_flows();
    flows->set_first_event_index(index);
    flows->set_hole_reason(v1::LOSS_REASON_QUEUE_FULL);
    encoder_ = std::make_unique<FlowEncoder>(flows->mutable_ended(), clock_);
    filling_first_ = index;
    filling_due_ = now + limits_.batch_age;
  }
  encoder_->add(event, details);
  filling_last_ = index;
  if (event.verdict == CW_DENIED) filling_due_ = std::min(filling_due_, now + limits_.denial_age);
  if (encoder_->rows() >= limits_.batch_rows) flush();
}

void Delivery::flush() {
  if (!filling_) return;
  Batch batch;
  batch.first = filling_first_;
  batch.last = filling_last_;
  batch.bytes = filling_->SpaceUsedLong();
  batch.message = std::move(filling_);
  queue_bytes_ += batch.bytes;
  queue_.push_back(std::move(batch));
  encoder_.reset();
  filling_.reset();
}

void Delivery::drop_oldest() {
  const Batch& oldest = queue_.front();
  if (oldest.last >= oldest.first) dropped_events_ += oldest.last - oldest.first + 1;
  queue_bytes_ -= oldest.bytes;
  if (sent_ > 0) sent_--;
  queue_.pop_front();
}

void Delivery::offer(std::unique_ptr<v1::StreamRequest> status, uint64_t mark) {
  if (!connected_) return;
  status_ = std::move(status);
  status_mark_ = mark;
}

std::shared_ptr<const v1::StreamRequest> Delivery::next_to_send() {
  if (!connected_ || sent_ >= window_) return nullptr;
  if (status_ && sent_ == queue_.size()) {
    Batch batch;
    batch.message = std::move(status_);
    batch.mark = status_mark_;
    queue_.push_back(std::move(batch));
    status_.reset();
  }
  if (sent_ == queue_.size()) return nullptr;
  Batch& batch = queue_[sent_++];
  batch.sequence = ++sequence_;
  batch.message->mutable_flows()->set_sequence(batch.sequence);
  return batch.message;
}

}  // namespace cellwall
