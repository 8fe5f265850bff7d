// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the first payload of a flow; the first byte of the input says whose. What comes out is one of
// the known protocols, with a version and a server name only where the protocol has them.
#include <netinet/in.h>

#include <algorithm>

#include "check.h"
#include "first_payload.h"

namespace {

using namespace cellwall;

bool is_host(const std::string& name) {
  size_t label = 0;
  for (const char c : name) {
    label = c == '.' ? 0 : label + 1;
    if (label > 63) return false;
    if (c != '.' && c != '-' && c != '_' && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')) return false;
  }
  return name.size() <= 253 && name.front() != '.' && name.back() != '.' &&
         name.find("..") == std::string::npos;
}

void check(const PayloadKind& kind, uint8_t protocol) {
  must(kind.payload > v1::PAYLOAD_UNSPECIFIED && kind.payload <= v1::PAYLOAD_DNS,
       "the protocol is a known one");
  const bool tls = kind.payload == v1::PAYLOAD_TLS;
  must(kind.tls_version == 0 || (tls && kind.tls_version >= 0x0300 && kind.tls_version <= 0x0304),
       "the version is one of TLS");
  must(kind.server_name.empty() || (tls && is_host(kind.server_name)), "the server name is that of a host");
  must(!kind.agreed || kind.tls_version != 0, "what was agreed is a version");
  const bool of_udp = kind.payload == v1::PAYLOAD_QUIC || kind.payload == v1::PAYLOAD_DNS;
  must(kind.payload == v1::PAYLOAD_UNKNOWN ||
           (protocol == IPPROTO_TCP ? kind.payload != v1::PAYLOAD_QUIC : of_udp),
       "the protocol goes over the transport");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto protocol = static_cast<uint8_t>(data[0] & 2 ? IPPROTO_UDP : IPPROTO_TCP);
  FirstPayload first = {.bytes = {data + 1, size - 1},
                        .length = size - 1,
                        .protocol = protocol,
                        .from_client = (data[0] & 1) != 0,
                        .server_port = static_cast<uint16_t>(data[0] & 4 ? 53 : 0)};
  const PayloadKind whole = classify(first);
  check(whole, protocol);
  const PayloadKind unknown = {.payload = v1::PAYLOAD_UNKNOWN};
  must(sharper(unknown, whole) == whole && sharper({}, whole) == whole, "nothing known takes nothing away");
  check(sharper(whole, unknown), protocol);
  // As a capture holds it that was cut.
  first.bytes = first.bytes.first(std::min<size_t>(first.bytes.size(), 256));
  const PayloadKind cut = classify(first);
  check(cut, protocol);
  check(sharper(cut, whole), protocol);
  return 0;
}
