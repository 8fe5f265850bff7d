// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <thread>

#include "fixture.h"
#include "sockets.h"

namespace cellwall::test {
namespace {

constexpr Observation kNames = {.names = true, .payload = false};
constexpr Observation kPayload = {.names = false, .payload = true};
constexpr Observation kBoth = {.names = true, .payload = true};

struct Captured {
  cw_capture head;
  std::string payload;
};

class Capture : public KernelTest {
 protected:
  void observe(const std::string& cgroup, Observation wanted) {
    const auto done = kernel_->observe(cgroup_id(cgroup), cgroup, wanted);
    ASSERT_TRUE(done.has_value()) << done.error().message;
  }
  std::vector<Captured> captures() {
    std::vector<Captured> found;
    kernel_->read_captures([&](const cw_capture& head, std::span<const uint8_t> payload) {
      found.push_back({head, std::string(payload.begin(), payload.end())});
    });
    return found;
  }
};
INSTANTIATE_TEST_SUITE_P(, Capture, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

// Sends each datagram back to where it came from, count times; from another socket if there is one.
std::thread echo(const Server& server, int count, int other = -1) {
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

bool receive(int fd, int milliseconds = 2000) {
  pollfd wait = {.fd = fd, .events = POLLIN, .revents = 0};
  char data[2048];
  return poll(&wait, 1, milliseconds) == 1 && recv(fd, data, sizeof(data), 0) > 0;
}

bool send_text(int fd, std::string_view text) {
  return send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

// Several round trips on one connected or unconnected UDP socket; 0: all were answered.
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

TEST_P(Capture, takes_each_answer_of_the_name_server_that_was_asked) {
  start();
  const std::string web = container("web");
  observe(web, kNames);
  for (const std::string target : {"10.7.0.1", "fd07::1"}) {
    Server server(SOCK_DGRAM, target, 53);
    for (const bool connected : {true, false}) {
      std::thread answers = echo(server, 2);
      EXPECT_EQ(run_in(web, [&] { return ask(target, connected, 2); }), 0);
      answers.join();
      const auto found = captures();
      ASSERT_EQ(found.size(), 2U) << target << (connected ? " connected" : "");
      EXPECT_EQ(found[0].head.kind, CW_CAPTURE_NAMES);
      EXPECT_EQ(found[0].head.protocol, IPPROTO_UDP);
      EXPECT_EQ(found[0].head.socket_cgroup, cgroup_id(web));
      EXPECT_EQ(text_of(found[0].head.peer), target);
      EXPECT_EQ(found[0].head.peer_port, 53);
      EXPECT_EQ(found[0].payload, "x");
      EXPECT_EQ(found[0].head.length, 1U);
      EXPECT_GT(found[0].head.time_ns, 0U);
    }
  }
}

TEST_P(Capture, takes_answers_to_a_v4_mapped_socket) {
  start();
  const std::string web = container("web");
  observe(web, kNames);
  Server server(SOCK_DGRAM, "10.7.0.1", 53);
  for (const bool connected : {true, false}) {
    std::thread answers = echo(server, 1);
    EXPECT_EQ(run_in(web, [&] { return ask("::ffff:10.7.0.1", connected, 1); }), 0);
    answers.join();
    const auto found = captures();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(text_of(found[0].head.peer), "10.7.0.1");
  }
}

TEST_P(Capture, takes_answers_of_every_server_that_one_socket_asks) {
  start();
  const std::string web = container("web");
  observe(web, kNames);
  Server one(SOCK_DGRAM, "10.7.0.1", 53), other(SOCK_DGRAM, "10.7.0.2", 53);
  std::thread first = echo(one, 1), second = echo(other, 1);
  EXPECT_EQ(run_in(web,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_DGRAM);
                     if (udp_send(fd, "10.7.0.1", 53) != 0 || udp_send(fd, "10.7.0.2", 53) != 0) return 1;
                     return receive(fd) && receive(fd) ? 0 : 2;
                   }),
            0);
  first.join();
  second.join();
  EXPECT_EQ(captures().size(), 2U);
}

TEST_P(Capture, ignores_answers_of_servers_that_were_not_asked) {
  start();
  const std::string web = container("web");
  observe(web, kNames);
  Server asked(SOCK_DGRAM, "10.7.0.1", 53), forger(SOCK_DGRAM, "10.7.0.2", 53),
      elsewhere(SOCK_DGRAM, "10.7.0.1", 54);
  std::thread forged = echo(asked, 1, forger.fd());
  EXPECT_EQ(run_in(web,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_DGRAM);
                     if (udp_send(fd, "10.7.0.1", 53) != 0) return 1;
                     return receive(fd) ? 0 : 2;
                   }),
            0);
  forged.join();
  EXPECT_TRUE(captures().empty()) << "from port 53 of another address";
  std::thread other_port = echo(elsewhere, 1, asked.fd());
  EXPECT_EQ(run_in(web,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_DGRAM);
                     if (udp_send(fd, "10.7.0.1", 54) != 0) return 1;
                     return receive(fd) ? 0 : 2;
                   }),
            0);
  other_port.join();
  EXPECT_TRUE(captures().empty()) << "asked on another port";
}

