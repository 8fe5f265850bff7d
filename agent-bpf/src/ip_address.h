// SPDX-License-Identifier: Apache-2.0
//
// Addresses as all parts of Cellwall have them: 16 bytes in network order, IPv4 as ::ffff:a.b.c.d.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace cellwall {

using Address = std::array<uint8_t, 16>;

// What an IPv4 address begins with.
inline constexpr std::array<uint8_t, 12> kV4Mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::optional<Address> parse_address(const std::string& text);
bool is_v4(const Address& address);
bool is_loopback(const Address& address);
// 0.0.0.0 or ::
bool is_unspecified(const Address& address);

}  // namespace cellwall
