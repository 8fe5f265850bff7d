// SPDX-License-Identifier: Apache-2.0
//
// Batches on the node's disk, in the order in which they are to be sent: segment files that are written at
// the end, read from the front, and removed when the server has what they hold. Knows no messages: whoever
// opens it says how a record is made smaller.
//
// Above the limit, room is made from the oldest segment on, first by merging rows in all of them, then by
// leaving rows out, then by dropping batches (the names of their containers stay). Segments that are being
// sent are not rewritten; if there is nothing else, the oldest is dropped as it is.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fd.h"
#include "result.h"
#include "spool_files.h"
#include "spool_record.h"
#include "spool_sync.h"

namespace cellwall {

// A place in the spool: behind a record.
struct SpoolPlace {
  uint64_t segment = 0;
  uint64_t offset = 0;
  auto operator<=>(const SpoolPlace&) const = default;
};

enum class SpoolHole { kNone, kFull, kDamaged };

// A record to send. hole: what happened to those before it, if some are missing.
struct Spooled {
  SpoolPlace place;
  SpoolRecord record;
  SpoolHole hole = SpoolHole::kNone;
  int64_t hole_first_us = 0;  // 0: not known
  int64_t hole_last_us = 0;
};

struct SpoolCounters {
  uint64_t dropped_events = 0;  // with their batches
  uint64_t dropped_segments = 0;
  uint64_t damaged_places = 0;
};

class Spool {
 public:
  // Makes a batch smaller. It covers the same events afterwards.
  using Squeeze = std::function<void(SpoolRecord* record, SpoolLevel level)>;

  static Result<std::unique_ptr<Spool>> open(const std::string& directory, size_t limit_bytes,
                                             Squeeze squeeze);

  // taken: the caller has it and sends it by itself; everything before it has been taken, too.
  Result<SpoolPlace> append(const SpoolRecord& record, bool taken);
  std::optional<Spooled> take();               // the next one to send
  void rewind();                               // to what was not acknowledged
  void acknowledged(const SpoolPlace& place);  // it and all before it

  bool all_taken() const;
  bool empty() const { return batches_ == 0; }  // nothing waits for an acknowledgement
  size_t bytes() const { return bytes_; }
  size_t batches() const { return batches_; }  // about: of a segment that is sent in part, all
  size_t limit() const { return limit_; }
  bool crowded() const { return bytes_ > limit_ / 2; }
  bool was_cut() const { return cut_; }                 // at its end, when it was opened
  uint64_t last_index(const std::string& epoch) const;  // 0: nothing of it was ever here
  int64_t oldest_us() const;                            // of what waits, to a segment; 0: nothing does
  const SpoolCounters& counters() const { return counters_; }
  void flush() { sync_.flush(); }  // what was written is on disk
  std::string trouble() const { return sync_.trouble(); }

 private:
  static constexpr uint8_t kNamesOnly = kSpoolRefusals + 1;
  struct Segment {
    uint64_t number = 0;
    uint64_t bytes = 0;
    size_t batches = 0;
    size_t records = 0;
    uint8_t level = UINT8_MAX;  // the lowest of its batches
    int64_t first_us = 0;
    int64_t last_us = 0;
    void add(const SpoolRecord& record);
  };
  // Of segments whose batches were dropped.
  struct Gap {
    uint64_t first_segment;
    uint64_t last_segment;
    int64_t first_us;
    int64_t last_us;
  };

  Spool(SpoolFiles files, size_t limit, Squeeze squeeze);
  void load(uint64_t number, bool last);
  Result<void> roll();
  void make_room(size_t bytes);
  bool reduce();
  bool rewrite(Segment* segment, uint8_t level);
  void drop_oldest();
  void note_gap(const Segment& segment);
  void tell_gap(Spooled* spooled);
  void remove(std::deque<Segment>::iterator segment);
  void remove_done();
  Segment* segment_to_read();
  bool is_active(const Segment& segment) const { return file_ && segment.number == segments_.back().number; }

  SpoolFiles files_;
  const size_t limit_;
  const size_t segment_bytes_;
  Squeeze squeeze_;
  SpoolSync sync_;
  std::deque<Segment> segments_;
  uint64_t next_number_ = 1;
  std::shared_ptr<Fd> file_;  // of the last segment; null: the next record begins one
  size_t bytes_ = 0;
  size_t batches_ = 0;
  SpoolPlace acknowledged_;
  SpoolPlace taken_;                     // how far take() has come
  SpoolPlace sent_;                      // of the last record that was taken
  SpoolPlace damage_;                    // the last place where something was damaged
  std::optional<SpoolScanner> scanner_;  // of the segment taken_ is in
  bool damaged_ = false;                 // something went by since the last record
  bool cut_ = false;
  uint64_t gap_told_ = 0;  // for this segment
  std::vector<Gap> gaps_;
  std::map<std::string, uint64_t> last_;
  SpoolCounters counters_;
};

}  // namespace cellwall
