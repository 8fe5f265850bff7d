// SPDX-License-Identifier: Apache-2.0
//
// From the packets of a container to what its flows are described with.
#include <chrono>

#include "../unit/messages.h"
#include "capture_fixture.h"
#include "captured.h"

namespace cellwall::test {
namespace {

class CaptureDescribe : public CaptureTest {
 protected:
  // As the agent does it: events first, then what was captured before them.
  std::vector<std::pair<cw_event, FlowDetails>> described() {
    std::vector<std::pair<cw_event, FlowDetails>> flows;
    for (const cw_event& event : events()) flows.push_back({event, FlowDetails{.container = 0, .nat = {}}});
    kernel_->read_captures([&](const cw_capture& head, std::span<const uint8_t> payload) {
      captured_.add(head, payload, std::chrono::steady_clock::now());
    });
    for (auto& [event, details] : flows) captured_.describe_ended(event, &details);
    return flows;
  }
  Clock clock_;
  Captured captured_{clock_, [](uint64_t) { return uint64_t{0}; }};
};
INSTANTIATE_TEST_SUITE_P(, CaptureDescribe, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "helper_reads" : "plain_loads"; });

std::string_view view(const Message& message) {
  return {reinterpret_cast<const char*>(message.data()), message.size()};
}

// Answers one question, whatever it is.
std::thread name_server(const Server& server, const Message& answer) {
  return std::thread([&server, answer] {
    char question[512];
    sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    if (recvfrom(server.fd(), question, sizeof(question), 0, reinterpret_cast<sockaddr*>(&peer), &size) < 0)
      return;
    sendto(server.fd(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&peer), size);
  });
}

TEST_P(CaptureDescribe, a_flow_shows_its_name_and_what_it_carries) {
  start();
  const std::string web = container("web");
  observe(web, kBoth);
  Server names(SOCK_DGRAM, "10.7.0.1", 53), shop(SOCK_STREAM, "10.7.0.2");
  std::thread answers = name_server(names, dns_answer("shop.example", {10, 7, 0, 2}));
  std::thread serving = answer_one(shop, 1);
  const Message hello = tls13_client_hello();
  EXPECT_EQ(run_in(web,
                   [&] {
                     if (ask("10.7.0.1", true, 1) != 0) return 1;
                     return talk("10.7.0.2", shop.port(), 1, view(hello));
                   }),
            0);
  answers.join();
  serving.join();
  const auto flows = described();
  ASSERT_EQ(flows.size(), 2U);
  EXPECT_EQ(flows[0].second.name, "") << "nobody looked the name server up";
  EXPECT_EQ(flows[1].second.name, "shop.example");
  EXPECT_EQ(flows[1].second.payload.payload, v1::PAYLOAD_TLS);
  EXPECT_EQ(flows[1].second.payload.tls_version, 0x0304);
  EXPECT_EQ(flows[1].second.payload.server_name, "shop.example.org");
  EXPECT_EQ(captured_.payloads().size(), 0U);
  v1::FlowBatch batch;
  captured_.lookups().fill(&batch);
  ASSERT_EQ(batch.lookups_size(), 1);
  EXPECT_EQ(batch.lookups(0).cgroup(), cgroup_id(web));
  EXPECT_EQ(batch.lookups(0).name(), "shop.example");
}

TEST_P(CaptureDescribe, an_accepted_flow_shows_what_it_carries_however_it_was_accepted) {
  start();
  const std::string web = container("web");
  observe(web, kBoth);
  for (const bool deferred : {false, true}) {
    uint16_t port = 0;
    std::thread serving = serve_in(web, 1, deferred, &port);
    EXPECT_EQ(talk("10.7.0.1", port, 1, "GET / HTTP/1.1\r\n\r\n"), 0);
    serving.join();
    const auto flows = described();
    ASSERT_EQ(flows.size(), 1U);
    EXPECT_EQ(flows[0].second.payload.payload, v1::PAYLOAD_HTTP1) << deferred;
    EXPECT_EQ(captured_.payloads().size(), 0U);
  }
}

TEST_P(CaptureDescribe, conversations_of_one_udp_socket_are_told_apart) {
  start([](KernelOptions& options) { options.udp_idle = std::chrono::seconds(1); });
  const std::string web = container("web");
  observe(web, kBoth);
  Server names(SOCK_DGRAM, "10.7.0.1", 53), other(SOCK_DGRAM, "10.7.0.2", 4000);
  EXPECT_EQ(run_in(web,
                   [&] {
                     const int fd = make_socket("10.7.0.1", SOCK_DGRAM);
                     const Message question = DnsWriter(0x0100, 1, 0).question("a.b", 1).bytes();
                     sockaddr_in to = {
                         .sin_family = AF_INET, .sin_port = htons(53), .sin_addr = {}, .sin_zero = {}};
                     to.sin_addr.s_addr = htonl(0x0a070001);
                     if (udp_send(fd, "10.7.0.2", 4000) != 0) return 1;
                     const ssize_t sent = sendto(fd, question.data(), question.size(), 0,
                                                 reinterpret_cast<sockaddr*>(&to), sizeof(to));
                     close(fd);
                     return sent > 0 ? 0 : 2;
                   }),
            0);
  usleep(1200000);
  ASSERT_TRUE(kernel_->sweep_udp().has_value());
  const auto flows = described();
  ASSERT_EQ(flows.size(), 2U);
  for (const auto& [event, details] : flows)
    EXPECT_EQ(details.payload.payload, event.remote_port == 53 ? v1::PAYLOAD_DNS : v1::PAYLOAD_UNKNOWN);
  EXPECT_EQ(captured_.payloads().size(), 0U);
}

}  // namespace
}  // namespace cellwall::test
