// SPDX-License-Identifier: Apache-2.0
#include "ip_address.h"

#include <arpa/inet.h>

#include <algorithm>

namespace cellwall {

std::optional<Address> parse_address(const std::string& text) {
  Address address = {};
  if (inet_pton(AF_INET6, text.c_str(), address.data()) == 1) return address;
  std::copy(kV4Mapped.begin(), kV4Mapped.end(), address.begin());
  if (inet_pton(AF_INET, text.c_str(), address.data() + kV4Mapped.size()) == 1) return address;
  return std::nullopt;
}

bool is_v4(const Address& address) {
  return std::equal(kV4Mapped.begin(), kV4Mapped.end(), address.begin());
}

bool is_loopback(const Address& address) {
  if (is_v4(address)) return address[12] == 127;
  return address.back() == 1 && std::all_of(address.begin(), address.end() - 1, [](uint8_t b) { return !b; });
}

bool is_unspecified(const Address& address) {
  const auto begin = address.begin() + (is_v4(address) ? kV4Mapped.size() : 0);
  return std::all_of(begin, address.end(), [](uint8_t b) { return b == 0; });
}

}  // namespace cellwall
