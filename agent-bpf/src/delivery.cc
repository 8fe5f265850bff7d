// SPDX-License-Identifier: Apache-2.0
#include "delivery.h"

#include <algorithm>

namespace cellwall {
namespace {

// A batch has to stay small beside the spool: of some 64 bytes a row, a hundred such.
constexpr size_t kSpoolBytesForRow = 6400;

// Of batches, whatever window a server gives: they are in memory. Servers give 32.
constexpr uint32_t kMostUnderWay = 256;

}  // namespace

Delivery::Delivery(RingReader& ring, const Clock& clock, DescribeFlows describe, DeliveryLimits limits,
                   std::unique_ptr<BatchSpool> spool)
    : ring_(ring),
      clock_(clock),
      describe_(std::move(describe)),
      limits_(limits),
      spool_(std::move(spool)),
      spooled_(spool_ ? spool_->last_index() : 0),
      first_readable_(ring.next_index()),
      fixed_until_(ring.newest_index()) {
  if (spooled_ == 0 || spooled_ + 1 >= first_readable_) return;
  // Behind what the spool holds, events were only in the memory of the agent before.
  Batch report =
      hole_report(spool_->files().was_cut() ? v1::LOSS_REASON_SPOOL_DAMAGED : v1::LOSS_REASON_AGENT_RESTART);
  (void)spool_->append(&report, false);
}

void Delivery::connected(uint64_t committed_index, uint32_t window) {
  connected_ = true;
  window_ = std::clamp<uint32_t>(window, 1, kMostUnderWay);
  sequence_ = 0;
  committed_ = committed_index;
  fixed_until_ = 0;
  if (spool_) spool_->forget_names();
  forget_committed();
  report_due_ = committed_ + 1 < first_readable_ && spooled_ <= committed_;
}

void Delivery::disconnected() {
  connected_ = false;
  // Status in flight is stale now.
  status_.reset();
  report_due_ = false;
  for (auto batch = in_flight_.rbegin(); batch != in_flight_.rend(); ++batch) {
    if (batch->has_events() && !batch->spooled) fresh_.push_front(std::move(*batch));
  }
  in_flight_.clear();
  if (spool_) spool_->files().rewind();
}

void Delivery::forget_committed() {
  while (!fresh_.empty() && fresh_.front().last <= committed_) {
    queue_bytes_ -= fresh_.front().bytes;
    fresh_.pop_front();
  }
  ring_.release(std::min(committed_, ring_.next_index() - 1));
}

// Events which the server lacks and this agent never could read died in the memory of the agent before it. A
// batch of no rows says so by its first index, before any hole of our own follows.
Batch Delivery::hole_report(v1::LossReason reason) const {
  Batch batch;
  batch.message = std::make_shared<v1::StreamRequest>();
  auto* flows = batch.message->mutable_flows();
  flows->set_first_event_index(first_readable_);
  flows->set_hole_reason(reason);
  batch.first = first_readable_;
  batch.last = first_readable_ - 1;
  return batch;
}

void Delivery::acknowledged(uint64_t sequence) {
  uint64_t durable = 0;
  std::optional<SpoolPlace> place;
  while (!in_flight_.empty() && in_flight_.front().sequence <= sequence) {
    const Batch& batch = in_flight_.front();
    if (batch.own_epoch) durable = std::max(durable, batch.last);
    acknowledged_mark_ = std::max(acknowledged_mark_, batch.mark);
    if (batch.spooled)
      place = batch.spooled;
    else
      queue_bytes_ -= batch.bytes;
    in_flight_.pop_front();
  }
  committed_ = std::max(committed_, durable);
  if (place) spool_->files().acknowledged(*place);
  if (durable) ring_.release(durable);
}

void Delivery::step(Time now) {
  now_ = now;
  if (ring_is_crowded())
    read_all(now);
  else if (connected_)  // While nobody takes them, events are safest in the ring: they outlive this process.
    read_ring(now);
  if (filling_ && now >= filling_due_) flush();
  shrink_queue();
}

// Whatever becomes of them: the ring needs room.
void Delivery::read_all(Time now) {
  spilling_ = true;
  spill();
  read_ring(now);
  if (ring_.next_index() > 1) {
    flush();
    ring_.release(ring_.next_index() - 1);
  }
  spilling_ = false;
}

void Delivery::read_ring(Time now) {
  // With a full window, or older events in the spool, what is unread stays in the ring until it gets crowded.
  if (!spilling_ && (fresh_.size() >= window_ || (spool_ && !spool_->files().all_taken()))) return;
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
    shrink_queue();
  } while (count == limits_.batch_rows);
}

