// SPDX-License-Identifier: Apache-2.0
#include "addresses.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <memory>

#include "fd.h"
#include "in_namespace.h"

namespace cellwall {
namespace {

// 169.254.0.0/16
bool is_link_local(const in_addr& address) {
  return (ntohl(address.s_addr) >> 16) == 0xa9fe;
}

std::string text_of(const ifaddrs& entry) {
  std::array<char, INET6_ADDRSTRLEN> text = {};
  if (!entry.ifa_addr || entry.ifa_flags & IFF_LOOPBACK) return "";
  if (entry.ifa_addr->sa_family == AF_INET) {
    const auto& address = reinterpret_cast<const sockaddr_in*>(entry.ifa_addr)->sin_addr;
    if (is_link_local(address)) return "";
    return inet_ntop(AF_INET, &address, text.data(), text.size());
  }
  if (entry.ifa_addr->sa_family != AF_INET6) return "";
  const auto& address = reinterpret_cast<const sockaddr_in6*>(entry.ifa_addr)->sin6_addr;
  if (IN6_IS_ADDR_LINKLOCAL(&address)) return "";
  return inet_ntop(AF_INET6, &address, text.data(), text.size());
}

Result<std::vector<std::string>> addresses_here() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return fail_errno("list the addresses of this node");
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, freeifaddrs);
  std::vector<std::string> found;
  for (const ifaddrs* entry = list; entry; entry = entry->ifa_next) {
    std::string text = text_of(*entry);
    if (!text.empty() && std::find(found.begin(), found.end(), text) == found.end())
      found.push_back(std::move(text));
  }
  return found;
}

}  // namespace

Result<std::vector<std::string>> node_addresses(const std::string& network_namespace) {
  const Fd target(open(network_namespace.c_str(), O_RDONLY | O_CLOEXEC));
  if (!target) return fail_errno("open the node's network namespace " + network_namespace);
  Result<std::vector<std::string>> found;
  const auto entered = in_namespace(target, "of the node", [&]() -> Result<void> {
    found = addresses_here();
    return {};
  });
  if (!entered) return std::unexpected(entered.error());
  return found;
}

}  // namespace cellwall
