// SPDX-License-Identifier: Apache-2.0
//
// Where batches go that the server does not take: to the spool, or into memory up to its limit.
#include <algorithm>

#include "delivery.h"

namespace cellwall {
namespace {

using namespace std::chrono_literals;

// After the disk has refused a batch.
constexpr auto kSpoolRetry = 5s;

}  // namespace

// True: nothing that was read is in memory alone.
bool Delivery::spill() {
  if (!spool_ || now_ < spool_retry_) return false;
  // What is under way comes first: it is older than all that was not sent.
  for (Batch& batch : in_flight_) {
    if (batch.has_events() && !batch.spooled && !spill(&batch, true)) return false;
  }
  while (!fresh_.empty()) {
    if (!spill(&fresh_.front(), false)) return false;
    fresh_.pop_front();
  }
  return true;
}

bool Delivery::spill(Batch* batch, bool taken) {
  if (auto ok = spool_->append(batch, taken); !ok) {
    spool_trouble_ = ok.error().message;
    spool_retry_ = now_ + kSpoolRetry;
    return false;
  }
  spool_trouble_.clear();
  queue_bytes_ -= batch->bytes;
  return true;
}

void Delivery::spool_containers(const v1::ContainersUpdate& update) {
  if (auto ok = spool_->append_containers(update); !ok) spool_trouble_ = ok.error().message;
}

void Delivery::finish(Time now) {
  now_ = now;
  spool_retry_ = {};
  // Without a spool the ring is the safest place: the next agent reads it.
  if (!spill()) return;
  spilling_ = true;
  read_ring(now);
  flush();
  spilling_ = false;
  if (!spill()) return;
  if (ring_.next_index() > 1) ring_.release(ring_.next_index() - 1);
  spool_->files().flush();
}

void Delivery::shrink_queue() {
  while (queue_bytes_ > limits_.queue_bytes) {
    if (squeeze_one()) continue;
    if (fresh_.size() <= 1) return;
    drop_oldest();
  }
}

// Rows of all batches are merged before any are left out.
bool Delivery::squeeze_one() {
  Batch* best = nullptr;
  for (Batch& batch : fresh_) {
    if (!batch.fixed && batch.level < kSpoolRefusals && (!best || batch.level < best->level)) best = &batch;
  }
  if (!best) return false;
  auto* flows = best->message->mutable_flows();
  if (best->level == kSpoolWhole) {
    squeezer().mark_new_pairs(flows);
    squeezer().merge(flows);
  } else {
    const auto keep =
        best->level == kSpoolMerged ? Squeezer::Keep::kRefusalsAndNewPairs : Squeezer::Keep::kRefusals;
    squeezer().shed(flows, keep, v1::LOSS_REASON_QUEUE_FULL);
  }
  best->level++;
  queue_bytes_ -= best->bytes;
  best->bytes = best->message->SpaceUsedLong();
  queue_bytes_ += best->bytes;
  return true;
}

void Delivery::drop_oldest() {
  const Batch oldest = std::move(fresh_.front());
  fresh_.pop_front();
  dropped_events_ += oldest.last - oldest.first + 1;
  queue_bytes_ -= oldest.bytes;
  // The hole grows by it.
  const auto& gone = oldest.message->flows();
  auto* next = fresh_.front().message->mutable_flows();
  next->set_hole_first_us(gone.hole_first_us() ? gone.hole_first_us()
                                               : static_cast<uint64_t>(oldest.first_us));
  next->set_hole_last_us(static_cast<uint64_t>(oldest.last_us));
}

}  // namespace cellwall
