// SPDX-License-Identifier: Apache-2.0
#include "round_trips.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "../kernel/processes.h"
#include "../kernel/sockets.h"
#include "measure.h"

namespace cellwall::test {
namespace {

constexpr size_t kBytes = 64;
constexpr char kLoopback[] = "127.0.0.1";

bool send_one(int fd, const sockaddr_in* to = nullptr, size_t bytes = kBytes) {
  const char data[kBytes] = {};
  return sendto(fd, data, bytes, MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(to), to ? sizeof(*to) : 0) ==
         static_cast<ssize_t>(bytes);
}

bool receive_one(int fd) {
  char data[kBytes];
  return recv(fd, data, sizeof(data), MSG_WAITALL) == kBytes;
}

// Until the client sends less, or has closed its end.
[[noreturn]] void serve(int fd) {
  char data[kBytes];
  sockaddr_storage from = {};
  for (;;) {
    socklen_t size = sizeof(from);
    auto* peer = reinterpret_cast<sockaddr*>(&from);
    if (recvfrom(fd, data, sizeof(data), MSG_WAITALL, peer, &size) != kBytes) _exit(0);
    // Of a connected socket, where the sender is not told, the peer.
    (void)!sendto(fd, data, sizeof(data), MSG_NOSIGNAL, size ? peer : nullptr, size);
  }
}

}  // namespace

void must_be_zero(int code) {
  if (code == 0) return;
  std::fprintf(stderr, "a round ended with %d\n", code);
  std::exit(1);
}

double turns_ns(const std::string& cgroup) {
  const Server server(SOCK_STREAM, kLoopback);
  const double before = children_ns();
  must_be_zero(run_in(cgroup, [&] {
    const int client = make_socket(kLoopback, SOCK_STREAM);
    if (tcp_try(client, kLoopback, server.port()) != 0) return 1;
    const int other = accept(server.fd(), nullptr, nullptr);
    for (int i = 0; i < kRoundTrips; i++) {
      if (!send_one(client) || !receive_one(other) || !send_one(other) || !receive_one(client)) return 2;
    }
    return 0;
  }));
  return (children_ns() - before) / kRoundTrips;
}

double server_ns(int type, const std::string& address, const RunClient& run) {
  const Server server(type, address);
  const double before = children_ns();
  const pid_t child = fork();
  if (child == 0) serve(type == SOCK_STREAM ? accept(server.fd(), nullptr, nullptr) : server.fd());
  sockaddr_in remote = {};
  remote.sin_family = AF_INET;
  remote.sin_port = htons(server.port());
  inet_pton(AF_INET, address.c_str(), &remote.sin_addr);
  const sockaddr_in* to = type == SOCK_STREAM ? nullptr : &remote;
  must_be_zero(run([&] {
    const int client = make_socket(address, type);
    if (type == SOCK_STREAM && tcp_try(client, address, server.port()) != 0) return 1;
    for (int i = 0; i < kRoundTrips; i++) {
      if (!send_one(client, to) || !receive_one(client)) return 2;
    }
    return send_one(client, to, 1) ? 0 : 3;
  }));
  waitpid(child, nullptr, 0);
  return (children_ns() - before) / kRoundTrips;
}

double server_ns(const std::string& cgroup) {
  return server_ns(SOCK_STREAM, kLoopback,
                   [&](const std::function<int()>& work) { return run_in(cgroup, work); });
}

}  // namespace cellwall::test
