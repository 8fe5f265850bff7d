// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "capture_fixture.h"

namespace cellwall::test {
namespace {

class CaptureAgain : public CaptureTest {};
INSTANTIATE_TEST_SUITE_P(, CaptureAgain, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

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

TEST_P(CaptureAgain, takes_a_payload_that_is_sent_again_once) {
  NEED_NFTABLES();
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
                     if (!receive(fd)) return 3;
                     return retransmits(fd) > 0 ? 0 : 4;
                   }),
            0);
  answers.join();
  const auto found = captures();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].payload, "ping-0");
  EXPECT_EQ(found[1].payload, "pong-0");
}

TEST_P(CaptureAgain, takes_a_payload_that_is_received_again_once) {
  NEED_NFTABLES();
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
  EXPECT_TRUE(receive(fd));
  EXPECT_GT(retransmits(fd), 0);
  close(fd);
  serving.join();
  const auto found = captures();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].payload, "ping-0");
  EXPECT_EQ(found[1].payload, "pong-0");
}

TEST_P(CaptureAgain, takes_the_segment_that_was_sent_first_though_another_overtook_it) {
  NEED_NFTABLES();
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
  EXPECT_TRUE(receive(fd));
  close(fd);
  serving.join();
  const auto found = captures();
  ASSERT_GE(found.size(), 1U);
  EXPECT_EQ(found[0].payload.substr(0, 6), "first!");
  EXPECT_EQ(found[0].head.outgoing, 0);
}

TEST_P(CaptureAgain, takes_an_answer_of_a_name_server_that_is_received_again_once) {
  NEED_NFTABLES();
  start();
  const std::string web = container("web");
  observe(web, kNames);
  Server server(SOCK_STREAM, "10.7.0.1", 53);
  std::thread answers = answer_one(server, 2);
  EXPECT_EQ(run_in(web,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_STREAM);
                     if (tcp_try(fd, "10.7.0.1", 53) != 0) return 1;
                     // Bare acknowledgements are lost, so the server sends its answer again.
                     Loss loss("tcp dport 53 meta length 52");
                     if (!loss.made() || !send_text(fd, "ping-0") || !receive(fd)) return 2;
                     usleep(700000);
                     return 0;
                   }),
            0);
  answers.join();
  EXPECT_EQ(captures().size(), 1U);
}

// Data in the SYN: the first connection gets a cookie for it, the second uses it.
TEST_P(CaptureAgain, takes_the_payload_of_fast_open_once) {
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

}  // namespace
}  // namespace cellwall::test
