// SPDX-License-Identifier: Apache-2.0
#include "messages.h"

#include <netinet/in.h>

namespace cellwall::test {
namespace {

constexpr bool kClient = true, kServer = false;

// Kafka 3: ApiVersions of librdkafka, with the client's id.
Message kafka_request() {
  return from_hex(
      "00000023"
      "0012"
      "0003"
      "00000001"
      "0007"
      "72646b61666b61"
      "00"
      "0b6c696272646b61666b61"
      "06322e332e30");
}

Message mysql_greeting() {
  return from_hex(
      "4a0000000a382e302e333600080000003f7c5a1e4b6d0c2100ffffff0200ffdf15000000000000000000002b5c6a3d0e7f4a1b"
      "2c"
      "3d4e5f0063616368696e675f736861325f70617373776f726400");
}

Message mysql_response() {
  Message bytes = from_hex(
      "20000001"
      "8dae0f00"
      "00000001"
      "ff");
  bytes.resize(36, 0);
  return bytes;
}

}  // namespace

std::vector<std::pair<std::string, Message>> dns_samples() {
  const Message v6(16, 0x20);
  return {
      {"alias", dns_with_alias()},
      {"address", dns_answer("db.shop.svc.cluster.local", {10, 0, 0, 7})},
      {"v6", DnsWriter(kDnsOk, 1, 1).question("six.example", 28).pointer(12).record(28, 5, v6).bytes()},
      {"not-found", dns_failure("nowhere.example", 3)},
      {"failed", dns_failure("broken.example", 2)},
      {"truncated", DnsWriter(kDnsOk | 0x0200, 1, 9).question("big.example", 1).bytes()},
      {"out-of-order", DnsWriter(kDnsOk, 1, 3)
                           .question("a.example", 1)
                           .a("c.example", {10, 0, 0, 1})
                           .alias("b.example", "c.example")
                           .alias("a.example", "b.example")
                           .bytes()},
      {"tcp", framed(dns_with_alias())},
      {"loop", DnsWriter(kDnsOk, 1, 1).pointer(12).number(1, 2).number(1, 2).bytes()},
  };
}

std::vector<PayloadSample> payload_samples() {
  return {
      {"tls13-client", tls13_client_hello(), kClient, IPPROTO_TCP, 443, v1::PAYLOAD_TLS},
      {"tls12-client", tls12_client_hello(), kClient, IPPROTO_TCP, 8443, v1::PAYLOAD_TLS},
      {"tls13-server", tls13_server_hello(), kServer, IPPROTO_TCP, 443, v1::PAYLOAD_TLS},
      {"tls12-server", tls12_server_hello(), kServer, IPPROTO_TCP, 443, v1::PAYLOAD_TLS},
      {"tls-alert", from_hex("15030300020228"), kServer, IPPROTO_TCP, 443, v1::PAYLOAD_TLS},
      {"http1-get", from_text("GET / HTTP/1.1\r\nHost: shop\r\n\r\n"), kClient, IPPROTO_TCP, 80,
       v1::PAYLOAD_HTTP1},
      {"http1-long", from_text("POST /" + std::string(300, 'a')), kClient, IPPROTO_TCP, 80,
       v1::PAYLOAD_HTTP1},
      {"http1-propfind", from_text("PROPFIND /dav HTTP/1.1\r\n\r\n"), kClient, IPPROTO_TCP, 80,
       v1::PAYLOAD_HTTP1},
      {"http1-answer", from_text("HTTP/1.0 302 Found\r\n"), kServer, IPPROTO_TCP, 80, v1::PAYLOAD_HTTP1},
      {"http2", from_text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), kClient, IPPROTO_TCP, 50051,
       v1::PAYLOAD_HTTP2},
      {"http2-settings", from_hex("000012040000000000000300000064000400100000000600004000"), kServer,
       IPPROTO_TCP, 50051, v1::PAYLOAD_HTTP2},
      {"ssh-client", from_text("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), kClient, IPPROTO_TCP, 22,
       v1::PAYLOAD_SSH},
      {"ssh-server", from_text("SSH-2.0-dropbear\r\n"), kServer, IPPROTO_TCP, 2222, v1::PAYLOAD_SSH},
      {"postgres-tls", from_hex("0000000804d2162f"), kClient, IPPROTO_TCP, 5432, v1::PAYLOAD_POSTGRES_TLS},
      {"postgres-gss", from_hex("0000000804d21630"), kClient, IPPROTO_TCP, 5432, v1::PAYLOAD_POSTGRES},
      {"postgres-startup",
       from_hex(
           "000000360003000075736572007765620064617461626173650073686f70006170706c69636174696f6e5f6e616d6500"
           "7073716c0000"),
       kClient, IPPROTO_TCP, 5432, v1::PAYLOAD_POSTGRES},
      {"postgres-cancel", from_hex("0000001004d2162e0000004200abcdef"), kClient, IPPROTO_TCP, 5432,
       v1::PAYLOAD_POSTGRES},
      {"postgres-answer", from_hex("52000000170000000a534352414d2d5348412d3235360000"), kServer, IPPROTO_TCP,
       5432, v1::PAYLOAD_POSTGRES},
      {"mysql-greeting", mysql_greeting(), kServer, IPPROTO_TCP, 3306, v1::PAYLOAD_MYSQL},
      {"mysql-refusal", from_hex("11000000ff10044f6e652f636f6e6e656374696f6e"), kServer, IPPROTO_TCP, 3306,
       v1::PAYLOAD_MYSQL},
      {"mysql-response", mysql_response(), kClient, IPPROTO_TCP, 3306, v1::PAYLOAD_MYSQL},
      {"redis", from_text("*1\r\n$4\r\nPING\r\n"), kClient, IPPROTO_TCP, 6379, v1::PAYLOAD_REDIS},
      {"redis-noauth", from_text("-NOAUTH Authentication required.\r\n"), kServer, IPPROTO_TCP, 6379,
       v1::PAYLOAD_REDIS},
      {"kafka", kafka_request(), kClient, IPPROTO_TCP, 9092, v1::PAYLOAD_KAFKA},
      {"kafka-no-id", from_hex("0000000a0012000000000000ffff"), kClient, IPPROTO_TCP, 9092,
       v1::PAYLOAD_KAFKA},
      {"quic-v1", quic_initial("00000001", 0xc3), kClient, IPPROTO_UDP, 443, v1::PAYLOAD_QUIC},
      {"quic-v2", quic_initial("6b3343cf", 0xd3), kClient, IPPROTO_UDP, 443, v1::PAYLOAD_QUIC},
      {"dns", DnsWriter(0x0100, 1, 0).question("shop.example", 1).bytes(), kClient, IPPROTO_UDP, 53,
       v1::PAYLOAD_DNS},
      {"dns-answer", dns_with_alias(), kServer, IPPROTO_UDP, 53, v1::PAYLOAD_DNS},
      {"dns-tcp", framed(DnsWriter(0x0100, 1, 0).question("shop.example", 1).bytes()), kClient, IPPROTO_TCP,
       53, v1::PAYLOAD_DNS},
  };
}

}  // namespace cellwall::test
