// SPDX-License-Identifier: Apache-2.0
#include "crc32c.h"

#include <array>
#include <bit>
#include <cstring>

namespace cellwall {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reversed

// tables[n][b]: the sum of the byte b with n zero bytes behind it, so that eight bytes go at a time.
constexpr auto make_tables() {
  std::array<std::array<uint32_t, 256>, 8> tables = {};
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t sum = byte;
    for (int bit = 0; bit < 8; bit++) sum = sum >> 1 ^ (sum & 1 ? kPolynomial : 0);
    tables[0][byte] = sum;
  }
  for (size_t n = 1; n < 8; n++) {
    for (size_t byte = 0; byte < 256; byte++) {
      const uint32_t before = tables[n - 1][byte];
      tables[n][byte] = before >> 8 ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr auto kTables = make_tables();
static_assert(std::endian::native == std::endian::little);

}  // namespace

uint32_t crc32c(std::string_view bytes, uint32_t before) {
  uint32_t sum = ~before;
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, sizeof(word));
    word ^= sum;
    sum = 0;
    for (size_t n = 0; n < 8; n++) sum ^= kTables[7 - n][word >> (8 * n) & 0xff];
  }
  for (; left > 0; at++, left--) sum = sum >> 8 ^ kTables[0][(sum ^ static_cast<uint8_t>(*at)) & 0xff];
  return ~sum;
}

}  // namespace cellwall
