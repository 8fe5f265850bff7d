// SPDX-License-Identifier: Apache-2.0
#include "captured.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include "flow_encoder.h"
#include "looked_up.h"
#include "messages.h"

namespace cellwall::test {
namespace {

using namespace std::chrono_literals;

cw_capture capture(uint8_t kind, uint8_t protocol, uint64_t cookie, bool outgoing, bool began) {
  cw_capture made = {};
  made.time_ns = 50 * kSecond;
  made.cookie = cookie;
  made.socket_cgroup = 400;
  std::copy_n(v4(9).begin(), 16, made.peer);
  made.peer_port = 443;
  made.local_port = 50000;
  made.kind = kind;
  made.protocol = protocol;
  made.outgoing = outgoing;
  made.began = began;
  return made;
}

cw_event event(uint8_t protocol, uint64_t cookie, uint8_t direction) {
  cw_event made = {};
  made.start_ns = 60 * kSecond;
  made.end_ns = 70 * kSecond;
  made.cookie = cookie;
  made.socket_cgroup = 400;
  std::copy_n(v4(9).begin(), 16, made.remote);
  made.remote_port = 443;
  made.local_port = 50000;
  made.protocol = protocol;
  made.direction = direction;
  return made;
}

struct Fixture {
  void add(cw_capture head, const Message& bytes) {
    head.length = static_cast<uint32_t>(bytes.size());
    head.bytes = static_cast<uint16_t>(bytes.size());
    captured.add(head, bytes, now);
  }
  FlowDetails ended(const cw_event& event) {
    FlowDetails details = {.container = 40, .nat = {}};
    captured.describe_ended(event, &details);
    return details;
  }
  Captured::Time now = Captured::Time() + 100h;
  Clock clock;
  Captured captured{clock, [](uint64_t cgroup) { return cgroup == 400 ? uint64_t{40} : uint64_t{0}; }};
};

TEST(Captured, a_flow_has_the_name_that_its_container_looked_up) {
  Fixture it;
  it.add(capture(CW_CAPTURE_NAMES, IPPROTO_UDP, 3, false, true), dns_answer("shop.example", {10, 0, 0, 9}));
  EXPECT_EQ(it.ended(event(IPPROTO_TCP, 5, CW_EGRESS)).name, "shop.example");
  EXPECT_EQ(it.ended(event(IPPROTO_TCP, 5, CW_INGRESS)).name, "") << "nobody looked a caller up";
  v1::FlowBatch batch;
  it.captured.lookups().fill(&batch);
  ASSERT_EQ(batch.lookups_size(), 1);
  EXPECT_EQ(batch.lookups(0).cgroup(), 40U);
}

TEST(Captured, answers_over_tcp_count_and_unreadable_ones_too) {
  Fixture it;
  it.add(capture(CW_CAPTURE_NAMES, IPPROTO_TCP, 3, false, true),
         framed(dns_answer("shop.example", {10, 0, 0, 9})));
  it.add(capture(CW_CAPTURE_NAMES, IPPROTO_UDP, 3, false, true), {1, 2, 3});
  EXPECT_EQ(it.ended(event(IPPROTO_TCP, 5, CW_EGRESS)).name, "shop.example");
  v1::FlowBatch batch;
  it.captured.lookups().fill(&batch);
  ASSERT_EQ(batch.lookups_size(), 2);
  EXPECT_EQ(batch.lookups(1).result(), v1::LOOKUP_RESULT_UNREADABLE);
  EXPECT_EQ(batch.lookups(1).name(), "");
}

TEST(Captured, both_payloads_of_a_flow_are_one_result_which_is_given_once) {
  Fixture it;
  it.add(capture(CW_CAPTURE_PAYLOAD, IPPROTO_TCP, 5, true, true), tls13_client_hello());
  it.add(capture(CW_CAPTURE_PAYLOAD, IPPROTO_TCP, 5, false, true), tls12_server_hello());
  FlowDetails open = {.container = 40, .nat = {}};
  it.captured.describe_open(event(IPPROTO_TCP, 5, CW_EGRESS), &open, it.now);
  EXPECT_EQ(open.payload.payload, v1::PAYLOAD_TLS);
  const FlowDetails ended = it.ended(event(IPPROTO_TCP, 5, CW_EGRESS));
  EXPECT_EQ(ended.payload.tls_version, 0x0303);
  EXPECT_EQ(ended.payload.server_name, "shop.example.org");
  EXPECT_EQ(it.ended(event(IPPROTO_TCP, 5, CW_EGRESS)).payload.payload, v1::PAYLOAD_UNSPECIFIED);
  EXPECT_EQ(it.captured.payloads().size(), 0U);
}

TEST(Captured, what_came_before_the_connection_was_accepted_belongs_to_it) {
  Fixture it;
  cw_capture early = capture(CW_CAPTURE_PAYLOAD, IPPROTO_TCP, 0, false, false);
  it.add(early, from_text("GET / HTTP/1.1\r\n"));
  early.peer_port = 444;
  it.add(early, from_text("SSH-2.0-x\r\n"));
  EXPECT_EQ(it.ended(event(IPPROTO_TCP, 5, CW_INGRESS)).payload.payload, v1::PAYLOAD_HTTP1);
  EXPECT_EQ(it.captured.payloads().size(), 1U);
}

TEST(Captured, each_peer_of_a_udp_socket_has_its_own_payload) {
  Fixture it;
  it.add(capture(CW_CAPTURE_PAYLOAD, IPPROTO_UDP, 5, true, true), quic_initial("00000001", 0xc0));
  cw_event other = event(IPPROTO_UDP, 5, CW_EGRESS);
  other.remote_port = 444;
  EXPECT_EQ(it.ended(other).payload.payload, v1::PAYLOAD_UNSPECIFIED);
  EXPECT_EQ(it.ended(event(IPPROTO_UDP, 5, CW_EGRESS)).payload.payload, v1::PAYLOAD_QUIC);
}

TEST(PayloadTable, is_bounded_and_forgets_sockets_whose_event_never_comes) {
  PayloadTable table(2);
  const Message text = from_text("SSH-2.0-x\r\n");
  PayloadTable::Time now = PayloadTable::Time() + 100h;
  for (uint64_t cookie : {1, 2, 3})
    table.add(capture(CW_CAPTURE_PAYLOAD, IPPROTO_TCP, cookie, true, true), text, now);
  EXPECT_EQ(table.size(), 2U);
  EXPECT_EQ(table.dropped(), 1U);
  EXPECT_EQ(table.take(event(IPPROTO_TCP, 1, CW_EGRESS)).payload, v1::PAYLOAD_UNSPECIFIED);
  now += 20h;
  EXPECT_EQ(table.find(event(IPPROTO_TCP, 2, CW_EGRESS), now).payload, v1::PAYLOAD_SSH);
  now += 20h;
  table.tick(now);
  EXPECT_EQ(table.size(), 1U) << "reported as open in between";
  EXPECT_EQ(table.take(event(IPPROTO_TCP, 2, CW_EGRESS)).payload, v1::PAYLOAD_SSH);
}

TEST(Captured, names_of_a_dead_container_stay_for_its_last_events) {
  Fixture it;
  it.add(capture(CW_CAPTURE_NAMES, IPPROTO_UDP, 3, false, true), dns_answer("shop.example", {10, 0, 0, 9}));
  it.captured.container_died(40, it.now);
  it.captured.tick(it.now + 1min);
  EXPECT_EQ(it.ended(event(IPPROTO_TCP, 5, CW_EGRESS)).name, "shop.example");
  it.captured.tick(it.now + 1h);
  EXPECT_EQ(it.captured.names().size(), 0U);
}

TEST(FlowEncoder, writes_names_and_payloads_of_the_rows_that_have_them) {
  const Clock clock;
  v1::FlowColumns columns;
  FlowEncoder encoder(&columns, clock);
  encoder.add(event(IPPROTO_TCP, 1, CW_EGRESS), {.container = 40, .nat = {}});
  encoder.add(
      event(IPPROTO_TCP, 2, CW_EGRESS),
      {.container = 40,
       .nat = {},
       .name = "shop.example",
       .payload = {.payload = v1::PAYLOAD_TLS, .tls_version = 0x0304, .server_name = "shop.example"}});
  encoder.add(event(IPPROTO_TCP, 3, CW_EGRESS),
              {.container = 40, .nat = {}, .payload = {.payload = v1::PAYLOAD_UNKNOWN}});
  ASSERT_EQ(columns.names().row_size(), 1);
  EXPECT_EQ(columns.names().row(0), 1U);
  EXPECT_EQ(columns.strings(static_cast<int>(columns.names().name(0))), "shop.example");
  ASSERT_EQ(columns.payloads().row_size(), 2);
  EXPECT_EQ(columns.payloads().row(0), 1U);
  EXPECT_EQ(columns.payloads().payload(0), v1::PAYLOAD_TLS);
  EXPECT_EQ(columns.payloads().tls_version(0), 0x0304U);
  EXPECT_EQ(columns.strings(static_cast<int>(columns.payloads().server_name(0)) - 1), "shop.example");
  EXPECT_EQ(columns.payloads().row(1), 2U);
  EXPECT_EQ(columns.payloads().payload(1), v1::PAYLOAD_UNKNOWN);
  EXPECT_EQ(columns.payloads().server_name(1), 0U);
}

}  // namespace
}  // namespace cellwall::test
