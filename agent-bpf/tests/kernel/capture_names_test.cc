// SPDX-License-Identifier: Apache-2.0
#include <poll.h>

#include "capture_fixture.h"

namespace cellwall::test {
namespace {

class CaptureNames : public CaptureTest {};
INSTANTIATE_TEST_SUITE_P(, CaptureNames, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

TEST_P(CaptureNames, takes_each_answer_of_the_name_server_that_was_asked) {
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

TEST_P(CaptureNames, takes_answers_to_a_v4_mapped_socket) {
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

TEST_P(CaptureNames, takes_answers_of_every_server_that_one_socket_asks) {
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

TEST_P(CaptureNames, ignores_answers_of_servers_that_were_not_asked) {
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

TEST_P(CaptureNames, ignores_what_comes_from_port_53_to_a_server) {
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

TEST_P(CaptureNames, takes_answers_over_tcp_segment_by_segment) {
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

TEST_P(CaptureNames, reads_no_packets_of_other_containers) {
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

TEST_P(CaptureNames, reads_what_is_asked_for_and_stops) {
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

TEST_P(CaptureNames, counts_what_finds_no_room) {
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

TEST_P(CaptureNames, wakes_the_reader_before_the_ring_is_full) {
  start();
  const std::string web = container("web");
  observe(web, kNames);
  Server server(SOCK_DGRAM, "10.7.0.1", 53);
  std::thread answers = echo(server, 1200);
  pollfd wait = {.fd = kernel_->captures_fd(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&wait, 1, 0), 0);
  EXPECT_EQ(run_in(web, [&] { return ask("10.7.0.1", true, 1200); }), 0);
  answers.join();
  EXPECT_EQ(poll(&wait, 1, 20000), 1);
}

}  // namespace
}  // namespace cellwall::test
