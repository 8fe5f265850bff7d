// SPDX-License-Identifier: Apache-2.0
#include "startup.h"

#include <netinet/in.h>

#include <array>

#include "host_port.h"
#include "ip_address.h"

namespace cellwall {
namespace {

constexpr uint16_t kNamePort = 53;
constexpr std::array<uint16_t, 2> kApiPorts = {443, 6443};

}  // namespace

Result<std::vector<KernelStartupAllow>> parse_startup_allow(const std::vector<std::string>& list) {
  std::vector<KernelStartupAllow> allowed;
  for (const std::string& text : list) {
    const auto [host, port_text] = split_host_port(text);
    const auto address = parse_address(host);
    const auto port = parse_port(port_text);
    // To the kernel, an address of zeros means any.
    if (!address || is_unspecified(*address) || (!port_text.empty() && port.value_or(0) == 0))
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