TEST_P(Capture, ignores_what_comes_from_port_53_to_a_server) {
  start();
  const std::string web = container("web");
  observe(web, kBoth);
  Server client(SOCK_DGRAM, "10.7.0.2", 53);
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  std::thread serving([&] {
    run_in(web, [&] {
      Server server(SOCK_DGRAM, "10.7.0.1", 4000);
      (void)!write(ready[1], "x", 1);
      std::thread answers = echo(server, 2);
      answers.join();
      return 0;
    });
  });
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  for (int i = 0; i < 2; i++) {
    EXPECT_EQ(udp_send(client.fd(), "10.7.0.1", 4000), 0);
    EXPECT_TRUE(receive(client.fd()));
  }
  serving.join();
  const auto found = captures();
  ASSERT_EQ(found.size(), 1U) << "the server's first answer alone, as a payload";
  EXPECT_EQ(found[0].head.kind, CW_CAPTURE_PAYLOAD);
  EXPECT_EQ(found[0].head.began, 0);
  EXPECT_EQ(found[0].head.outgoing, 1);
  EXPECT_EQ(found[0].head.local_port, 4000);
}

// A client that sends and receives in turn, rounds times; 0: all went well.
int talk(const std::string& address, uint16_t port, int rounds, std::string_view text = "ping-0") {
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

TEST_P(Capture, takes_answers_over_tcp_segment_by_segment) {
  start();
  const std::string web = container("web");
  observe(web, kNames);
  for (const std::string target : {"10.7.0.1", "fd07::1"}) {
    Server server(SOCK_STREAM, target, 53);
    std::thread answers = answer_one(server, 3);
    EXPECT_EQ(run_in(web, [&] { return talk(target, 53, 3); }), 0);
    answers.join();
    const auto found = captures();
    ASSERT_EQ(found.size(), 3U) << target;
    EXPECT_EQ(found[0].payload, "pong-0");
    EXPECT_EQ(found[2].payload, "later");
    EXPECT_EQ(found[0].head.protocol, IPPROTO_TCP);
    EXPECT_EQ(text_of(found[0].head.peer), target);
  }
}

TEST_P(Capture, takes_the_first_payload_of_both_directions_once) {
  start();
  const std::string web = container("web");
  for (const Observation wanted : {kPayload, kBoth}) {
    observe(web, wanted);
    for (const std::string target : {"10.7.0.1", "fd07::1"}) {
      Server server(SOCK_STREAM, target);
      std::thread answers = answer_one(server, 20);
      EXPECT_EQ(run_in(web, [&] { return talk(target, server.port(), 20); }), 0);
      answers.join();
      const auto found = captures();
      ASSERT_EQ(found.size(), 2U);
      EXPECT_EQ(found[0].payload, "ping-0");
      EXPECT_EQ(found[0].head.outgoing, 1);
      EXPECT_EQ(found[0].head.began, 1);
      EXPECT_EQ(found[0].head.peer_port, server.port());
      EXPECT_EQ(text_of(found[0].head.peer), target);
      EXPECT_EQ(found[1].payload, "pong-0");
      EXPECT_EQ(found[1].head.outgoing, 0);
      EXPECT_EQ(found[1].head.began, 1);
      EXPECT_EQ(found[1].head.peer_port, server.port());
      const auto flows = events();
      ASSERT_EQ(flows.size(), 1U);
      EXPECT_EQ(found[0].head.cookie, flows[0].cookie);
      EXPECT_EQ(found[1].head.cookie, flows[0].cookie);
      EXPECT_EQ(found[0].head.local_port, flows[0].local_port);
    }
  }
}

// A server in the container; the client is outside. *port: where it listens.
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

TEST_P(Capture, takes_the_first_payloads_of_an_accepted_connection) {
  start();
  const std::string web = container("web");
  observe(web, kPayload);
  uint16_t port = 0;
  std::thread serving = serve_in(web, 5, false, &port);
  EXPECT_EQ(talk("10.7.0.1", port, 5), 0);
  serving.join();
  const auto found = captures();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].payload, "ping-0");
  EXPECT_EQ(found[0].head.outgoing, 0);
  EXPECT_EQ(found[0].head.began, 0);
  EXPECT_EQ(found[0].head.local_port, port);
  EXPECT_EQ(found[1].payload, "pong-0");
  EXPECT_EQ(found[1].head.outgoing, 1);
  const auto flows = events();
  ASSERT_EQ(flows.size(), 1U);
  EXPECT_EQ(found[0].head.cookie, flows[0].cookie);
  EXPECT_EQ(found[1].head.cookie, flows[0].cookie);
}

