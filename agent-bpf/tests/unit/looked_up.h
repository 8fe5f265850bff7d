// SPDX-License-Identifier: Apache-2.0
//
// Answers of name servers, as the agent has read them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "dns_message.h"

namespace cellwall::test {

inline constexpr uint64_t kSecond = 1'000'000'000;  // ns

inline Address v4(uint8_t last) {
  return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last};
}

inline DnsAnswer answer(std::string name, std::vector<Address> addresses, uint32_t ttl = 60) {
  return {.code = 0,
          .truncated = false,
          .type = kDnsA,
          .name = std::move(name),
          .answered = !addresses.empty(),
          .addresses = std::move(addresses),
          .aliases = {},
          .ttl = ttl};
}

}  // namespace cellwall::test
