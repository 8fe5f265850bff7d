// SPDX-License-Identifier: Apache-2.0
//
// Frames made by hand, and what of them gets through a device. Each has a word by which it is known again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fd.h"

namespace cellwall::test {

using Bytes = std::vector<uint8_t>;

struct Packet {
  std::string to;
  uint8_t protocol = 17;
  uint16_t port = 9999;   // ICMP: the type in the upper byte
  uint16_t fragment = 0;  // flags and offset
  uint8_t tcp_flags = 2;  // SYN
  uint8_t hop_limit = 64;
  bool source_route = false;
  std::string from = {};  // empty: the pod's
};

Bytes ip_packet(const Packet& packet);  // IPv4 or IPv6 by the address
Bytes frame(uint16_t ethertype, const Bytes& payload);
Bytes frame(const Packet& packet);
Bytes word();  // what all of them end in

// Through a packet socket on eth0 of the namespace that the caller is in. 0 or errno.
int send_frame(const Bytes& bytes);
// Writes to a device of its own that leads into this namespace; a tap: frames, a tun: packets.
Fd open_tunnel(const std::string& name, bool tap);

// Frames of one ethertype that have come in on a device and were not dropped before the layer above.
class Arrivals {
 public:
  Arrivals(const std::string& device, uint16_t ethertype);
  // With the word in them, since the last call. Waits for the first one; none comes: a quarter of a second.
  int count(int expected = 0);

 private:
  Fd socket_;
};

}  // namespace cellwall::test