TEST_P(Capture, takes_payload_that_comes_before_the_connection_has_a_socket) {
  start();
  const std::string web = container("web");
  observe(web, kPayload);
  uint16_t port = 0;
  std::thread serving = serve_in(web, 3, true, &port);
  EXPECT_EQ(talk("10.7.0.1", port, 3), 0);
  serving.join();
  const auto found = captures();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].payload, "ping-0");
  EXPECT_EQ(found[0].head.cookie, 0U);
  EXPECT_EQ(found[0].head.socket_cgroup, cgroup_id(web));
  const auto flows = events();
  ASSERT_EQ(flows.size(), 1U);
  EXPECT_EQ(found[0].head.peer_port, flows[0].remote_port);
  EXPECT_EQ(found[0].head.local_port, flows[0].local_port);
  EXPECT_EQ(text_of(found[0].head.peer), text_of(flows[0].remote));
  EXPECT_EQ(flows[0].socket_cgroup, cgroup_id(web));
  EXPECT_EQ(found[1].head.cookie, flows[0].cookie);
}

TEST_P(Capture, takes_payload_that_is_one_byte_long_once) {
  start();
  const std::string web = container("web");
  observe(web, kPayload);
  uint16_t port = 0;
  std::thread serving = serve_in(web, 4, false, &port);
  EXPECT_EQ(talk("10.7.0.1", port, 4, "x"), 0);
  serving.join();
  EXPECT_EQ(captures().size(), 2U);
  Server server(SOCK_STREAM, "10.7.0.1");
  std::thread answers = answer_one(server, 4);
  EXPECT_EQ(run_in(web, [&] { return talk("10.7.0.1", server.port(), 4, "x"); }), 0);
  answers.join();
  EXPECT_EQ(captures().size(), 2U);
}

// The network of the tests loses what the rule says until it is allowed again.
class Loss {
 public:
  explicit Loss(const std::string& rule) {
    made_ =
        std::system(
            ("nft add table inet loss && nft 'add chain inet loss in { type filter hook input priority 0; }' "
             "&& nft add rule inet loss in " +
             rule + " drop")
                .c_str()) == 0;
  }
  ~Loss() { end(); }
  bool made() const { return made_; }
  void end() {
    if (made_ && !ended_) (void)!std::system("nft delete table inet loss");
    ended_ = true;
  }

 private:
  bool made_ = false, ended_ = false;
};

int retransmits(int fd) {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? static_cast<int>(info.tcpi_total_retrans)
                                                                  : -1;
}

TEST_P(Capture, takes_a_payload_that_is_sent_again_once) {
  start();
  const std::string web = container("web");
  observe(web, kPayload);
  Server server(SOCK_STREAM, "10.7.0.1");
  std::thread answers = answer_one(server, 1);
  EXPECT_EQ(run_in(web,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_STREAM);
                     if (tcp_try(fd, "10.7.0.1", server.port()) != 0) return 1;
                     Loss loss("tcp dport " + std::to_string(server.port()));
                     if (!loss.made() || !send_text(fd, "ping-0")) return 2;
                     usleep(700000);
                     loss.end();
                     if (!receive(fd, 5000)) return 3;
                     return retransmits(fd) > 0 ? 0 : 4;
                   }),
            0);
  answers.join();
  const auto found = captures();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].payload, "ping-0");
  EXPECT_EQ(found[1].payload, "pong-0");
}

TEST_P(Capture, takes_a_payload_that_is_received_again_once) {
  start();
  const std::string web = container("web");
  observe(web, kPayload);
  uint16_t port = 0;
  std::thread serving = serve_in(web, 1, false, &port);
  const int fd = make_socket("10.7.0.1", SOCK_STREAM);
  ASSERT_EQ(tcp_try(fd, "10.7.0.1", port), 0);
  Loss loss("tcp sport " + std::to_string(port));
  ASSERT_TRUE(loss.made());
  ASSERT_TRUE(send_text(fd, "ping-0"));
  usleep(700000);
  loss.end();
  EXPECT_TRUE(receive(fd, 5000));
  EXPECT_GT(retransmits(fd), 0);
  close(fd);
  serving.join();
  const auto found = captures();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].payload, "ping-0");
  EXPECT_EQ(found[1].payload, "pong-0");
}

