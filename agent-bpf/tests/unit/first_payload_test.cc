// SPDX-License-Identifier: Apache-2.0
#include "first_payload.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include "cellwall/events.h"
#include "messages.h"
#include "tls_hello.h"

namespace cellwall::test {
namespace {

PayloadKind from_client(const Message& bytes) {
  return classify({.bytes = bytes, .length = bytes.size(), .protocol = IPPROTO_TCP, .from_client = true});
}

PayloadKind from_server(const Message& bytes) {
  return classify({.bytes = bytes, .length = bytes.size(), .protocol = IPPROTO_TCP, .from_client = false});
}

TEST(FirstPayload, tells_protocols_apart) {
  for (const PayloadSample& sample : payload_samples()) {
    const FirstPayload first = {.bytes = sample.bytes,
                                .length = sample.bytes.size(),
                                .protocol = sample.protocol,
                                .from_client = sample.from_client,
                                .server_port = sample.server_port};
    EXPECT_EQ(classify(first).payload, sample.expected) << sample.name;
  }
}

// A capture holds 256 bytes of what is no TLS.
TEST(FirstPayload, tells_protocols_apart_by_their_first_bytes) {
  for (const PayloadSample& sample : payload_samples()) {
    const size_t captured = std::min<size_t>(sample.bytes.size(), CW_CAPTURE_SHORT);
    const FirstPayload first = {.bytes = Bytes(sample.bytes).first(captured),
                                .length = sample.bytes.size(),
                                .protocol = sample.protocol,
                                .from_client = sample.from_client,
                                .server_port = sample.server_port};
    EXPECT_EQ(classify(first).payload, sample.expected) << sample.name;
  }
}

TEST(FirstPayload, says_unknown_rather_than_guess) {
  const std::pair<const char*, Message> cases[] = {
      {"empty", {}},
      {"noise", from_hex("deadbeef00112233")},
      {"text", from_text("hello there\n")},
      {"a word like a method", from_text("GETAWAY CAR\n")},
      {"capitals without a version", from_text("HELO mail.example\r\n")},
      {"old TLS of a wrong version", from_hex("160501000501000001000000")},
      {"another message of the handshake", from_hex("16030100050b00000100")},
      {"an alert of the client", from_hex("15030100020128")},
      {"PostgreSQL of a wrong length", from_hex("0000000904d2162f")},
      {"PostgreSQL 2", from_hex("0000000c0002000061006200")},
      {"MySQL's answer without its zeros", from_hex("20000001"
                                                    "8dae0f0000000001ff"
                                                    "ffffffffffffffffffffffffffffffffffffffffffffff")},
      {"an array that holds no strings", from_text("*1\r\n:4\r\n")},
      {"Kafka with bytes missing", from_hex("0000000b0012000000000000ffff")},
      {"Kafka that ends within its number", from_hex("0000000600000000ffff")},
      {"Kafka with an odd id", from_hex("0000000c00120000000000000002ff00")},
      {"a greeting that the server should send", from_text("HTTP/1.1 200 OK\r\n")},
  };
  for (const auto& [why, bytes] : cases) EXPECT_EQ(from_client(bytes).payload, v1::PAYLOAD_UNKNOWN) << why;
  EXPECT_EQ(from_server(from_text("220 mail.example ESMTP\r\n")).payload, v1::PAYLOAD_UNKNOWN);
  EXPECT_EQ(from_server(from_text("GET / HTTP/1.1\r\n")).payload, v1::PAYLOAD_UNKNOWN);
  EXPECT_EQ(from_server(tls13_client_hello()).payload, v1::PAYLOAD_UNKNOWN);
}

TEST(FirstPayload, short_or_wrong_quic_is_unknown) {
  const auto udp = [](const Message& bytes) {
    return classify({.bytes = bytes, .length = bytes.size(), .protocol = IPPROTO_UDP, .from_client = true})
        .payload;
  };
  Message initial = quic_initial("00000001", 0xc0);
  EXPECT_EQ(udp(initial), v1::PAYLOAD_QUIC);
  initial.resize(1199);
  EXPECT_EQ(udp(initial), v1::PAYLOAD_UNKNOWN) << "RFC 9000, section 14.1";
  EXPECT_EQ(udp(quic_initial("00000001", 0xe0)), v1::PAYLOAD_UNKNOWN) << "a handshake packet";
  EXPECT_EQ(udp(quic_initial("00000001", 0x80)), v1::PAYLOAD_UNKNOWN) << "the fixed bit is missing";
  EXPECT_EQ(udp(quic_initial("6b3343cf", 0xc0)), v1::PAYLOAD_UNKNOWN)
      << "version 2 numbers its types otherwise";
  EXPECT_EQ(udp(quic_initial("ff00001d", 0xc0)), v1::PAYLOAD_UNKNOWN) << "a draft";
  EXPECT_EQ(udp(tls13_client_hello()), v1::PAYLOAD_UNKNOWN) << "TLS goes over TCP";
}

TEST(FirstPayload, dns_is_what_goes_to_its_port) {
  const Message question = DnsWriter(0x0100, 1, 0).question("a.b", 1).bytes();
  const auto to = [&](uint16_t port) {
    return classify({.bytes = question,
                     .length = question.size(),
                     .protocol = IPPROTO_UDP,
                     .from_client = true,
                     .server_port = port})
        .payload;
  };
  EXPECT_EQ(to(53), v1::PAYLOAD_DNS);
  EXPECT_EQ(to(5353), v1::PAYLOAD_UNKNOWN);
}

TEST(TlsHello, tells_version_and_server_name) {
  const PayloadKind newest = from_client(tls13_client_hello());
  EXPECT_EQ(newest.tls_version, 0x0304) << "of supported_versions";
  EXPECT_EQ(newest.server_name, "shop.example.org");
  const PayloadKind older = from_client(tls12_client_hello());
  EXPECT_EQ(older.tls_version, 0x0303) << "without supported_versions, its own";
  EXPECT_EQ(older.server_name, "db.internal");
}

TEST(TlsHello, the_servers_choice_stands_whatever_comes_last) {
  for (const auto& [hello, version] :
       {std::pair(tls13_server_hello(), 0x0304), std::pair(tls12_server_hello(), 0x0303)}) {
    const PayloadKind client = from_client(tls13_client_hello()), server = from_server(hello);
    for (const PayloadKind& both : {sharper(client, server), sharper(server, client)}) {
      EXPECT_EQ(both.payload, v1::PAYLOAD_TLS);
      EXPECT_EQ(both.tls_version, version);
      EXPECT_EQ(both.server_name, "shop.example.org");
    }
  }
}

TEST(TlsHello, an_alert_leaves_what_the_client_offered) {
  const PayloadKind both =
      sharper(from_client(tls13_client_hello()), from_server(from_hex("15030300020228")));
  EXPECT_EQ(both.tls_version, 0x0304);
  EXPECT_EQ(both.server_name, "shop.example.org");
}

TEST(TlsHello, is_read_as_far_as_it_goes) {
  const Message whole = tls13_client_hello();
  bool named = false, versioned = false;
  for (size_t length = 6; length <= whole.size(); length++) {
    const auto hello = read_tls_hello(Bytes(whole).first(length));
    ASSERT_TRUE(hello.has_value()) << length;
    EXPECT_TRUE(!named || hello->server_name == "shop.example.org") << length;
    EXPECT_TRUE(!versioned || hello->version == 0x0304) << length;
    named = !hello->server_name.empty();
    versioned = hello->version == 0x0304;
  }
  EXPECT_TRUE(named && versioned);
  EXPECT_FALSE(read_tls_hello(Bytes(whole).first(5)).has_value());
}

TEST(TlsHello, is_joined_from_several_records) {
  const Message whole = tls13_client_hello();
  Message split;
  for (size_t at = 5; at < whole.size(); at += 40) {
    const size_t part = std::min<size_t>(40, whole.size() - at);
    const Message head = {0x16, 3, 1, 0, static_cast<uint8_t>(part)};
    split.insert(split.end(), head.begin(), head.end());
    split.insert(split.end(), whole.begin() + static_cast<ptrdiff_t>(at),
                 whole.begin() + static_cast<ptrdiff_t>(at + part));
  }
  EXPECT_EQ(from_client(split).server_name, "shop.example.org");
  EXPECT_EQ(from_client(split).tls_version, 0x0304);
}

TEST(TlsHello, versions_that_are_none_do_not_count) {
  Message hello = tls13_client_hello();
  const Message offered = from_hex("002b0009080304030303020301");
  const auto at = std::search(hello.begin(), hello.end(), offered.begin(), offered.end());
  ASSERT_NE(at, hello.end());
  at[5] = 0x8a;  // 0x8a8a: GREASE
  at[6] = 0x8a;
  EXPECT_EQ(from_client(hello).tls_version, 0x0303);
}

TEST(TlsHello, server_names_are_names_of_hosts) {
  const auto name = [](std::string_view text) { return host_name_of(from_text(text)); };
  EXPECT_EQ(name("WWW.Example.com."), "www.example.com");
  EXPECT_EQ(name("xn--bcher-kva_1.example"), "xn--bcher-kva_1.example");
  EXPECT_EQ(name(std::string(63, 'a') + ".b"), std::string(63, 'a') + ".b");
  const std::string wrong[] = {"",
                               ".",
                               "a..b",
                               ".a",
                               "10.0.0.1",
                               "a b",
                               std::string("a\0b", 3),
                               "a\xc3\xa9",
                               "::1",
                               "a/b",
                               std::string(64, 'a'),
                               std::string(254, 'a')};
  for (const auto& one : wrong) EXPECT_EQ(name(one), "") << one;
}

TEST(FirstPayload, the_later_and_sharper_payload_wins) {
  const PayloadKind unknown = {.payload = v1::PAYLOAD_UNKNOWN}, none, mysql = {.payload = v1::PAYLOAD_MYSQL};
  EXPECT_EQ(sharper(none, unknown).payload, v1::PAYLOAD_UNKNOWN);
  EXPECT_EQ(sharper(unknown, none).payload, v1::PAYLOAD_UNKNOWN);
  EXPECT_EQ(sharper(unknown, mysql).payload, v1::PAYLOAD_MYSQL);
  EXPECT_EQ(sharper(mysql, unknown).payload, v1::PAYLOAD_MYSQL);
  EXPECT_EQ(sharper({.payload = v1::PAYLOAD_HTTP1}, mysql).payload, v1::PAYLOAD_MYSQL);
}

TEST(FirstPayload, postgres_whose_server_refuses_tls_goes_on_in_clear) {
  const PayloadKind asked = from_client(from_hex("0000000804d2162f"));
  EXPECT_EQ(sharper(asked, from_server(from_text("S"))).payload, v1::PAYLOAD_POSTGRES_TLS);
  EXPECT_EQ(sharper(asked, from_server(from_text("N"))).payload, v1::PAYLOAD_POSTGRES);
}

TEST(FirstPayload, survives_every_cut_and_every_changed_byte) {
  for (const PayloadSample& sample : payload_samples()) {
    FirstPayload first = {.bytes = sample.bytes,
                          .length = sample.bytes.size(),
                          .protocol = sample.protocol,
                          .from_client = sample.from_client,
                          .server_port = sample.server_port};
    for (size_t i = 0; i < sample.bytes.size(); i++) {
      Message changed = sample.bytes;
      changed[i] ^= 0x80;
      first.bytes = changed;
      EXPECT_NE(classify(first).payload, v1::PAYLOAD_UNSPECIFIED);
      changed.resize(i);
      first.bytes = changed;
      EXPECT_NE(classify(first).payload, v1::PAYLOAD_UNSPECIFIED);
    }
  }
}

}  // namespace
}  // namespace cellwall::test
