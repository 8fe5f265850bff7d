// SPDX-License-Identifier: Apache-2.0
//
// A spool of batches: what spool.h does with bytes, for messages. With the batches go the names of the
// containers, and what the kernel has lost, so that an agent after the next boot can tell both.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "batch.h"
#include "spool.h"
#include "squeeze.h"

namespace cellwall {

struct BatchSpoolOptions {
  std::string directory;
  size_t limit_bytes = 0;
  std::string epoch;
  std::function<v1::ContainersUpdate()> containers;   // all that are known
  std::function<void(v1::FlowBatch*)> kernel_losses;  // puts the totals in
};

class BatchSpool {
 public:
  static Result<std::unique_ptr<BatchSpool>> open(BatchSpoolOptions options);

  // taken: it is on its way already. Marks the batch with its place.
  Result<void> append(Batch* batch, bool taken);
  // Changes since the names were spooled.
  Result<void> append_containers(const v1::ContainersUpdate& update);
  // The next one to send; empty: none.
  std::optional<Batch> take();

  // While the server hears of containers by itself, their names are not needed here.
  void forget_names() { names_spooled_ = false; }
  bool names_spooled() const { return names_spooled_; }
  Spool& files() { return *files_; }
  const Spool& files() const { return *files_; }
  Squeezer& squeezer() { return squeezer_; }
  const Squeezer& squeezer() const { return squeezer_; }
  uint64_t last_index() const { return files_->last_index(options_.epoch); }

 private:
  explicit BatchSpool(BatchSpoolOptions options) : options_(std::move(options)) {}
  void squeeze(SpoolRecord* record, SpoolLevel level);
  Result<void> append_names();

  const BatchSpoolOptions options_;
  Squeezer squeezer_;
  std::unique_ptr<Spool> files_;
  bool names_spooled_ = false;
};

}  // namespace cellwall
