// SPDX-License-Identifier: Apache-2.0
#include "startup.h"

#include <netinet/in.h>

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "ip_address.h"

namespace cellwall {
namespace {

constexpr uint16_t kNamePort = 53;
constexpr std::array<uint16_t, 2> kApiPorts = {443, 6443};

std::optional<uint16_t> read_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// Address and port, which is empty where there is none.
std::pair<std::string, std::string> split(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string::npos) return {};
    const std::string rest = text.substr(end + 1);
    if (!rest.empty() && rest.size() < 2) return {};
    return {rest.empty() || rest[0] == ':' ? text.substr(1, end - 1) : "",
            rest.empty() ? "" : rest.substr(1)};
  }
  // More than one colon: IPv6 without a port.
  if (colon == std::string::npos || text.find(':') != colon) return {text, ""};
  if (colon + 1 == text.size()) return {};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

}  // namespace

Result<std::vector<KernelStartupAllow>> parse_startup_allow(const std::vector<std::string>& list) {
  std::vector<KernelStartupAllow> allowed;
  for (const std::string& text : list) {
    const auto [host, port_text] = split(text);
    const auto address = parse_address(host);
    const auto port = read_port(port_text);
    // To the kernel, an address of zeros means any.
    if (!address || is_unspecified(*address) || (!port && !port_text.empty()))
      return fail("--startup-allow " + text +
                  ": give an address, or an address and a port, such as 10.96.0.1, 10.96.0.1:443 or "
                  "[fd00::1]:6443");
    for (uint16_t usual : kApiPorts) {
      if (!port) allowed.push_back({.address = *address, .protocol = IPPROTO_TCP, .port = usual});
    }
    if (port) allowed.push_back({.address = *address, .protocol = IPPROTO_TCP, .port = *port});
  }
  return allowed;
}

std::vector<KernelStartupAllow> startup_name_servers() {
  return {{.address = {}, .protocol = IPPROTO_UDP, .port = kNamePort},
          {.address = {}, .protocol = IPPROTO_TCP, .port = kNamePort}};
}

}  // namespace cellwall
