// SPDX-License-Identifier: Apache-2.0
#include "kernel_cut.h"

#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>

#include "fd.h"

namespace cellwall {
namespace {

constexpr size_t kBatch = 64;
constexpr size_t kRequestBytes = 128;  // more than one takes
constexpr uint32_t kAllStates = 0xffffffff;

struct SocketCloser {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};
using DiagSocket = std::unique_ptr<mnl_socket, SocketCloser>;

DiagSocket open_diag() {
  DiagSocket socket(mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC));
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) return nullptr;
  return socket;
}

void put_address(__be32 to[4], const uint8_t address[16], bool v6) {
  std::memcpy(to, v6 ? address : address + 12, v6 ? 16 : 4);
}

inet_diag_req_v2 request_for(const cw_cut& cut) {
  inet_diag_req_v2 request = {};
  request.sdiag_family = cut.v6 ? AF_INET6 : AF_INET;
  request.sdiag_protocol = cut.protocol;
  request.idiag_states = kAllStates;
  request.id.idiag_sport = htons(cut.local_port);
  request.id.idiag_dport = htons(cut.remote_port);
  put_address(request.id.idiag_src, cut.local, cut.v6);
  put_address(request.id.idiag_dst, cut.remote, cut.v6);
  request.id.idiag_cookie[0] = cut.cookie ? static_cast<uint32_t>(cut.cookie) : INET_DIAG_NOCOOKIE;
  request.id.idiag_cookie[1] = cut.cookie ? static_cast<uint32_t>(cut.cookie >> 32) : INET_DIAG_NOCOOKIE;
  return request;
}

// A socket that has closed by itself (ENOENT) is no refusal.
void count_answer(const nlmsghdr* header, CutResult* result) {
  if (header->nlmsg_type != NLMSG_ERROR) return;
  const auto* answer = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header));
  if (answer->error == 0)
    result->destroyed++;
  else if (answer->error != -ENOENT)
    result->refusal = std::strerror(-answer->error);
}

bool read_answers(mnl_socket* socket, size_t expected, CutResult* result) {
  alignas(nlmsghdr) char buffer[16384];
  while (expected > 0) {
    const ssize_t bytes = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
    if (bytes <= 0) return false;
    int left = static_cast<int>(bytes);
    for (const auto* header = reinterpret_cast<const nlmsghdr*>(buffer); mnl_nlmsg_ok(header, left);
         header = mnl_nlmsg_next(header, &left)) {
      count_answer(header, result);
      expected -= expected > 0;
    }
  }
  return true;
}

bool destroy_batch(mnl_socket* socket, std::span<const cw_cut> cuts, CutResult* result) {
  alignas(nlmsghdr) char buffer[kBatch * kRequestBytes] = {};
  size_t filled = 0;
  for (const cw_cut& cut : cuts) {
    nlmsghdr* header = mnl_nlmsg_put_header(buffer + filled);
    header->nlmsg_type = SOCK_DESTROY;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    const inet_diag_req_v2 request = request_for(cut);
    std::memcpy(mnl_nlmsg_put_extra_header(header, sizeof(request)), &request, sizeof(request));
    filled += MNL_ALIGN(header->nlmsg_len);
  }
  return mnl_socket_sendto(socket, buffer, filled) == static_cast<ssize_t>(filled) &&
         read_answers(socket, cuts.size(), result);
}

void destroy_here(std::span<const cw_cut> cuts, CutResult* result) {
  const DiagSocket socket = open_diag();
  if (!socket) {
    result->refusal = std::string("open a socket for SOCK_DESTROY: ") + std::strerror(errno);
    return;
  }
  while (!cuts.empty()) {
    const auto batch = cuts.first(std::min(cuts.size(), kBatch));
    if (!destroy_batch(socket.get(), batch, result)) {
      result->refusal = std::string("destroy sockets: ") + std::strerror(errno);
      return;
    }
    cuts = cuts.subspan(batch.size());
  }
}

Fd namespace_of(const std::string& process) {
  return Fd(open(("/proc/" + process + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
}

uint32_t number_of(const Fd& fd) {
  struct stat info = {};
  return fd && fstat(fd.get(), &info) == 0 ? static_cast<uint32_t>(info.st_ino) : 0;
}

// Any process that holds one of the sockets and lives in their namespace will do.
Fd find_namespace(std::span<const cw_cut> cuts) {
  uint32_t looked_at = 0;
  for (const cw_cut& cut : cuts) {
    if (cut.pid == looked_at) continue;
    looked_at = cut.pid;
    Fd fd = namespace_of(std::to_string(cut.pid));
    if (number_of(fd) == cut.net) return fd;
  }
  return Fd();
}

void destroy_in_namespace(std::span<const cw_cut> cuts, const Fd& own, CutResult* result) {
  if (cuts.front().net == number_of(own)) {
    destroy_here(cuts, result);
    return;
  }
  const Fd target = find_namespace(cuts);
  if (!target || setns(target.get(), CLONE_NEWNET) != 0) {
    result->refusal = "enter a container's network namespace: " +
                      std::string(target ? std::strerror(errno) : "no process of it is left");
    return;
  }
  destroy_here(cuts, result);
  if (setns(own.get(), CLONE_NEWNET) != 0) std::abort();  // nothing that follows would be in its place
}

}  // namespace

CutResult destroy_sockets(std::vector<cw_cut> sockets) {
  CutResult result;
  const Fd own = namespace_of("thread-self");
  std::stable_sort(sockets.begin(), sockets.end(),
                   [](const auto& a, const auto& b) { return a.net < b.net; });
  for (std::span<const cw_cut> rest = sockets; !rest.empty();) {
    const auto other = std::find_if(rest.begin(), rest.end(),
                                    [&](const cw_cut& cut) { return cut.net != rest.front().net; });
    const auto group = rest.first(static_cast<size_t>(other - rest.begin()));
    destroy_in_namespace(group, own, &result);
    rest = rest.subspan(group.size());
  }
  return result;
}

bool can_destroy_sockets() {
  // A socket that cannot be: its ports are 0.
  const cw_cut nobody = {.cookie = 0,
                         .local = {},
                         .remote = {},
                         .net = 0,
                         .pid = 0,
                         .local_port = 0,
                         .remote_port = 0,
                         .protocol = IPPROTO_TCP,
                         .v6 = 0,
                         .pad = {}};
  CutResult result;
  destroy_here({&nobody, 1}, &result);
  return result.refusal.empty();
}

}  // namespace cellwall
