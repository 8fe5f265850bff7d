// SPDX-License-Identifier: Apache-2.0
//
// What an answer of a name server says. Whoever runs a name server can send any bytes: the work is bounded by
// the length of the message, and nothing is believed that was not asked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ip_address.h"
#include "wire_reader.h"

namespace cellwall {

enum DnsType : uint16_t { kDnsA = 1, kDnsCname = 5, kDnsAaaa = 28, kDnsAny = 255 };
enum DnsCode : uint8_t { kDnsNoError = 0, kDnsNameError = 3 };

// Longer lists and chains are cut: resolvers give up on a chain before that.
inline constexpr size_t kMaxDnsAddresses = 64;
inline constexpr size_t kMaxDnsAliases = 16;

struct DnsAnswer {
  uint8_t code = 0;        // RCODE
  bool truncated = false;  // the records that fit are read all the same: old clients use them
  uint16_t type = 0;       // of the question
  std::string name;        // of the question, as Lookup.name in agent.proto
  bool answered = false;   // a record of the type that was asked for belongs to the question
  std::vector<Address> addresses;
  std::vector<std::string> aliases;  // the CNAME chain in its order, without the question's own name
  uint32_t ttl = 0;                  // seconds; the smallest of the chain and the addresses, 0: no addresses
};

// One message, as a UDP datagram has it. Empty: it is no answer to exactly one question, or malformed.
std::optional<DnsAnswer> read_dns_answer(Bytes message);

struct DnsSegment {
  std::vector<DnsAnswer> answers;
  uint32_t unreadable = 0;  // malformed, or split over segments
};

// One segment of a TCP connection (RFC 1035, section 4.2.2): messages behind their length.
DnsSegment read_dns_segment(Bytes segment);

}  // namespace cellwall
