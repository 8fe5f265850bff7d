// SPDX-License-Identifier: Apache-2.0
#include "first_payload.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "tls_hello.h"

namespace cellwall {
namespace {

using std::string_view;
using Recognise = bool (*)(const FirstPayload&);

constexpr uint16_t kDnsPort = 53;

string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Is what is there of `whole` at the front of the bytes, at least `least` of it?
bool begins(string_view bytes, string_view whole, size_t least) {
  const size_t count = std::min(bytes.size(), whole.size());
  return count >= least && bytes.substr(0, count) == whole.substr(0, count);
}

// RFC 9112, section 3: method, target, version. A long target goes beyond the bytes.
bool is_http1_request(string_view text) {
  static constexpr std::array<string_view, 9> kMethods = {
      "GET ", "POST ", "PUT ", "HEAD ", "DELETE ", "OPTIONS ", "PATCH ", "CONNECT ", "TRACE "};
  const bool known = std::any_of(kMethods.begin(), kMethods.end(),
                                 [&](string_view method) { return text.starts_with(method); });
  const size_t end = text.find('\n');
  if (end == string_view::npos) return known;
  // Methods of extensions (PROPFIND, M-SEARCH …) need the version.
  const size_t space = text.find(' ');
  const bool token = space != 0 && space < end && std::all_of(text.begin(), text.begin() + space, [](char c) {
                       return (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
                     });
  return token && text.substr(0, end).find(" HTTP/1.") != string_view::npos;
}

bool is_http1(const FirstPayload& first) {
  const string_view text = text_of(first.bytes);
  if (first.from_client) return is_http1_request(text);
  return text.starts_with("HTTP/1.") && text.size() > 8 && is_digit(text[7]) && text[8] == ' ';
}

// RFC 9113, section 3.4: the client's preface; the server's first frame is SETTINGS (section 6.5).
bool is_http2(const FirstPayload& first) {
  if (first.from_client) return begins(text_of(first.bytes), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 16);
  WireReader reader(first.bytes);
  const auto length = reader.number(3), type = reader.number(1), flags = reader.number(1),
             stream = reader.number(4);
  return stream && *length % 6 == 0 && *length <= 16384 && *type == 4 && *flags == 0 && *stream == 0;
}

// RFC 4253, section 4.2.
bool is_ssh(const FirstPayload& first) {
  const string_view text = text_of(first.bytes);
  return text.starts_with("SSH-2.0-") || text.starts_with("SSH-1.");
}

// PostgreSQL's documentation, "Message Formats": StartupMessage, CancelRequest, SSLRequest, GSSENCRequest.
constexpr uint32_t kPostgresCancel = 80877102;
constexpr uint32_t kPostgresTls = 80877103;
constexpr uint32_t kPostgresGss = 80877104;
constexpr uint32_t kPostgresMaxStartup = 10000;

// The code of a client's first message, 0: it is none.
uint32_t postgres_code(const FirstPayload& first) {
  WireReader reader(first.bytes);
  const auto length = reader.number(4), code = reader.number(4);
  if (!code || *length != first.length || *length > kPostgresMaxStartup) return 0;
  if (*code == kPostgresTls || *code == kPostgresGss) return *length == 8 ? *code : 0;
  if (*code == kPostgresCancel) return *length >= 16 ? *code : 0;
  const bool startup = *code >> 16 == 3 && (*code & 0xffff) < 100 && *length > 9;
  return startup && (first.bytes.size() < first.length || first.bytes.back() == 0) ? *code : 0;
}

bool is_postgres_tls(const FirstPayload& first) {
  return first.from_client && postgres_code(first) == kPostgresTls;
}

// Authentication requests, NegotiateProtocolVersion and errors.
bool is_postgres_answer(const FirstPayload& first) {
  WireReader reader(first.bytes);
  const auto type = reader.number(1), length = reader.number(4);
  if (!length || *length < 8 || *length > kPostgresMaxStartup) return false;
  if (*type == 'R') return reader.number(4).value_or(UINT32_MAX) <= 12 && first.length >= *length + size_t{1};
  return *type == 'E' && reader.number(1) == uint32_t{'S'};
}

bool is_postgres(const FirstPayload& first) {
  return first.from_client ? postgres_code(first) != 0 : is_postgres_answer(first);
}

// MySQL's documentation, "Protocol::Packet": length (little endian) and number before each.
bool mysql_packet(const FirstPayload& first, uint8_t number, Bytes* body) {
  if (first.bytes.size() < 5 || first.bytes[3] != number) return false;
  const size_t length = first.bytes[0] | first.bytes[1] << 8 | first.bytes[2] << 16;
  *body = first.bytes.subspan(4);
  return length + 4 == first.length;
}

// HandshakeV10: 10, then the version as text; or an error of a number from 1000 on, instead of it.
bool is_mysql_greeting(Bytes body) {
  if (body[0] == 0xff && body.size() > 3) {
    const int error = body[1] | body[2] << 8;
    return error >= 1000 && error < 5000;
  }
  const auto end = std::find(body.begin(), body.end(), 0);
  return body[0] == 10 && body.size() > 20 && end != body.end() && end - body.begin() > 3 &&
         std::all_of(body.begin() + 1, end, [](uint8_t c) { return c >= ' ' && c < 127; });
}

// HandshakeResponse41 and SSLRequest: capabilities, largest packet, character set, zeros.
bool is_mysql_response(Bytes body) {
  constexpr uint8_t kProtocol41 = 0x02;  // of the second byte
  return body.size() >= 32 && (body[1] & kProtocol41) &&
         std::all_of(body.begin() + 9, body.begin() + 28, [](uint8_t c) { return c == 0; });
}

bool is_mysql(const FirstPayload& first) {
  Bytes body;
  if (first.from_client) return mysql_packet(first, 1, &body) && is_mysql_response(body);
  return mysql_packet(first, 0, &body) && is_mysql_greeting(body);
}

// "<sign><digits>\r\n" at the front, which is taken off.
bool take_redis_length(string_view* text, char sign) {
  const size_t end = text->find("\r\n");
  if (end == string_view::npos || end < 2 || end > 8 || text->front() != sign) return false;
  if (!std::all_of(text->begin() + 1, text->begin() + static_cast<ptrdiff_t>(end), is_digit)) return false;
  text->remove_prefix(end + 2);
  return true;
}

// Redis' documentation, "RESP": a command is an array of strings.
bool is_redis(const FirstPayload& first) {
  string_view text = text_of(first.bytes);
  if (first.from_client) return take_redis_length(&text, '*') && take_redis_length(&text, '$');
  return text == "+PONG\r\n" || text.starts_with("-NOAUTH ") || text.starts_with("-DENIED Redis");
}

// Kafka's documentation, "Protocol": size, key and version of the request, a number, the client's id.
bool is_kafka(const FirstPayload& first) {
  constexpr uint32_t kLastKey = 120, kLastVersion = 30, kLastNumber = 0xffff, kMaxId = 255;
  constexpr uint32_t kNoId = 0xffff;
  WireReader reader(first.bytes);
  const auto size = reader.number(4), key = reader.number(2), version = reader.number(2),
             number = reader.number(4), id = reader.number(2);
  if (!first.from_client || !id || *size + size_t{4} != first.length) return false;
  if (*key > kLastKey || *version > kLastVersion || *number > kLastNumber) return false;
  if (*id == kNoId) return true;
  const auto name = reader.take(*id);
  return *id <= kMaxId && name &&
         std::all_of(name->begin(), name->end(), [](uint8_t c) { return c >= ' ' && c < 127; });
}

// RFC 9000, section 17.2, and RFC 9369, section 3: a long header of type Initial.
bool is_quic(const FirstPayload& first) {
  constexpr uint32_t kVersion1 = 1, kVersion2 = 0x6b3343cf;
  constexpr size_t kMaxConnectionId = 20, kMinDatagram = 1200;
  WireReader reader(first.bytes);
  const auto head = reader.number(1), version = reader.number(4);
  if (!version || (*head & 0xc0) != 0xc0 || (*version != kVersion1 && *version != kVersion2)) return false;
  if ((*head >> 4 & 3) != (*version == kVersion1 ? 0U : 1U)) return false;
  const auto destination = reader.counted(1), source = reader.counted(1);
  if (!destination || !source || destination->size() > kMaxConnectionId || source->size() > kMaxConnectionId)
    return false;
  // RFC 9000, section 14.1.
  return !first.from_client || first.length >= kMinDatagram;
}

// RFC 1035, section 4.1.1: one question and, from the client, no error and nothing that answers.
bool is_dns(const FirstPayload& first) {
  if (first.server_port != kDnsPort) return false;
  WireReader reader(first.bytes);
  if (first.protocol == IPPROTO_TCP && !reader.skip(2)) return false;
  const auto id = reader.number(2), flags = reader.number(2), questions = reader.number(2);
  if (!id || !flags || questions != 1U) return false;
  const bool answer = *flags & 0x8000;
  return answer == !first.from_client && (*flags & 0x7800) == 0;
}

struct Protocol {
  v1::Payload payload;
  uint8_t transport;
  Recognise recognise;
};

// The sharpest first.
constexpr std::array kProtocols = {
    Protocol{v1::PAYLOAD_DNS, IPPROTO_UDP, is_dns},
    Protocol{v1::PAYLOAD_QUIC, IPPROTO_UDP, is_quic},
    Protocol{v1::PAYLOAD_HTTP2, IPPROTO_TCP, is_http2},
    Protocol{v1::PAYLOAD_HTTP1, IPPROTO_TCP, is_http1},
    Protocol{v1::PAYLOAD_SSH, IPPROTO_TCP, is_ssh},
    Protocol{v1::PAYLOAD_POSTGRES_TLS, IPPROTO_TCP, is_postgres_tls},
    Protocol{v1::PAYLOAD_POSTGRES, IPPROTO_TCP, is_postgres},
    Protocol{v1::PAYLOAD_MYSQL, IPPROTO_TCP, is_mysql},
    Protocol{v1::PAYLOAD_REDIS, IPPROTO_TCP, is_redis},
    Protocol{v1::PAYLOAD_DNS, IPPROTO_TCP, is_dns},
    Protocol{v1::PAYLOAD_KAFKA, IPPROTO_TCP, is_kafka},
};

int sharpness(const PayloadKind& kind) {
  return std::min<int>(kind.payload, v1::PAYLOAD_TLS);
}

PayloadKind tls_kind(TlsHello hello) {
  return {.payload = v1::PAYLOAD_TLS,
          .tls_version = hello.version,
          .agreed = hello.server && hello.version != 0,
          .server_name = std::move(hello.server_name)};
}

}  // namespace

PayloadKind classify(const FirstPayload& first) {
  PayloadKind kind = {.payload = v1::PAYLOAD_UNKNOWN};
  if (first.protocol == IPPROTO_TCP) {
    auto hello = read_tls_hello(first.bytes);
    if (hello && hello->server != first.from_client) return tls_kind(std::move(*hello));
    kind.tls_refused = !first.from_client && text_of(first.bytes) == "N" && first.length == 1;
  }
  for (const Protocol& protocol : kProtocols) {
    if (protocol.transport != first.protocol || !protocol.recognise(first)) continue;
    kind.payload = protocol.payload;
    break;
  }
  return kind;
}

PayloadKind sharper(PayloadKind before, PayloadKind later) {
  if (before.payload == v1::PAYLOAD_POSTGRES_TLS && later.tls_refused)
    return {.payload = v1::PAYLOAD_POSTGRES};
  if (sharpness(later) < sharpness(before)) return before;
  if (before.payload == v1::PAYLOAD_TLS && later.payload == v1::PAYLOAD_TLS) {
    if (later.server_name.empty()) later.server_name = std::move(before.server_name);
    if (before.tls_version && (before.agreed || !later.tls_version)) {
      later.tls_version = before.tls_version;
      later.agreed = before.agreed;
    }
  }
  return later;
}

}  // namespace cellwall
