// SPDX-License-Identifier: Apache-2.0
#include "conntrack.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string_view>

namespace cellwall {
namespace {

using std::chrono::steady_clock;

constexpr size_t kBatch = 64;
constexpr size_t kMessageBytes = 256;  // more than a request for one tuple takes
// Answers of a batch wait in the socket until they are read; the kernel accounts about a kilobyte for each.
constexpr int kReceiveBytes = 1 << 20;
constexpr std::chrono::seconds kAskActive{10};

nlmsghdr* begin_message(void* buffer, uint16_t type, uint8_t family, uint32_t sequence) {
  nlmsghdr* header = mnl_nlmsg_put_header(buffer);
  header->nlmsg_type = static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
  header->nlmsg_flags = NLM_F_REQUEST;
  header->nlmsg_seq = sequence;
  auto* general = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  general->nfgen_family = family;
  general->version = NFNETLINK_V0;
  return header;
}

void put_tuple(nlmsghdr* header, const Tuple& tuple) {
  const bool v4 = is_v4(tuple.source.address);
  const size_t skip = v4 ? kV4Mapped.size() : 0, size = 16 - skip;
  nlattr* outer = mnl_attr_nest_start(header, CTA_TUPLE_ORIG);
  nlattr* ip = mnl_attr_nest_start(header, CTA_TUPLE_IP);
  mnl_attr_put(header, v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, size, tuple.source.address.data() + skip);
  mnl_attr_put(header, v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, size, tuple.destination.address.data() + skip);
  mnl_attr_nest_end(header, ip);
  nlattr* transport = mnl_attr_nest_start(header, CTA_TUPLE_PROTO);
  mnl_attr_put_u8(header, CTA_PROTO_NUM, tuple.protocol);
  mnl_attr_put_u16(header, CTA_PROTO_SRC_PORT, htons(tuple.source.port));
  mnl_attr_put_u16(header, CTA_PROTO_DST_PORT, htons(tuple.destination.port));
  mnl_attr_nest_end(header, transport);
  mnl_attr_nest_end(header, outer);
}

// libmnl's own loops rely on conversions that C++ does not have.
template <typename Each>
void each_attribute(const char* begin, const char* end, const Each& each) {
  for (const auto* attribute = reinterpret_cast<const nlattr*>(begin);
       mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)));
       attribute = mnl_attr_next(attribute))
    each(attribute);
}

template <typename Each>
void each_nested(const nlattr* nest, const Each& each) {
  const auto* begin = static_cast<const char*>(mnl_attr_get_payload(nest));
  each_attribute(begin, begin + mnl_attr_get_payload_len(nest), each);
}

template <typename Each>
void each_top(const nlmsghdr* header, const Each& each) {
  const auto* begin = static_cast<const char*>(mnl_nlmsg_get_payload_offset(header, sizeof(nfgenmsg)));
  each_attribute(begin, reinterpret_cast<const char*>(header) + header->nlmsg_len, each);
}

void read_address(const nlattr* attribute, size_t size, Address* address) {
  if (mnl_attr_get_payload_len(attribute) != size) return;
  if (size == 4) std::copy(kV4Mapped.begin(), kV4Mapped.end(), address->begin());
  std::memcpy(address->data() + 16 - size, mnl_attr_get_payload(attribute), size);
}

void read_port(const nlattr* attribute, uint16_t* port) {
  if (mnl_attr_get_payload_len(attribute) == sizeof(uint16_t)) *port = ntohs(mnl_attr_get_u16(attribute));
}

Tuple read_tuple(const nlattr* nest) {
  Tuple tuple;
  each_nested(nest, [&](const nlattr* part) {
    const bool addresses = mnl_attr_get_type(part) == CTA_TUPLE_IP;
    each_nested(part, [&](const nlattr* leaf) {
      const int type = mnl_attr_get_type(leaf);
      if (addresses) {
        if (type == CTA_IP_V4_SRC) read_address(leaf, 4, &tuple.source.address);
        if (type == CTA_IP_V4_DST) read_address(leaf, 4, &tuple.destination.address);
        if (type == CTA_IP_V6_SRC) read_address(leaf, 16, &tuple.source.address);
        if (type == CTA_IP_V6_DST) read_address(leaf, 16, &tuple.destination.address);
      } else {
        if (type == CTA_PROTO_NUM) tuple.protocol = mnl_attr_get_u8(leaf);
        if (type == CTA_PROTO_SRC_PORT) read_port(leaf, &tuple.source.port);
        if (type == CTA_PROTO_DST_PORT) read_port(leaf, &tuple.destination.port);
      }
    });
  });
  return tuple;
}

uint8_t read_tcp_state(const nlattr* protocol) {
  uint8_t state = 0;
  each_nested(protocol, [&](const nlattr* tcp) {
    if (mnl_attr_get_type(tcp) != CTA_PROTOINFO_TCP) return;
    each_nested(tcp, [&](const nlattr* leaf) {
      if (mnl_attr_get_type(leaf) == CTA_PROTOINFO_TCP_STATE) state = mnl_attr_get_u8(leaf);
    });
  });
  return state;
}

