// SPDX-License-Identifier: Apache-2.0
//
// Which protocol a flow carries, told by the first payload of each side. A guess is worse than "unknown":
// each protocol is recognised by all of its fixed parts that are within the bytes.
#pragma once

#include <cstdint>
#include <string>

#include "cellwall/v1/agent.pb.h"
#include "wire_reader.h"

namespace cellwall {

struct FirstPayload {
  Bytes bytes;               // may be cut
  size_t length = 0;         // of the payload as it was
  uint8_t protocol = 0;      // TCP or UDP
  bool from_client = false;  // from who began the flow
  uint16_t server_port = 0;  // 0: not known
};

struct PayloadKind {
  v1::Payload payload = v1::PAYLOAD_UNSPECIFIED;
  uint16_t tls_version = 0;      // as Payloads.tls_version in agent.proto
  bool agreed = false;           // the version is what the server chose
  bool tls_refused = false;      // PostgreSQL's answer to who asks for TLS
  std::string server_name = {};  // SNI
  bool operator==(const PayloadKind&) const = default;
};

// Never PAYLOAD_UNSPECIFIED.
PayloadKind classify(const FirstPayload& first);

// What both payloads of a flow say together: the later one adds to the one before, or is sharper than it.
PayloadKind sharper(PayloadKind before, PayloadKind later);

}  // namespace cellwall
