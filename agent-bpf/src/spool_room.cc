// SPDX-License-Identifier: Apache-2.0
//
// How a spool stays within its limit.
#include <algorithm>

#include "spool.h"

namespace cellwall {

void Spool::make_room(size_t bytes) {
  while (bytes_ + bytes > limit_ && reduce()) continue;
}

// False: nothing is left but the segment that is being written.
bool Spool::reduce() {
  Segment* best = nullptr;
  for (Segment& segment : segments_) {
    if (is_active(segment) || segment.number <= taken_.segment || segment.level >= kNamesOnly) continue;
    if (!best || segment.level < best->level) best = &segment;
  }
  if (best && rewrite(best, best->level + 1)) return true;
  if (segments_.empty() || is_active(segments_.front())) return false;
  drop_oldest();
  return true;
}

// False: it cannot be written.
bool Spool::rewrite(Segment* segment, uint8_t level) {
  std::string contents(kSpoolMark);
  Segment next{.number = segment->number};
  uint64_t dropped = 0;
  SpoolScanner scanner(files_.reader(segment->number));
  while (auto record = scanner.next(true)) {
    if (record->kind == SpoolKind::kBatch) {
      if (level == kNamesOnly) {
        if (record->last >= record->first && record->first > 0) dropped += record->last - record->first + 1;
        continue;
      }
      if (record->level < level && !record->fixed) squeeze_(&*record, static_cast<SpoolLevel>(level));
      record->level = level;
    }
    contents += encode(*record);
    next.add(*record);
  }
  if (next.records > 0 && !files_.replace(segment->number, contents)) return false;
  if (level == kNamesOnly) note_gap(*segment);
  counters_.dropped_events += dropped;
  if (next.records == 0) {
    counters_.dropped_segments++;
    remove(std::find_if(segments_.begin(), segments_.end(),
                        [&](const Segment& it) { return it.number == next.number; }));
    return true;
  }
  next.bytes = contents.size();
  bytes_ = bytes_ - segment->bytes + next.bytes;
  batches_ = batches_ - segment->batches + next.batches;
  *segment = next;
  return true;
}

// What of it is on its way is in memory, and may still arrive.
void Spool::drop_oldest() {
  const Segment oldest = segments_.front();
  SpoolScanner scanner(files_.reader(oldest.number));
  while (const auto record = scanner.next(false)) {
    if (SpoolPlace{oldest.number, scanner.offset()} <= std::max(taken_, acknowledged_)) continue;
    if (record->kind == SpoolKind::kBatch && record->first > 0 && record->last >= record->first)
      counters_.dropped_events += record->last - record->first + 1;
  }
  if (oldest.batches > 0) note_gap(oldest);
  counters_.dropped_segments++;
  if (taken_.segment == oldest.number) {
    taken_ = {oldest.number + 1, kSpoolMark.size()};
    scanner_.reset();
  }
  remove(segments_.begin());
}

// One of several next to each other.
void Spool::note_gap(const Segment& segment) {
  const auto after = std::find_if(gaps_.begin(), gaps_.end(),
                                  [&](const Gap& it) { return it.last_segment >= segment.number; });
  if (after != gaps_.begin()) {
    Gap& before = *(after - 1);
    const bool alone = std::none_of(segments_.begin(), segments_.end(), [&](const Segment& it) {
      return it.number > before.last_segment && it.number < segment.number && it.batches > 0;
    });
    if (alone) {
      before.last_segment = segment.number;
      if (before.first_us == 0) before.first_us = segment.first_us;
      before.last_us = std::max(before.last_us, segment.last_us);
      return;
    }
  }
  gaps_.insert(after, {segment.number, segment.number, segment.first_us, segment.last_us});
}

}  // namespace cellwall
