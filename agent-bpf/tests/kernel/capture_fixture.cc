// SPDX-License-Identifier: Apache-2.0
#include "capture_fixture.h"

#include <poll.h>

namespace cellwall::test {

void CaptureTest::observe(const std::string& cgroup, Observation wanted) {
  const auto done = kernel_->observe(cgroup_id(cgroup), cgroup, wanted);
  ASSERT_TRUE(done.has_value()) << done.error().message;
}

std::vector<Taken> CaptureTest::captures() {
  std::vector<Taken> found;
  kernel_->read_captures([&](const cw_capture& head, std::span<const uint8_t> payload) {
    found.push_back({head, std::string(payload.begin(), payload.end())});
  });
  return found;
}

std::thread echo(const Server& server, int count, int other) {
  return std::thread([&server, count, other] {
    for (int i = 0; i < count; i++) {
      char data[2048];
      sockaddr_storage peer;
      socklen_t size = sizeof(peer);
      const ssize_t bytes =
          recvfrom(server.fd(), data, sizeof(data), 0, reinterpret_cast<sockaddr*>(&peer), &size);
      if (bytes < 0) return;
      sendto(other < 0 ? server.fd() : other, data, static_cast<size_t>(bytes), 0,
             reinterpret_cast<sockaddr*>(&peer), size);
    }
  });
}

bool receive(int fd, int milliseconds) {
  pollfd wait = {.fd = fd, .events = POLLIN, .revents = 0};
  char data[2048];
  return poll(&wait, 1, milliseconds) == 1 && recv(fd, data, sizeof(data), 0) > 0;
}

bool send_text(int fd, std::string_view text) {
  return send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

int ask(const std::string& server, bool connected, int times) {
  const int fd = make_socket(server, SOCK_DGRAM);
  if (connected && tcp_try(fd, server, 53) != 0) return 1;
  for (int i = 0; i < times; i++) {
    if (connected ? !send_text(fd, "x") : udp_send(fd, server, 53) != 0) return 2;
    if (!receive(fd)) return 3;
  }
  close(fd);
  return 0;
}

int talk(const std::string& address, uint16_t port, int rounds, std::string_view text) {
  const int fd = make_socket(address, SOCK_STREAM);
  if (tcp_try(fd, address, port) != 0) return 1;
  std::string message(text);
  for (int i = 0; i < rounds; i++) {
    if (!send_text(fd, message)) return 2;
    if (!receive(fd)) return 3;
    message = "later";
  }
  close(fd);
  return 0;
}

std::thread answer_one(const Server& server, int rounds) {
  return std::thread([&server, rounds] {
    const int fd = accept4(server.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    for (int i = 0; i < rounds; i++) {
      if (!receive(fd)) break;
      (void)send_text(fd, i == 0 ? "pong-0" : "later");
    }
    close(fd);
  });
}

std::thread serve_in(const std::string& cgroup, int rounds, bool deferred, uint16_t* port) {
  int ready[2];
  (void)!pipe(ready);
  std::thread serving([=] {
    run_in(cgroup, [&] {
      Server server(SOCK_STREAM, "10.7.0.1");
      const int seconds = 5;
      if (deferred) setsockopt(server.fd(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds));
      const uint16_t number = server.port();
      (void)!write(ready[1], &number, sizeof(number));
      answer_one(server, rounds).join();
      return 0;
    });
  });
  (void)!read(ready[0], port, sizeof(*port));
  close(ready[0]);
  return serving;
}

}  // namespace cellwall::test
