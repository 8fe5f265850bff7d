// SPDX-License-Identifier: Apache-2.0
//
// The first message of each side of a TLS connection, which is in clear.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "wire_reader.h"

namespace cellwall {

struct TlsHello {
  bool server = false;
  uint16_t version =
      0;  // client: the highest that it offers; server: what was agreed; 0: not within the bytes
  std::string server_name = {};  // of the client; empty: none, no host name, or not within the bytes
};

// Bytes may end anywhere, since a hello can be longer than a segment: what is there is read. Empty: no TLS.
std::optional<TlsHello> read_tls_hello(Bytes bytes);

// Lower case, without the last dot. Empty: not the name of a host (RFC 6066, section 3, has no addresses).
std::string host_name_of(Bytes bytes);

}  // namespace cellwall
