// SPDX-License-Identifier: Apache-2.0
#include "batch_spool.h"

namespace cellwall {
namespace {

// So that a record stays small, however many containers there are.
constexpr int kContainersInRecord = 64;

v1::LossReason reason_of(SpoolHole hole) {
  return hole == SpoolHole::kFull ? v1::LOSS_REASON_SPOOL_FULL : v1::LOSS_REASON_SPOOL_DAMAGED;
}

}  // namespace

Result<std::unique_ptr<BatchSpool>> BatchSpool::open(BatchSpoolOptions options) {
  std::unique_ptr<BatchSpool> spool(new BatchSpool(std::move(options)));
  auto files =
      Spool::open(spool->options_.directory, spool->options_.limit_bytes,
                  [it = spool.get()](SpoolRecord* record, SpoolLevel level) { it->squeeze(record, level); });
  if (!files) return std::unexpected(files.error());
  spool->files_ = std::move(*files);
  return spool;
}

void BatchSpool::squeeze(SpoolRecord* record, SpoolLevel level) {
  v1::StreamRequest message;
  if (!message.ParseFromString(record->body)) return;
  if (level >= kSpoolMerged && record->level < kSpoolMerged) squeezer_.merge(message.mutable_flows());
  if (level >= kSpoolShed) {
    const auto keep = level == kSpoolShed ? Squeezer::Keep::kRefusalsAndNewPairs : Squeezer::Keep::kRefusals;
    squeezer_.shed(message.mutable_flows(), keep, v1::LOSS_REASON_SPOOL_FULL);
  }
  record->body = message.SerializeAsString();
}

Result<void> BatchSpool::append(Batch* batch, bool taken) {
  if (!names_spooled_ && !taken) {
    if (auto ok = append_names(); !ok) return ok;
  }
  // What is on its way is read by another thread.
  if (taken) batch->message = std::make_shared<v1::StreamRequest>(*batch->message);
  auto* flows = batch->message->mutable_flows();
  flows->set_epoch(options_.epoch);
  flows->clear_kernel_losses();
  if (options_.kernel_losses) options_.kernel_losses(flows);
  if (batch->level == kSpoolWhole && !batch->fixed) {
    squeezer_.mark_new_pairs(flows);
    if (files_->crowded() && !taken) {
      squeezer_.merge(flows);
      batch->level = kSpoolMerged;
    }
  }
  SpoolRecord record{.level = batch->level,
                     .fixed = batch->fixed,
                     .first = batch->first,
                     .last = batch->last,
                     .first_us = batch->first_us,
                     .last_us = batch->last_us,
                     .epoch = options_.epoch,
                     .body = batch->message->SerializeAsString()};
  auto place = files_->append(record, taken);
  if (!place) return std::unexpected(place.error());
  batch->spooled = *place;
  return {};
}

Result<void> BatchSpool::append_names() {
  if (options_.containers) {
    if (auto ok = append_containers(options_.containers()); !ok) return ok;
  }
  names_spooled_ = true;
  return {};
}

Result<void> BatchSpool::append_containers(const v1::ContainersUpdate& update) {
  for (int from = 0; from < update.upserted_size(); from += kContainersInRecord) {
    v1::StreamRequest message;
    auto* flows = message.mutable_flows();
    flows->set_epoch(options_.epoch);
    const int until = std::min(from + kContainersInRecord, update.upserted_size());
    for (int i = from; i < until; i++) *flows->mutable_containers()->add_upserted() = update.upserted(i);
    const SpoolRecord record{
        .kind = SpoolKind::kContainers, .epoch = options_.epoch, .body = message.SerializeAsString()};
    if (auto place = files_->append(record, false); !place) return std::unexpected(place.error());
  }
  return {};
}

std::optional<Batch> BatchSpool::take() {
  while (auto spooled = files_->take()) {
    const SpoolRecord& record = spooled->record;
    Batch batch;
    batch.message = std::make_shared<v1::StreamRequest>();
    // The sums were right, so this is of another version of us.
    if (!batch.message->ParseFromString(record.body) || !batch.message->has_flows()) continue;
    batch.first = record.first;
    batch.last = record.last;
    batch.first_us = record.first_us;
    batch.last_us = record.last_us;
    batch.level = record.level;
    batch.fixed = record.fixed;
    batch.own_epoch = record.epoch == options_.epoch;
    batch.spooled = spooled->place;
    if (spooled->hole != SpoolHole::kNone) {
      auto* flows = batch.message->mutable_flows();
      flows->set_hole_reason(reason_of(spooled->hole));
      if (spooled->hole_first_us > 0) {
        flows->set_hole_first_us(static_cast<uint64_t>(spooled->hole_first_us));
        flows->set_hole_last_us(static_cast<uint64_t>(spooled->hole_last_us));
      }
    }
    return batch;
  }
  return std::nullopt;
}

}  // namespace cellwall