size_t Delivery::rows_limit() const {
  if (!spilling_ || !spool_ || !spool_->files().crowded()) return limits_.batch_rows;
  return std::clamp(spool_->files().limit() / kSpoolBytesForRow, limits_.batch_rows, limits_.crowded_rows);
}

void Delivery::append(const cw_event& event, const FlowDetails& details, uint64_t index, Time now) {
  if (index <= std::max(committed_, spooled_)) return;
  const int64_t end_us = clock_.wall_us(event.end_ns);
  if (!filling_) {
    filling_ = std::make_shared<v1::StreamRequest>();
    auto* flows = filling_->mutable_flows();
    flows->set_first_event_index(index);
    flows->set_hole_reason(v1::LOSS_REASON_QUEUE_FULL);
    encoder_ = std::make_unique<FlowEncoder>(flows->mutable_ended(), clock_);
    filled_ = Batch();
    filled_.first = index;
    filled_.first_us = end_us;
    filled_.fixed = index <= fixed_until_;
    filling_due_ = now + limits_.batch_age;
  }
  encoder_->add(event, details);
  filled_.last = index;
  filled_.first_us = std::min(filled_.first_us, end_us);
  filled_.last_us = std::max(filled_.last_us, end_us);
  if (event.verdict == CW_DENIED) filling_due_ = std::min(filling_due_, now + limits_.denial_age);
  if (encoder_->rows() >= rows_limit()) flush();
}

void Delivery::flush() {
  if (!filling_) return;
  filled_.bytes = filling_->SpaceUsedLong();
  filled_.message = std::move(filling_);
  queue_bytes_ += filled_.bytes;
  fresh_.push_back(std::move(filled_));
  encoder_.reset();
  filling_.reset();
  if (spilling_) spill();
}

void Delivery::offer(std::unique_ptr<v1::StreamRequest> status, uint64_t mark) {
  if (!connected_) return;
  status_ = std::move(status);
  status_mark_ = mark;
}

std::shared_ptr<const v1::StreamRequest> Delivery::next_to_send() {
  if (!connected_ || in_flight_.size() >= window_) return nullptr;
  Batch batch;
  if (std::exchange(report_due_, false)) {
    batch = hole_report(v1::LOSS_REASON_AGENT_RESTART);
  } else if (status_) {
    batch.message = std::exchange(status_, nullptr);
    batch.mark = status_mark_;
  } else if (auto spooled = spool_ ? spool_->take() : std::nullopt) {
    batch = std::move(*spooled);
  } else if (!fresh_.empty()) {
    batch = std::move(fresh_.front());
    fresh_.pop_front();
  } else {
    return nullptr;
  }
  batch.sequence = ++sequence_;
  batch.message->mutable_flows()->set_sequence(batch.sequence);
  in_flight_.push_back(std::move(batch));
  return in_flight_.back().message;
}

bool Delivery::idle() const {
  return in_flight_.empty() && fresh_.empty() && !filling_ && !status_ &&
         (!spool_ || spool_->files().empty());
}

int64_t Delivery::oldest_us() const {
  int64_t oldest = 0;
  const auto take = [&](int64_t us) {
    if (us > 0 && (oldest == 0 || us < oldest)) oldest = us;
  };
  for (const Batch& batch : in_flight_) take(batch.first_us);
  if (!fresh_.empty()) take(fresh_.front().first_us);
  if (filling_) take(filled_.first_us);
  if (spool_) take(spool_->files().oldest_us());
  if (const cw_event* unread = ring_.peek(); unread && oldest == 0) take(clock_.wall_us(unread->end_ns));
  return oldest;
}

SqueezeCounters Delivery::squeezed() const {
  return (spool_ ? spool_->squeezer() : squeezer_).counters();
}

}  // namespace cellwall
