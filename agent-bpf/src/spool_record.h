// SPDX-License-Identifier: Apache-2.0
//
// What a segment file of the spool holds: a mark, then records. A record has a head with a sum of its own, so
// that files can be walked through without reading them, and a body with another. Integers are little-endian.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace cellwall {

enum class SpoolKind : uint8_t { kBatch = 1, kContainers = 2 };

// What was done to a batch for want of room, in this order.
enum SpoolLevel : uint8_t {
  kSpoolWhole = 0,
  kSpoolMerged = 1,  // rows that are alike are one
  kSpoolShed = 2,    // only refusals and the first rows of new pairs are left
  kSpoolRefusals = 3,
};

struct SpoolRecord {
  SpoolKind kind = SpoolKind::kBatch;
  uint8_t level = kSpoolWhole;
  // An agent before may have sent a part of it in other batches: rows stay as they are, so that the server
  // can tell which ones it has.
  bool fixed = false;
  uint64_t first = 0;  // event indexes; 0: covers none
  uint64_t last = 0;
  int64_t first_us = 0;  // of the ends of its flows
  int64_t last_us = 0;
  std::string epoch;
  std::string body;  // a serialized StreamRequest
};

inline constexpr size_t kSpoolHeadBytes = 64;
inline constexpr std::string_view kSpoolMark = "cwspool1";
// A batch of 8,192 rows is some 800 KiB.
inline constexpr size_t kMaxSpoolRecord = 8 << 20;

// As it stands in a file.
std::string encode(const SpoolRecord& record);

// Walks through one segment, wherever its bytes are.
class SpoolScanner {
 public:
  // Reads at most so many bytes from there on, into `out`; returns how many.
  using Read = std::function<size_t(uint64_t offset, char* out, size_t bytes)>;

  explicit SpoolScanner(Read read, uint64_t offset = kSpoolMark.size())
      : read_(std::move(read)), offset_(offset) {}

  // The next good record at or behind the offset. Without the body, only its head is checked.
  std::optional<SpoolRecord> next(bool with_body);
  uint64_t offset() const { return offset_; }  // behind the record that next() gave
  // Bytes which were none of any record went by before the record that next() gave, or at the end.
  bool damaged() const { return damaged_; }

 private:
  std::optional<SpoolRecord> at(uint64_t offset, bool with_body, uint64_t* end);
  std::optional<uint64_t> find_mark(uint64_t from);

  Read read_;
  uint64_t offset_;
  bool damaged_ = false;
};

}  // namespace cellwall
