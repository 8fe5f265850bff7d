// SPDX-License-Identifier: Apache-2.0
#include "frames.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace cellwall::test {
namespace {

constexpr char kWord[] = "cellwall second wall";
constexpr int kWaitMilliseconds = 250;

void append(Bytes* bytes, const void* data, size_t size) {
  for (size_t i = 0; i < size; i++) bytes->push_back(static_cast<const uint8_t*>(data)[i]);
}

Bytes transport(const Packet& packet) {
  Bytes bytes(packet.protocol == IPPROTO_TCP ? 20 : 8);
  if (packet.protocol == IPPROTO_ICMP || packet.protocol == IPPROTO_ICMPV6) {
    bytes[0] = static_cast<uint8_t>(packet.port >> 8);
  } else {
    bytes[0] = 0x30;
    bytes[2] = static_cast<uint8_t>(packet.port >> 8);
    bytes[3] = static_cast<uint8_t>(packet.port);
  }
  if (packet.protocol == IPPROTO_TCP) {
    bytes[12] = 0x50;
    bytes[13] = packet.tcp_flags;
  } else if (packet.protocol == IPPROTO_UDP) {
    bytes[5] = static_cast<uint8_t>(8 + sizeof(kWord));
  }
  append(&bytes, kWord, sizeof(kWord));
  return bytes;
}

uint16_t checksum(const uint8_t* bytes, size_t size) {
  uint32_t sum = 0;
  for (size_t i = 0; i < size; i += 2) sum += static_cast<uint32_t>(bytes[i] << 8 | bytes[i + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<uint16_t>(~sum));
}

Bytes v4_packet(const Packet& packet) {
  const Bytes payload = transport(packet);
  iphdr head = {};
  head.version = 4;
  head.ihl = packet.source_route ? 7 : 5;
  head.tot_len = htons(static_cast<uint16_t>(head.ihl * 4 + payload.size()));
  head.id = htons(7);
  head.frag_off = htons(packet.fragment);
  head.ttl = packet.hop_limit;
  head.protocol = packet.protocol;
  inet_pton(AF_INET, packet.from.empty() ? "10.8.0.2" : packet.from.c_str(), &head.saddr);
  inet_pton(AF_INET, packet.to.c_str(), &head.daddr);
  Bytes bytes;
  append(&bytes, &head, sizeof(head));
  if (packet.source_route) append(&bytes, "\x83\x07\x04\xcb\x00\x71\x09\x00", 8);
  const uint16_t sum = checksum(bytes.data(), bytes.size());
  std::memcpy(bytes.data() + offsetof(iphdr, check), &sum, sizeof(sum));
  append(&bytes, payload.data(), payload.size());
  return bytes;
}

Bytes v6_packet(const Packet& packet) {
  const Bytes payload = transport(packet);
  ip6_hdr head = {};
  head.ip6_vfc = 6 << 4;
  head.ip6_plen = htons(static_cast<uint16_t>(payload.size()));
  head.ip6_nxt = packet.protocol;
  head.ip6_hlim = packet.hop_limit;
  inet_pton(AF_INET6, packet.from.empty() ? "fd08::2" : packet.from.c_str(), &head.ip6_src);
  inet_pton(AF_INET6, packet.to.c_str(), &head.ip6_dst);
  Bytes bytes;
  append(&bytes, &head, sizeof(head));
  append(&bytes, payload.data(), payload.size());
  return bytes;
}

bool is_v6(const Packet& packet) {
  return packet.to.find(':') != std::string::npos;
}

}  // namespace

Bytes word() {
  Bytes bytes;
  append(&bytes, kWord, sizeof(kWord));
  return bytes;
}

Bytes ip_packet(const Packet& packet) {
  return is_v6(packet) ? v6_packet(packet) : v4_packet(packet);
}

Bytes frame(uint16_t ethertype, const Bytes& payload) {
  Bytes bytes(12, 0xff);  // to all, so that nobody's address is needed
  bytes[6] = 0x02;
  bytes.push_back(static_cast<uint8_t>(ethertype >> 8));
  bytes.push_back(static_cast<uint8_t>(ethertype));
  append(&bytes, payload.data(), payload.size());
  return bytes;
}

Bytes frame(const Packet& packet) {
  return frame(is_v6(packet) ? ETH_P_IPV6 : ETH_P_IP, ip_packet(packet));
}

int send_frame(const Bytes& bytes) {
  const Fd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  sockaddr_ll to = {};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(if_nametoindex("eth0"));
  const ssize_t sent =
      sendto(socket.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof(to));
  return sent == static_cast<ssize_t>(bytes.size()) ? 0 : errno;
}

Fd open_tunnel(const std::string& name, bool tap) {
  constexpr char kOwn[] = "/dev/shm/cellwall-test-tun";
  Fd tunnel(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  if (!tunnel) {
    mknod(kOwn, S_IFCHR | 0600, makedev(10, 200));
    tunnel = Fd(open(kOwn, O_RDWR | O_CLOEXEC));
    unlink(kOwn);
  }
  ifreq wanted = {};
  name.copy(wanted.ifr_name, IFNAMSIZ - 1);
  wanted.ifr_flags = static_cast<short>((tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI);
  if (!tunnel || ioctl(tunnel.get(), TUNSETIFF, &wanted) != 0) return Fd();
  return tunnel;
}

Arrivals::Arrivals(const std::string& device, uint16_t ethertype)
    : socket_(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  sockaddr_ll at = {};
  at.sll_family = AF_PACKET;
  at.sll_protocol = htons(ethertype);
  at.sll_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
  if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) != 0) std::abort();
}

int Arrivals::count(int expected) {
  const Bytes known = word();
  Bytes bytes(65536);
  int found = 0;
  pollfd waiting = {.fd = socket_.get(), .events = POLLIN, .revents = 0};
  while (poll(&waiting, 1, expected > 0 && found >= expected ? 20 : kWaitMilliseconds) > 0) {
    const ssize_t size = recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (size > 0 &&
        std::search(bytes.begin(), bytes.begin() + size, known.begin(), known.end()) != bytes.begin() + size)
      found++;
  }
  return found;
}

}  // namespace cellwall::test
