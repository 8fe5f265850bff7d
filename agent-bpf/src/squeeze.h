// SPDX-License-Identifier: Apache-2.0
//
// Makes batches smaller for want of room: rows that are alike become one, and then rows are left out,
// the first of a new pair late and refusals last. A batch covers the same events afterwards, and counts what
// it has no row for.
#pragma once

#include <cstdint>
#include <vector>

#include "cellwall/v1/agent.pb.h"
#include "flow_rows.h"

namespace cellwall {

// Which (container, peer, port, protocol, direction) there were. Full: what shares a place with a pair is
// taken for new when it comes again, so it is kept rather than left out.
class KnownPairs {
 public:
  static constexpr size_t kPairs = 64 << 10;  // 256 KiB, from the first use on
  bool add(uint64_t hash);                    // true: it is new

 private:
  std::vector<uint32_t> seen_;
};

struct SqueezeCounters {
  uint64_t merged_events = 0;  // that share a row with another
  uint64_t shed_events = 0;    // that have no row any more
};

class Squeezer {
 public:
  // For shed(), before anything of it is merged: each batch once, in their order.
  void mark_new_pairs(v1::FlowBatch* batch);
  void merge(v1::FlowBatch* batch);
  enum class Keep { kRefusalsAndNewPairs, kRefusals };
  void shed(v1::FlowBatch* batch, Keep keep, v1::LossReason reason);
  const SqueezeCounters& counters() const { return counters_; }

 private:
  KnownPairs pairs_;
  SqueezeCounters counters_;
};

}  // namespace cellwall
