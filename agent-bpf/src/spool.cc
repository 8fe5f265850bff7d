// SPDX-License-Identifier: Apache-2.0
#include "spool.h"

#include <algorithm>

namespace cellwall {
namespace {

// Small beside the limit, so that dropping one does not drop much.
constexpr size_t kSegments = 64;
constexpr size_t kSmallestSegment = 64 << 10;
constexpr size_t kLargestSegment = 2 << 20;

}  // namespace

void Spool::Segment::add(const SpoolRecord& record) {
  records++;
  if (record.kind != SpoolKind::kBatch) return;
  batches++;
  level = std::min(level, record.level);
  if (record.first_us > 0 && (first_us == 0 || record.first_us < first_us)) first_us = record.first_us;
  last_us = std::max(last_us, record.last_us);
}

Spool::Spool(SpoolFiles files, size_t limit, Squeeze squeeze)
    : files_(std::move(files)),
      limit_(limit),
      segment_bytes_(std::clamp(limit / kSegments, kSmallestSegment, kLargestSegment)),
      squeeze_(std::move(squeeze)),
      sync_(files_.directory()) {}

Result<std::unique_ptr<Spool>> Spool::open(const std::string& directory, size_t limit_bytes,
                                           Squeeze squeeze) {
  auto files = SpoolFiles::open(directory);
  if (!files) return std::unexpected(files.error());
  std::unique_ptr<Spool> spool(new Spool(std::move(*files), limit_bytes, std::move(squeeze)));
  const auto numbers = spool->files_.list();
  for (uint64_t number : numbers) {
    // Acknowledged, or dropped for want of room: only in the second case is there a hole.
    if (number > spool->next_number_) spool->gaps_.push_back({spool->next_number_, number - 1, 0, 0});
    spool->load(number, number == numbers.back());
    spool->next_number_ = number + 1;
  }
  spool->make_room(0);
  return spool;
}

// An agent that was killed as it wrote leaves a part of a record at the end.
void Spool::load(uint64_t number, bool last) {
  Segment segment{.number = number};
  SpoolScanner scanner(files_.reader(number));
  while (const auto record = scanner.next(last)) {
    segment.add(*record);
    uint64_t& index = last_[record->epoch];
    index = std::max(index, record->last);
  }
  if (last && scanner.damaged()) cut_ = files_.cut(number, scanner.offset()).has_value();
  if (segment.records == 0) {
    files_.remove(number);
    return;
  }
  segment.bytes = files_.bytes(number);
  bytes_ += segment.bytes;
  batches_ += segment.batches;
  segments_.push_back(segment);
}

Result<void> Spool::roll() {
  file_.reset();
  auto file = files_.create(next_number_);
  if (!file) return std::unexpected(file.error());
  file_ = std::move(*file);
  segments_.push_back({.number = next_number_++, .bytes = kSpoolMark.size()});
  bytes_ += kSpoolMark.size();
  return {};
}

Result<SpoolPlace> Spool::append(const SpoolRecord& record, bool taken) {
  const std::string bytes = encode(record);
  if (bytes.size() > std::min(kMaxSpoolRecord, limit_ / 2))
    return fail("a record of " + std::to_string(bytes.size()) + " bytes is too large for the spool");
  make_room(bytes.size());
  if (!file_ || segments_.back().bytes + bytes.size() > segment_bytes_) {
    if (auto ok = roll(); !ok) return std::unexpected(ok.error());
  }
  Segment& segment = segments_.back();
  if (auto ok = write_all(file_->get(), bytes, files_.directory()); !ok) {
    // What came of it goes, so that nothing follows a part of a record.
    (void)files_.cut(segment.number, segment.bytes);
    file_.reset();
    if (segment.records == 0) remove(segments_.end() - 1);
    return std::unexpected(ok.error());
  }
  segment.bytes += bytes.size();
  segment.add(record);
  bytes_ += bytes.size();
  batches_ += record.kind == SpoolKind::kBatch ? 1 : 0;
  uint64_t& index = last_[record.epoch];
  index = std::max(index, record.last);
  sync_.written(file_);
  const SpoolPlace place{segment.number, segment.bytes};
  if (taken) {
    taken_ = sent_ = place;
    scanner_.reset();
  }
  return place;
}

Spool::Segment* Spool::segment_to_read() {
  const auto found = std::find_if(segments_.begin(), segments_.end(),
                                  [&](const Segment& it) { return it.number >= taken_.segment; });
  if (found == segments_.end()) return nullptr;
  if (found->number > taken_.segment) {
    taken_ = {found->number, kSpoolMark.size()};
    scanner_.reset();
  }
  if (!scanner_) scanner_.emplace(files_.reader(found->number), taken_.offset);
  return &*found;
}

std::optional<Spooled> Spool::take() {
  while (Segment* segment = segment_to_read()) {
    auto record = scanner_->next(true);
    if (scanner_->damaged()) {
      damaged_ = true;
      const SpoolPlace place{segment->number, scanner_->offset()};
      if (place > damage_) counters_.damaged_places++;
      damage_ = std::max(damage_, place);
    }
    if (record) {
      taken_ = sent_ = {segment->number, scanner_->offset()};
      Spooled spooled{.place = taken_, .record = std::move(*record)};
      if (spooled.record.kind == SpoolKind::kBatch) tell_gap(&spooled);
      return spooled;
    }
    taken_.offset = segment->bytes;
    scanner_.reset();
    if (segment->number == segments_.back().number) break;
    taken_ = {segment->number + 1, kSpoolMark.size()};
  }
  remove_done();
  return std::nullopt;
}

void Spool::tell_gap(Spooled* spooled) {
  const uint64_t number = spooled->place.segment;
  const bool told = std::exchange(gap_told_, number) == number;
  if (std::exchange(damaged_, false)) spooled->hole = SpoolHole::kDamaged;
  const auto gap =
      std::find_if(gaps_.rbegin(), gaps_.rend(), [&](const Gap& it) { return it.last_segment < number; });
  if (told || gap == gaps_.rend()) return;
  spooled->hole = SpoolHole::kFull;
  spooled->hole_first_us = gap->first_us;
  spooled->hole_last_us = gap->last_us;
}

void Spool::rewind() {
  taken_ = sent_ = acknowledged_;
  scanner_.reset();
  damaged_ = false;
  gap_told_ = 0;
}

void Spool::acknowledged(const SpoolPlace& place) {
  acknowledged_ = std::max(acknowledged_, place);
  remove_done();
}

void Spool::remove_done() {
  while (!segments_.empty()) {
    const Segment& front = segments_.front();
    const SpoolPlace end{front.number, front.bytes};
    // What is behind the last good record of a segment is never acknowledged.
    const bool all_acknowledged = acknowledged_ >= sent_ && taken_ >= end;
    if (front.number >= acknowledged_.segment && acknowledged_ < end && !all_acknowledged) break;
    if (is_active(front)) file_.reset();
    remove(segments_.begin());
  }
  std::erase_if(gaps_, [&](const Gap& gap) { return gap.last_segment < acknowledged_.segment; });
}

void Spool::remove(std::deque<Segment>::iterator segment) {
  bytes_ -= segment->bytes;
  batches_ -= segment->batches;
  files_.remove(segment->number);
  // Open files keep their room.
  if (taken_.segment == segment->number) scanner_.reset();
  segments_.erase(segment);
}

bool Spool::all_taken() const {
  return segments_.empty() || taken_ >= SpoolPlace{segments_.back().number, segments_.back().bytes};
}

uint64_t Spool::last_index(const std::string& epoch) const {
  const auto found = last_.find(epoch);
  return found == last_.end() ? 0 : found->second;
}

int64_t Spool::oldest_us() const {
  for (const Segment& segment : segments_) {
    if (segment.first_us > 0) return segment.first_us;
  }
  return 0;
}

}  // namespace cellwall
