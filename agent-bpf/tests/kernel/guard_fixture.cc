// SPDX-License-Identifier: Apache-2.0
#include "guard_fixture.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace cellwall::test {

void GuardTest::SetUp() {
  KernelTest::SetUp();
  web_ = container("pod/web");
  start();
}

std::vector<KernelPeer> GuardTest::all_but(const std::string& to, const std::string& from) const {
  std::vector<KernelPeer> peers = {peer("::", 0, kClassAllow), sender("::", 0, kClassAllow)};
  if (!to.empty()) peers.push_back(peer(to, 32, kClassDeny));
  if (!from.empty()) peers.push_back(sender(from, 32, kClassDeny));
  return peers;
}

std::vector<cw_event> GuardTest::of_web() {
  auto found = events();
  std::erase_if(found, [&](const cw_event& event) { return event.socket_cgroup != cgroup_id(web_); });
  return found;
}

ssize_t read_for(int fd, int milliseconds, size_t most) {
  size_t total = 0;
  pollfd waiting = {.fd = fd, .events = POLLIN, .revents = 0};
  char text[256];
  while (total < most && poll(&waiting, 1, milliseconds) == 1) {
    const ssize_t count = recv(fd, text, std::min(sizeof(text), most - total), MSG_DONTWAIT);
    if (count < 0) return -1;
    if (count == 0) break;
    total += static_cast<size_t>(count);
  }
  return static_cast<ssize_t>(total);
}

ssize_t read_bytes(int fd, size_t bytes) {
  constexpr int kPatience = 30000;
  return read_for(fd, kPatience, bytes);
}

OpenConnection::OpenConnection(const std::string& cgroup, const Server& server, int protocol)
    : client_(cgroup, [this, protocol, port = server.port()] {
        const int fd = make_socket("10.7.0.1", SOCK_STREAM, protocol);
        if (tcp_try(fd, "10.7.0.1", port) || send(fd, "12345", 5, 0) != 5) return 1;
        connected_.give();
        const bool more = more_.wait();
        if (more && send(fd, "67890", 5, MSG_NOSIGNAL) != 5) return 2;
        end_.wait();
        return 0;
      }) {
  if (!connected_.wait()) return;
  accepted_ = accept(server.fd(), nullptr, nullptr);
  EXPECT_EQ(read_bytes(accepted_, 5), 5);
}

OpenConnection::~OpenConnection() {
  close(accepted_);
}

int OpenConnection::end() {
  end_.give();
  return client_.join();
}

}  // namespace cellwall::test
