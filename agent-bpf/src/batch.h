// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "cellwall/v1/agent.pb.h"
#include "spool.h"

namespace cellwall {

// A message of flows on its way to the server.
struct Batch {
  std::shared_ptr<v1::StreamRequest> message;
  uint64_t first = 0;  // event indexes; 0: covers none; last < first: only reports a hole
  uint64_t last = 0;
  int64_t first_us = 0;  // of the ends of its flows
  int64_t last_us = 0;
  uint8_t level = kSpoolWhole;
  bool fixed = false;     // as SpoolRecord.fixed
  bool own_epoch = true;  // the indexes are those of the ring that is read now
  size_t bytes = 0;       // of memory
  uint64_t sequence = 0;  // on this stream
  uint64_t mark = 0;      // of a status
  std::optional<SpoolPlace> spooled;

  bool has_events() const { return first > 0 && last >= first; }
};

}  // namespace cellwall
