// SPDX-License-Identifier: Apache-2.0
//
// Messages of DNS and of the protocols that are told apart, for the unit tests and as seeds for fuzzing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "first_payload.h"

namespace cellwall::test {

using Message = std::vector<uint8_t>;

inline Message from_hex(std::string_view hex) {
  const auto digit = [](char c) { return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); };
  Message bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(digit(hex[i]) << 4 | digit(hex[i + 1])));
  return bytes;
}

inline Message from_text(std::string_view text) {
  return {text.begin(), text.end()};
}

// Writes a DNS message piece by piece, also a wrong one.
class DnsWriter {
 public:
  DnsWriter(uint16_t flags, uint16_t questions, uint16_t answers) {
    for (uint16_t word : {uint16_t{0x1234}, flags, questions, answers, uint16_t{0}, uint16_t{0}})
      number(word, 2);
  }
  DnsWriter& number(uint32_t value, int width) {
    while (width-- > 0) bytes_.push_back(static_cast<uint8_t>(value >> width * 8));
    return *this;
  }
  DnsWriter& labels(std::string_view name) {
    while (!name.empty()) {
      const size_t dot = std::min(name.find('.'), name.size());
      bytes_.push_back(static_cast<uint8_t>(dot));
      bytes_.insert(bytes_.end(), name.begin(), name.begin() + static_cast<ptrdiff_t>(dot));
      name.remove_prefix(std::min(dot + 1, name.size()));
    }
    return *this;
  }
  DnsWriter& name(std::string_view name) { return labels(name).number(0, 1); }
  DnsWriter& pointer(size_t to) { return number(0xc000 | static_cast<uint32_t>(to), 2); }
  DnsWriter& question(std::string_view asked, uint16_t type) {
    return name(asked).number(type, 2).number(1, 2);
  }
  // What follows the owner's name.
  DnsWriter& record(uint16_t type, uint32_t ttl, const Message& data) {
    number(type, 2).number(1, 2).number(ttl, 4).number(static_cast<uint32_t>(data.size()), 2);
    bytes_.insert(bytes_.end(), data.begin(), data.end());
    return *this;
  }
  DnsWriter& alias(std::string_view owner, std::string_view target, uint32_t ttl = 60) {
    name(owner);
    return record(5, ttl, encoded(target));
  }
  DnsWriter& a(std::string_view owner, Message address, uint32_t ttl = 60) {
    return name(owner).record(1, ttl, address);
  }
  size_t size() const { return bytes_.size(); }
  const Message& bytes() const { return bytes_; }

  static Message encoded(std::string_view name) {
    DnsWriter writer(0, 0, 0);
    writer.name(name);
    return {writer.bytes_.begin() + 12, writer.bytes_.end()};
  }

 private:
  Message bytes_;
};

inline constexpr uint16_t kDnsOk = 0x8180;  // response, recursion desired and available

// www.example.com is an alias of cdn.example.com, whose address is 93.184.216.34; as name servers compress
// it.
inline Message dns_with_alias() {
  return from_hex(
      "12348180000100020000000003777777076578616d706c6503636f6d0000010001"
      "c00c000500010000012c00060363646ec010"
      "c02d000100010000003c00045db8d822");
}

inline Message dns_answer(std::string_view name, Message address) {
  return DnsWriter(kDnsOk, 1, 1).question(name, 1).a(name, std::move(address)).bytes();
}

inline Message dns_failure(std::string_view name, uint16_t code) {
  return DnsWriter(static_cast<uint16_t>(kDnsOk | code), 1, 0).question(name, 1).bytes();
}

// Behind its length, as over TCP.
inline Message framed(const Message& message) {
  Message bytes(sizeof(uint16_t) + message.size());
  bytes[0] = static_cast<uint8_t>(message.size() >> 8);
  bytes[1] = static_cast<uint8_t>(message.size());
  std::ranges::copy(message, bytes.begin() + sizeof(uint16_t));
  return bytes;
}

// What OpenSSL 3.0 sends for the server name Shop.Example.ORG.
inline Message tls13_client_hello() {
  return from_hex(
      "160301013d01000139030343edb0ea2fd56950b2d17786554c72e99eed11ce732946182dc6433f169edc0b2035f9733e185c8b"
      "54"
      "457afb81acff319b384ca004b66cbed3080dad8b68a0b62c003e130213031301c02cc030009fcca9cca8ccaac02bc02f009ec0"
      "24"
      "c028006bc023c0270067c00ac0140039c009c0130033009d009c003d003c0035002f00ff010000b20000001500130000105368"
      "6f"
      "702e4578616d706c652e4f5247000b000403000102000a00160014001d0017001e001900180100010101020103010400230000"
      "00"
      "16000000170000000d002a0028040305030603080708080809080a080b08040805080604010501060103030301030204020502"
      "06"
      "02002b0009080304030303020301002d00020101003300260024001d00205f0392386fa87b28ec7e001d9bc439395452b85305"
      "922f8b6d12c403b60d9b42");
}

// And with TLS 1.2 alone, for db.internal.
inline Message tls12_client_hello() {
  return from_hex(
      "16030100970100009303"
      "03ae5ca34208ac2169a401b5792851d230e024e15640ecde91e702c24d379d19d8000004c02f00ff0100006600000010000e00"
      "00"
      "0b64622e696e7465726e616c000b000403000102000a000c000a001d0017001e00190018002300000016000000170000000d00"
      "2a"
      "0028040305030603080708080809080a080b080408050806040105010601030303010302040205020602");
}

inline Message tls13_server_hello() {
  return from_hex(
      "160303007a0200007603038364f205cc57f23b22979058199812bc49ddbc7612753fbb337b9ad2ecb0eafa2035f9733e185c8b"
      "54"
      "457afb81acff319b384ca004b66cbed3080dad8b68a0b62c130200002e002b0002030400330024001d00204865c3ccf2f76113"
      "b1"
      "f8843d2eabb9cfb411764951fab6dedaf3b7b7a6c99d3d140303000101");
}

inline Message tls12_server_hello() {
  return from_hex(
      "16030300410200003d03037cba4e70fe5b33834c09d2fdf22e24b74b57b847b7beb89811d7ed2efa2ff40f00c030000015ff01"
      "00"
      "0100000b000403000102002300000017000016030303070b0003030003000002fd308202f9");
}

inline Message quic_initial(std::string_view hex_version, uint8_t head) {
  Message bytes = {head};
  const Message rest = from_hex(std::string(hex_version) + "088394c8f03e5157080000449e");
  bytes.insert(bytes.end(), rest.begin(), rest.end());
  bytes.resize(1200, 0x5a);
  return bytes;
}

struct PayloadSample {
  std::string name;
  Message bytes;
  bool from_client;
  uint8_t protocol;
  uint16_t server_port;
  v1::Payload expected;
};

std::vector<std::pair<std::string, Message>> dns_samples();
std::vector<PayloadSample> payload_samples();

}  // namespace cellwall::test
