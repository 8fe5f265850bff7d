// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "fixture.h"
#include "sockets.h"
#include "translated_network.h"

namespace cellwall::test {
namespace {

int one_retry(const std::string& address, int type) {
  const int fd = make_socket(address, type), one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &one, sizeof(one));
  return fd;
}

int connect_waiting(const std::string& address, uint16_t port) {
  const int fd = one_retry(address, SOCK_STREAM);
  const int error = tcp_try(fd, address, port);
  close(fd);
  return error;
}

int connect_polling(const std::string& address, uint16_t port) {
  const int fd = one_retry(address, SOCK_STREAM | SOCK_NONBLOCK);
  int error = tcp_try(fd, address, port);
  if (error == EINPROGRESS) {
    pollfd wait = {.fd = fd, .events = POLLOUT, .revents = 0};
    socklen_t size = sizeof(error);
    if (poll(&wait, 1, 8000) != 1) return 200;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  }
  close(fd);
  return error;
}

class Failures : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    web_ = container("web");
    ASSERT_EQ(std::system("ip route add unreachable 198.51.100.0/24"), 0);
  }
  void TearDown() override {
    (void)!std::system("ip route del unreachable 198.51.100.0/24");
    KernelTest::TearDown();
  }

  // The one event of a connect that fails with that error, by a caller that waits and by one that polls.
  void expect_failure(const std::string& address, uint16_t port, int error, cw_failure failure) {
    for (const auto& connect : {connect_waiting, connect_polling}) {
      EXPECT_EQ(run_in(web_, [&] { return connect(address, port); }), error);
      const auto found = events();
      ASSERT_EQ(found.size(), 1U);
      EXPECT_EQ(found[0].end, CW_END_FAILED);
      EXPECT_EQ(found[0].failure, failure);
      EXPECT_EQ(found[0].direction, CW_EGRESS);
      EXPECT_EQ(text_of(found[0].remote), address);
      EXPECT_EQ(found[0].remote_port, port);
      EXPECT_EQ(found[0].sent_bytes, 0U);
      EXPECT_EQ(found[0].received_bytes, 0U);
    }
  }
  std::string web_;
};
INSTANTIATE_TEST_SUITE_P(, Failures, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(Failures, a_reset_answer_is_refused) {
  start();
  expect_failure("10.7.0.1", 9, ECONNREFUSED, CW_FAILURE_REFUSED);
  expect_failure("fd07::1", 9, ECONNREFUSED, CW_FAILURE_REFUSED);
}

TEST_P(Failures, no_answer_is_timed_out) {
  start();
  expect_failure("203.0.113.9", 80, ETIMEDOUT, CW_FAILURE_TIMED_OUT);
}

TEST_P(Failures, no_route_is_unreachable) {
  start();
  expect_failure("198.51.100.7", 80, EHOSTUNREACH, CW_FAILURE_UNREACHABLE);
}

TEST_P(Failures, closing_before_any_answer_is_given_up) {
  start();
  EXPECT_EQ(run_in(web_, [] { return tcp_give_up("203.0.113.9", 80); }), EINPROGRESS);
  const auto found = events();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].end, CW_END_FAILED);
  EXPECT_EQ(found[0].failure, CW_FAILURE_GIVEN_UP);
  EXPECT_EQ(found[0].sent_packets, 0U);
}

// What was received at one attempt cannot be told from what is at the next.
TEST_P(Failures, the_reason_of_a_further_attempt_is_given_only_when_it_is_certain) {
  start();
  const Server server(SOCK_STREAM, "10.7.0.1");
  EXPECT_EQ(run_in(web_,
                   [&] {
                     const int fd = one_retry("10.7.0.1", SOCK_STREAM);
                     tcp_try(fd, "10.7.0.1", 9);
                     tcp_try(fd, "198.51.100.7", 80);
                     tcp_try(fd, "203.0.113.9", 80);
                     return tcp_try(fd, "10.7.0.1", server.port());
                   }),
            0);
  const auto found = events();
  ASSERT_EQ(found.size(), 4U);
  EXPECT_EQ(found[0].failure, CW_FAILURE_REFUSED);
  EXPECT_EQ(found[1].failure, 0);
  EXPECT_EQ(found[1].end, CW_END_FAILED);
  EXPECT_EQ(found[2].failure, CW_FAILURE_TIMED_OUT);
  EXPECT_EQ(found[3].failure, 0);
  EXPECT_EQ(found[3].end, CW_END_CLOSED);
}

TEST_P(Failures, a_reset_of_an_established_connection_is_no_failure) {
  start();
  const Server server(SOCK_STREAM, "10.7.0.1");
  // A reset that comes before connect() returns makes that fail.
  Signal connected;
  Child resetting("", [&] {
    const int fd = accept(server.fd(), nullptr, nullptr);
    if (!connected.wait()) return 1;
    const linger abort = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
    close(fd);
    return 0;
  });
  EXPECT_EQ(run_in(web_,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_STREAM);
                     if (const int error = tcp_try(fd, "10.7.0.1", server.port())) return error;
                     connected.give();
                     char byte;
                     return recv(fd, &byte, 1, 0) < 0 && errno == ECONNRESET ? 0 : 1;
                   }),
            0);
  const auto found = events();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].end, CW_END_RESET);
  EXPECT_EQ(found[0].failure, 0);
}

class RoutedFailures : public TranslatedNetwork {};
INSTANTIATE_TEST_SUITE_P(, RoutedFailures, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

// A caller that polls is told the same, but the kernel goes on trying until it closes the socket: it gave up.
TEST_P(RoutedFailures, what_a_router_says_is_unreachable) {
  start();
  node_.run("ip route add unreachable 203.0.113.0/24");
  EXPECT_EQ(run_at(pod_, web_, [] { return tcp_exchange(kV4.far, 80); }), EHOSTUNREACH);
  const auto found = events();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].end, CW_END_FAILED);
  EXPECT_EQ(found[0].failure, CW_FAILURE_UNREACHABLE);
  EXPECT_EQ(text_of(found[0].remote), kV4.far);
}

}  // namespace
}  // namespace cellwall::test
