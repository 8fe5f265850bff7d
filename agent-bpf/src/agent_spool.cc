// SPDX-License-Identifier: Apache-2.0
//
// The spool, as the main loop sees it.
#include "agent.h"

namespace cellwall {

// Without it, the agent works as far as its memory goes.
std::unique_ptr<BatchSpool> Agent::open_spool() {
  if (config_.spool_bytes == 0) return nullptr;
  auto spool = BatchSpool::open({
      .directory = config_.state_directory + "/spool",
      .limit_bytes = config_.spool_bytes,
      .epoch = epoch(),
      .containers = [this] { return containers_.complete(); },
      .kernel_losses = [this](v1::FlowBatch* batch) { add_kernel_losses(batch); },
  });
  abilities_.push_back(
      {"spool on disk", spool.has_value(),
       spool ? "" : "flows are kept in memory alone while the server is away: " + spool.error().message,
       false});
  if (!spool) return nullptr;
  if (const size_t batches = (*spool)->files().batches(); batches > 0)
    log(LogLevel::kInfo, "the spool has flows from before",
        {{"batches", batches}, {"bytes", (*spool)->files().bytes()}});
  return std::move(*spool);
}

// Once per change, not once per try.
void Agent::tell_spool_trouble() {
  std::string trouble = delivery_->spool_trouble();
  if (trouble.empty() && delivery_->spool()) trouble = delivery_->spool()->files().trouble();
  if (trouble == spool_trouble_) return;
  if (trouble.empty())
    log(LogLevel::kInfo, "the spool can be written again");
  else
    log(LogLevel::kError, "flows stay in memory alone, the spool cannot be written: " + trouble,
        {{"directory", config_.state_directory + "/spool"}});
  spool_trouble_ = trouble;
}

void Agent::count_spool(google::protobuf::Map<std::string, uint64_t>* counters) {
  auto& values = *counters;
  const int64_t oldest = delivery_->oldest_us();
  const int64_t now = clock_.wall_us(boot_now_ns());
  values["lag_us"] = oldest > 0 && oldest < now ? static_cast<uint64_t>(now - oldest) : 0;
  const SqueezeCounters squeezed = delivery_->squeezed();
  values["merged_events"] = squeezed.merged_events;
  values["shed_events"] = squeezed.shed_events;
  values["spool_limit_bytes"] = config_.spool_bytes;
  values["spool_unwritable"] = spool_trouble_.empty() ? 0 : 1;
  const BatchSpool* spool = delivery_->spool();
  if (!spool) return;
  values["spool_bytes"] = spool->files().bytes();
  values["spool_batches"] = spool->files().batches();
  values["spool_dropped_events"] = spool->files().counters().dropped_events;
  values["spool_damaged_places"] = spool->files().counters().damaged_places;
}

}  // namespace cellwall
