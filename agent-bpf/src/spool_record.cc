// SPDX-License-Identifier: Apache-2.0
#include "spool_record.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "crc32c.h"

namespace cellwall {
namespace {

constexpr uint32_t kMagic = 0x7ec09d43;
constexpr size_t kWindow = 64 << 10;
constexpr uint8_t kFixed = 1;

struct Head {
  uint32_t magic;
  uint32_t head_sum;  // of what follows in the head
  uint32_t body_sum;  // of epoch and body
  uint32_t body_bytes;
  uint16_t epoch_bytes;
  uint8_t kind;
  uint8_t level;
  uint8_t flags;
  uint8_t pad[11];
  uint64_t first;
  uint64_t last;
  int64_t first_us;
  int64_t last_us;

  uint32_t sum() const {
    return crc32c({reinterpret_cast<const char*>(this) + offsetof(Head, body_sum),
                   sizeof(Head) - offsetof(Head, body_sum)});
  }
  size_t payload_bytes() const { return size_t{epoch_bytes} + body_bytes; }
};
static_assert(sizeof(Head) == kSpoolHeadBytes);

}  // namespace

std::string encode(const SpoolRecord& record) {
  Head head = {};
  head.magic = kMagic;
  head.body_sum = crc32c(record.body, crc32c(record.epoch));
  head.body_bytes = static_cast<uint32_t>(record.body.size());
  head.epoch_bytes = static_cast<uint16_t>(record.epoch.size());
  head.kind = static_cast<uint8_t>(record.kind);
  head.level = record.level;
  head.flags = record.fixed ? kFixed : 0;
  head.first = record.first;
  head.last = record.last;
  head.first_us = record.first_us;
  head.last_us = record.last_us;
  head.head_sum = head.sum();
  std::string bytes(reinterpret_cast<const char*>(&head), sizeof(head));
  return bytes + record.epoch + record.body;
}

std::optional<SpoolRecord> SpoolScanner::at(uint64_t offset, bool with_body, uint64_t* end) {
  Head head;
  if (read_(offset, reinterpret_cast<char*>(&head), sizeof(head)) != sizeof(head)) return std::nullopt;
  if (head.magic != kMagic || head.head_sum != head.sum() || head.payload_bytes() > kMaxSpoolRecord)
    return std::nullopt;
  SpoolRecord record;
  record.epoch.resize(head.epoch_bytes);
  const uint64_t payload = offset + sizeof(head);
  *end = payload + head.payload_bytes();
  if (read_(payload, record.epoch.data(), head.epoch_bytes) != head.epoch_bytes) return std::nullopt;
  if (with_body) {
    record.body.resize(head.body_bytes);
    if (read_(payload + head.epoch_bytes, record.body.data(), head.body_bytes) != head.body_bytes)
      return std::nullopt;
    if (crc32c(record.body, crc32c(record.epoch)) != head.body_sum) return std::nullopt;
  } else if (head.body_bytes > 0) {
    char last;  // a record that was cut off is none
    if (read_(*end - 1, &last, 1) != 1) return std::nullopt;
  }
  record.kind = static_cast<SpoolKind>(head.kind);
  record.level = head.level;
  record.fixed = head.flags & kFixed;
  record.first = head.first;
  record.last = head.last;
  record.first_us = head.first_us;
  record.last_us = head.last_us;
  return record;
}

// Where the next record could begin.
std::optional<uint64_t> SpoolScanner::find_mark(uint64_t from) {
  std::array<char, sizeof(kMagic)> mark;
  std::memcpy(mark.data(), &kMagic, sizeof(kMagic));
  std::string window(kWindow, '\0');
  for (;;) {
    const size_t bytes = read_(from, window.data(), window.size());
    if (bytes < mark.size()) return std::nullopt;
    const auto end = window.begin() + static_cast<long>(bytes);
    const auto found = std::search(window.begin(), end, mark.begin(), mark.end());
    if (found != end) return from + static_cast<uint64_t>(found - window.begin());
    from += bytes - mark.size() + 1;
  }
}

std::optional<SpoolRecord> SpoolScanner::next(bool with_body) {
  damaged_ = false;
  uint64_t end = 0;
  std::optional<uint64_t> start = offset_;
  while (start) {
    if (auto record = at(*start, with_body, &end)) {
      offset_ = end;
      return record;
    }
    char any;
    if (read_(*start, &any, 1) == 0) break;  // the end
    damaged_ = true;
    start = find_mark(*start + 1);
  }
  return std::nullopt;
}

}  // namespace cellwall
