// SPDX-License-Identifier: Apache-2.0
#include "capture_fixture.h"

namespace cellwall::test {
namespace {

class CapturePayload : public CaptureTest {};
INSTANTIATE_TEST_SUITE_P(, CapturePayload, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(CapturePayload, takes_the_first_payload_of_both_directions_once) {
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

TEST_P(CapturePayload, takes_the_first_payloads_of_an_accepted_connection) {
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

TEST_P(CapturePayload, takes_payload_that_comes_before_the_connection_has_a_socket) {
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

TEST_P(CapturePayload, takes_payload_that_is_one_byte_long_once) {
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

TEST_P(CapturePayload, takes_one_datagram_for_each_conversation) {
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

TEST_P(CapturePayload, holds_a_long_hello_of_tls_and_the_beginning_of_anything_else) {
  start();
  const std::string web = container("web");
  observe(web, kPayload);
  const struct {
    std::string text;
    size_t captured;
  } cases[] = {{"\x16" + std::string(199, 'a'), 200},
               {"\x16" + std::string(599, 'b'), 600},
               {"\x16" + std::string(2999, 'c'), 3000},
               {"\x16" + std::string(8999, 'd'), CW_CAPTURE_LONG},
               {std::string(256, 'e'), 256},
               {std::string(257, 'f'), CW_CAPTURE_SHORT},
               {std::string(9000, 'g'), CW_CAPTURE_SHORT}};
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

}  // namespace
}  // namespace cellwall::test
