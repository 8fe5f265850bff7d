// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cellwall {

struct HostPort {
  std::string host;
  std::string port;  // empty: there is none
};

// "10.0.0.1", "10.0.0.1:80", "fd00::1", "[fd00::1]" or "[fd00::1]:80", and names. Malformed: without a host.
HostPort split_host_port(const std::string& text);

// 0 to 65535, in digits alone.
std::optional<uint16_t> parse_port(std::string_view text);

}  // namespace cellwall
