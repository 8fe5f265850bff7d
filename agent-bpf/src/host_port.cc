// SPDX-License-Identifier: Apache-2.0
#include "host_port.h"

#include <charconv>

namespace cellwall {

HostPort split_host_port(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string::npos) return {};
    const std::string rest = text.substr(end + 1);
    if (!rest.empty() && (rest.size() < 2 || rest[0] != ':')) return {};
    return {text.substr(1, end - 1), rest.empty() ? "" : rest.substr(1)};
  }
  // More than one colon: IPv6 without a port.
  if (colon == std::string::npos || text.find(':') != colon) return {text, ""};
  if (colon + 1 == text.size()) return {};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

}  // namespace cellwall