TEST_P(Capture, takes_the_segment_that_was_sent_first_though_another_overtook_it) {
  start();
  const std::string web = container("web");
  observe(web, kPayload);
  uint16_t port = 0;
  std::thread serving = serve_in(web, 1, false, &port);
  const int fd = make_socket("10.7.0.1", SOCK_STREAM);
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  ASSERT_EQ(tcp_try(fd, "10.7.0.1", port), 0);
  Loss loss("tcp dport " + std::to_string(port));
  ASSERT_TRUE(loss.made());
  ASSERT_TRUE(send_text(fd, "first!"));
  loss.end();
  ASSERT_TRUE(send_text(fd, "second"));
  EXPECT_TRUE(receive(fd, 5000));
  close(fd);
  serving.join();
  const auto found = captures();
  ASSERT_GE(found.size(), 1U);
  EXPECT_EQ(found[0].payload.substr(0, 6), "first!");
  EXPECT_EQ(found[0].head.outgoing, 0);
}

// Data in the SYN: the first connection gets a cookie for it, the second uses it.
TEST_P(Capture, takes_the_payload_of_fast_open_once) {
  start();
  const std::string web = container("web"), db = container("db");
  observe(web, kPayload);
  observe(db, kPayload);
  ASSERT_EQ(std::system("echo 3 >/proc/sys/net/ipv4/tcp_fastopen"), 0);
  for (int round = 0; round < 2; round++) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    std::thread serving([&] {
      run_in(db, [&] {
        Server server(SOCK_STREAM, "10.7.0.1", 4100);
        const int queue = 8;
        setsockopt(server.fd(), IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
        (void)!write(ready[1], "x", 1);
        answer_one(server, 1).join();
        return 0;
      });
    });
    char byte;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    EXPECT_EQ(
        run_in(web,
               [&] {
                 const int fd = make_socket("10.7.0.1", SOCK_STREAM);
                 sockaddr_in to = {
                     .sin_family = AF_INET, .sin_port = htons(4100), .sin_addr = {}, .sin_zero = {}};
                 to.sin_addr.s_addr = htonl(0x0a070001);
                 if (sendto(fd, "ping-0", 6, MSG_FASTOPEN, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 6)
                   return 1;
                 tcp_info info = {};
                 socklen_t size = sizeof(info);
                 if (!receive(fd)) return 2;
                 getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
                 return round == 0 || (info.tcpi_options & TCPI_OPT_SYN_DATA) ? 0 : 3;
               }),
        0);
    serving.join();
    int seen[2][2] = {};  // by side and direction
    for (const auto& each : captures()) {
      seen[each.head.began][each.head.outgoing]++;
      EXPECT_EQ(each.payload, each.head.began == each.head.outgoing ? "ping-0" : "pong-0");
    }
    for (const auto& side : seen) {
      EXPECT_EQ(side[0], 1) << round;
      EXPECT_EQ(side[1], 1) << round;
    }
  }
}

TEST_P(Capture, takes_one_datagram_for_each_conversation) {
  start();
  const std::string web = container("web");
  observe(web, kPayload);
  Server one(SOCK_DGRAM, "10.7.0.1"), other(SOCK_DGRAM, "10.7.0.2");
  EXPECT_EQ(run_in(web,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_DGRAM);
                     for (int i = 0; i < 4; i++) {
                       if (udp_send(fd, "10.7.0.1", one.port()) != 0) return 1;
                       if (udp_send(fd, "10.7.0.2", other.port()) != 0) return 2;
                     }
                     const int connected = make_socket("10.7.0.1", SOCK_DGRAM);
                     if (tcp_try(connected, "10.7.0.1", one.port()) != 0) return 3;
                     for (int i = 0; i < 4; i++) (void)send_text(connected, "connected");
                     return 0;
                   }),
            0);
  const auto found = captures();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].head.peer_port, one.port());
  EXPECT_EQ(found[1].head.peer_port, other.port());
  EXPECT_EQ(text_of(found[1].head.peer), "10.7.0.2");
  EXPECT_EQ(found[0].head.cookie, found[1].head.cookie);
  EXPECT_EQ(found[2].payload, "connected");
  for (const auto& each : found) EXPECT_EQ(each.head.began, 1);
}