std::optional<TrackedConnection> read_connection(const nlmsghdr* header) {
  TrackedConnection connection;
  bool original = false, reply = false;
  each_top(header, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == CTA_TUPLE_ORIG) {
      connection.original = read_tuple(attribute);
      original = true;
    } else if (mnl_attr_get_type(attribute) == CTA_TUPLE_REPLY) {
      connection.reply = read_tuple(attribute);
      reply = true;
    } else if (mnl_attr_get_type(attribute) == CTA_PROTOINFO) {
      connection.tcp_state = read_tcp_state(attribute);
    }
  });
  return original && reply ? std::optional(connection) : std::nullopt;
}

// Room for the answers to a batch, each of which is a datagram of some 400 bytes.
struct Answers {
  static constexpr size_t kBytes = 1024;
  alignas(NLMSG_ALIGNTO) std::array<std::array<char, kBytes>, kBatch> buffers;
  std::array<iovec, kBatch> parts;
  std::array<mmsghdr, kBatch> messages = {};

  Answers() {
    for (size_t i = 0; i < kBatch; i++) {
      parts[i] = {.iov_base = buffers[i].data(), .iov_len = kBytes};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }
};

// Calls each for all messages that wait in the socket: the kernel answers within the system call that asks.
template <typename Each>
void drain(int socket, const Each& each) {
  Answers answers;
  for (;;) {
    const int count = recvmmsg(socket, answers.messages.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (count < 0 && errno == EINTR) continue;
    for (int i = 0; i < count; i++) {
      int left = static_cast<int>(answers.messages[static_cast<size_t>(i)].msg_len);
      for (const auto* header =
               reinterpret_cast<const nlmsghdr*>(answers.buffers[static_cast<size_t>(i)].data());
           mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left))
        each(header);
    }
    if (count < static_cast<int>(kBatch)) return;
  }
}

}  // namespace

size_t TupleHash::operator()(const Tuple& tuple) const {
  size_t hash = tuple.protocol;
  const auto mix = [&](const auto& part) {
    const std::string_view bytes(reinterpret_cast<const char*>(&part), sizeof(part));
    hash = hash * 31 + std::hash<std::string_view>()(bytes);
  };
  for (const Endpoint* end : {&tuple.source, &tuple.destination}) {
    mix(end->address);
    mix(end->port);
  }
  return hash;
}

Result<Conntrack> Conntrack::open() {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!socket) return fail_errno("open a netlink socket for connection tracking");
  if (setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBytes, sizeof(kReceiveBytes)) != 0)
    (void)setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBytes, sizeof(kReceiveBytes));
  return Conntrack(std::move(socket));
}

std::vector<std::optional<TrackedConnection>> Conntrack::look_up(std::span<const Tuple> tuples) {
  std::vector<std::optional<TrackedConnection>> found(tuples.size());
  for (size_t at = 0; at < tuples.size(); at += kBatch) {
    const size_t count = std::min(kBatch, tuples.size() - at);
    look_up_batch(tuples.subspan(at, count), Found(found).subspan(at, count));
  }
  return found;
}

void Conntrack::look_up_batch(std::span<const Tuple> tuples, Found found) {
  alignas(NLMSG_ALIGNTO) std::array<char, kBatch * kMessageBytes> buffer;
  const uint32_t first = sequence_ + 1;
  size_t used = 0;
  for (const Tuple& tuple : tuples) {
    const uint8_t family = is_v4(tuple.source.address) ? AF_INET : AF_INET6;
    nlmsghdr* header = begin_message(buffer.data() + used, IPCTNL_MSG_CT_GET, family, ++sequence_);
    put_tuple(header, tuple);
    used += NLMSG_ALIGN(header->nlmsg_len);
  }
  if (send(socket_.get(), buffer.data(), used, 0) < 0) return;
  // What has no entry is answered by an error.
  drain(socket_.get(), [&](const nlmsghdr* header) {
    const uint32_t index = header->nlmsg_seq - first;
    if (header->nlmsg_type != NLMSG_ERROR && index < found.size()) found[index] = read_connection(header);
  });
}

std::optional<uint32_t> Conntrack::entries() {
  alignas(NLMSG_ALIGNTO) std::array<char, kMessageBytes> buffer;
  const nlmsghdr* header = begin_message(buffer.data(), IPCTNL_MSG_CT_GET_STATS, AF_UNSPEC, ++sequence_);
  if (send(socket_.get(), buffer.data(), header->nlmsg_len, 0) < 0) return std::nullopt;
  std::optional<uint32_t> count;
  drain(socket_.get(), [&](const nlmsghdr* answer) {
    if (answer->nlmsg_seq != sequence_ || answer->nlmsg_type == NLMSG_ERROR) return;
    each_top(answer, [&](const nlattr* attribute) {
      if (mnl_attr_get_type(attribute) == CTA_STATS_GLOBAL_ENTRIES)
        count = ntohl(mnl_attr_get_u32(attribute));
    });
  });
  return count;
}

bool Conntrack::active() {
  const auto now = steady_clock::now();
  if (active_ && now - asked_ < kAskActive) return true;
  asked_ = now;
  active_ = entries().value_or(0) > 0;
  return active_;
}

}  // namespace cellwall
