// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace cellwall {

using Bytes = std::span<const uint8_t>;

// Reads big-endian numbers and runs of bytes from the front of a message. What goes beyond its end gives
// nothing, and so does all that is read after it: where the last of several reads gave something, all did.
class WireReader {
 public:
  explicit WireReader(Bytes bytes) : bytes_(bytes) {}

  size_t left() const { return bytes_.size() - at_; }
  size_t at() const { return at_; }

  // width: 1 to 4 bytes.
  std::optional<uint32_t> number(size_t width) {
    const auto bytes = take(width);
    if (!bytes) return std::nullopt;
    uint32_t value = 0;
    for (const uint8_t byte : *bytes) value = value << 8 | byte;
    return value;
  }

  std::optional<Bytes> take(size_t count) {
    ended_ = ended_ || left() < count;
    if (ended_) return std::nullopt;
    const Bytes taken = bytes_.subspan(at_, count);
    at_ += count;
    return taken;
  }

  // Bytes behind their own length, which takes width bytes.
  std::optional<Bytes> counted(size_t width) {
    const auto count = number(width);
    return count ? take(*count) : std::nullopt;
  }

  // As counted, or as much of it as there is.
  std::optional<Bytes> counted_or_cut(size_t width) {
    const auto count = number(width);
    if (!count) return std::nullopt;
    return take(*count < left() ? *count : left());
  }

  bool skip(size_t count) { return take(count).has_value(); }

 private:
  Bytes bytes_;
  size_t at_ = 0;
  bool ended_ = false;
};

}  // namespace cellwall