TEST_P(Capture, holds_a_long_hello_of_tls_and_the_beginning_of_anything_else) {
  start();
  const std::string web = container("web");
  observe(web, kPayload);
  const struct {
    std::string text;
    size_t captured;
  } cases[] = {{"\x16" + std::string(199, 'a'), 200},
               {"\x16" + std::string(599, 'b'), 600},
               {"\x16" + std::string(2999, 'c'), 3000},
               {"\x16" + std::string(8999, 'd'), CW_CAPTURE_LONG - 1},
               {std::string(255, 'e'), 255},
               {std::string(256, 'f'), CW_CAPTURE_SHORT - 1},
               {std::string(9000, 'g'), CW_CAPTURE_SHORT - 1}};
  for (const auto& one : cases) {
    Server server(SOCK_STREAM, "127.0.0.1");
    std::thread answers = answer_one(server, 1);
    EXPECT_EQ(run_in(web, [&] { return talk("127.0.0.1", server.port(), 1, one.text); }), 0);
    answers.join();
    const auto found = captures();
    ASSERT_EQ(found.size(), 2U) << one.text.size();
    EXPECT_EQ(found[0].payload, one.text.substr(0, one.captured));
    EXPECT_EQ(found[0].head.length, one.text.size());
  }
}

TEST_P(Capture, reads_no_packets_of_other_containers) {
  start();
  const std::string web = container("web"), other = container("other");
  observe(web, kBoth);
  Server names(SOCK_DGRAM, "10.7.0.1", 53), server(SOCK_STREAM, "10.7.0.1");
  std::thread answers = echo(names, 1), talks = answer_one(server, 1);
  EXPECT_EQ(run_in(other, [&] { return ask("10.7.0.1", true, 1); }), 0);
  EXPECT_EQ(run_in(other, [&] { return talk("10.7.0.1", server.port(), 1); }), 0);
  answers.join();
  talks.join();
  EXPECT_TRUE(captures().empty());
}

TEST_P(Capture, reads_what_is_asked_for_and_stops) {
  start();
  const std::string web = container("web");
  Server names(SOCK_DGRAM, "10.7.0.1", 53), server(SOCK_STREAM, "10.7.0.1");
  const auto both = [&] {
    std::thread answers = echo(names, 1), talks = answer_one(server, 1);
    EXPECT_EQ(run_in(web, [&] { return ask("10.7.0.1", true, 1); }), 0);
    EXPECT_EQ(run_in(web, [&] { return talk("10.7.0.1", server.port(), 1); }), 0);
    answers.join();
    talks.join();
    return captures().size();
  };
  EXPECT_EQ(both(), 0U);
  observe(web, kNames);
  EXPECT_EQ(both(), 1U);
  observe(web, kBoth);
  EXPECT_EQ(both(), 4U) << "the answer, the question, and both payloads";
  observe(web, kPayload);
  EXPECT_EQ(both(), 3U);
  kernel_->stop_observing(cgroup_id(web));
  EXPECT_EQ(both(), 0U);
}

TEST_P(Capture, counts_what_finds_no_room) {
  start();
  const std::string web = container("web");
  observe(web, kNames);
  Server server(SOCK_DGRAM, "10.7.0.1", 53);
  constexpr int kAnswers = 5000;  // of 312 bytes each, for a ring of 1 MiB
  std::thread answers = echo(server, kAnswers);
  EXPECT_EQ(run_in(web, [&] { return ask("10.7.0.1", true, kAnswers); }), 0);
  answers.join();
  const size_t found = captures().size();
  EXPECT_GT(found, 3000U);
  EXPECT_GT(kernel_->counters()[CW_COUNT_CAPTURES_FULL], 0U);
  EXPECT_EQ(found + kernel_->counters()[CW_COUNT_CAPTURES_FULL], static_cast<size_t>(kAnswers));
}

TEST_P(Capture, wakes_the_reader_before_the_ring_is_full) {
  start();
  const std::string web = container("web");
  observe(web, kNames);
  Server server(SOCK_DGRAM, "10.7.0.1", 53);
  std::thread answers = echo(server, 1200);
  pollfd wait = {.fd = kernel_->captures_fd(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&wait, 1, 0), 0);
  EXPECT_EQ(run_in(web, [&] { return ask("10.7.0.1", true, 1200); }), 0);
  answers.join();
  EXPECT_EQ(poll(&wait, 1, 1000), 1);
}

}  // namespace
}  // namespace cellwall::test
