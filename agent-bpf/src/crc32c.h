// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace cellwall {

// CRC-32C (Castagnoli), as in RFC 3720 appendix B.4. With the sum of what came before, the sum of both.
uint32_t crc32c(std::string_view bytes, uint32_t before = 0);

}  // namespace cellwall
