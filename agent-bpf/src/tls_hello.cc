// SPDX-License-Identifier: Apache-2.0
#include "tls_hello.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace cellwall {
namespace {

// RFC 8446, section 5.1 and appendix B.
constexpr uint32_t kAlert = 0x15;
constexpr uint32_t kHandshake = 0x16;
constexpr uint32_t kClientHello = 1;
constexpr uint32_t kServerHello = 2;
constexpr uint32_t kMajor = 3;
constexpr uint32_t kLastMinor = 4;
constexpr uint32_t kMaxRecord = (1 << 14) + 2048;
constexpr size_t kRandomBytes = 32;
constexpr uint32_t kServerName = 0;          // RFC 6066, section 3
constexpr uint32_t kSupportedVersions = 43;  // RFC 8446, section 4.2.1
constexpr uint16_t kSsl3 = 0x0300;
constexpr uint16_t kTls13 = 0x0304;
constexpr size_t kMaxHostName = 253;
constexpr size_t kMaxLabel = 63;

bool is_label_byte(uint8_t byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// A last label of digits makes an IPv4 address of it.
bool are_labels(std::string_view name) {
  size_t start = 0;
  for (;;) {
    const size_t dot = std::min(name.find('.', start), name.size());
    const std::string_view label = name.substr(start, dot - start);
    if (label.empty() || label.size() > kMaxLabel) return false;
    if (dot == name.size()) return !std::all_of(label.begin(), label.end(), is_digit);
    start = dot + 1;
  }
}

// A message of the handshake can be spread over records.
std::optional<std::vector<uint8_t>> join_records(WireReader reader) {
  std::vector<uint8_t> joined;
  while (reader.left() > 0) {
    const auto type = reader.number(1), major = reader.number(1), minor = reader.number(1);
    WireReader length = reader;
    const auto bytes = length.number(2);
    const bool good = type == kHandshake && (!major || major == kMajor) && (!minor || *minor <= kLastMinor) &&
                      (!bytes || (*bytes > 0 && *bytes <= kMaxRecord));
    if (!good && joined.empty()) return std::nullopt;
    const auto part = reader.counted_or_cut(2);
    if (!good || !part) break;
    joined.insert(joined.end(), part->begin(), part->end());
  }
  return joined;
}

// GREASE (RFC 8701) and drafts are no versions.
bool is_version(uint32_t value) {
  return value >= kSsl3 && value <= kTls13;
}

void read_versions(WireReader data, TlsHello* hello) {
  if (hello->server) {
    const auto chosen = data.number(2);
    if (chosen && is_version(*chosen)) hello->version = static_cast<uint16_t>(*chosen);
    return;
  }
  const auto list = data.counted_or_cut(1);
  if (!list) return;
  uint32_t highest = 0;
  WireReader versions(*list);
  while (const auto version = versions.number(2)) {
    if (is_version(*version)) highest = std::max(highest, *version);
  }
  if (highest) hello->version = static_cast<uint16_t>(highest);
}

void read_server_name(WireReader data, TlsHello* hello) {
  const auto list = data.counted(2);
  if (!list) return;
  WireReader names(*list);
  const auto type = names.number(1);
  const auto name = names.counted(2);
  if (name && *type == 0) hello->server_name = host_name_of(*name);
}

void read_extensions(WireReader reader, TlsHello* hello) {
  const auto all = reader.counted_or_cut(2);
  if (!all) return;
  WireReader extensions(*all);
  for (;;) {
    const auto type = extensions.number(2);
    const auto data = extensions.counted(2);
    if (!type || !data) return;
    if (*type == kSupportedVersions) read_versions(WireReader(*data), hello);
    if (*type == kServerName && !hello->server) read_server_name(WireReader(*data), hello);
  }
}

// RFC 8446, sections 4.1.2 and 4.1.3; without extensions as in RFC 5246.
void read_body(WireReader body, TlsHello* hello) {
  const auto legacy = body.number(2);
  if (!legacy) return;
  if (is_version(*legacy)) hello->version = static_cast<uint16_t>(*legacy);
  if (!body.skip(kRandomBytes) || !body.counted(1)) return;
  if (hello->server ? !body.skip(3) : (!body.counted(2) || !body.counted(1))) return;
  read_extensions(body, hello);
}

// RFC 8446, section 6: how a server says at once that it does not want to.
bool is_alert(WireReader reader) {
  const auto type = reader.number(1), major = reader.number(1), minor = reader.number(1),
             length = reader.number(2);
  return length && *type == kAlert && *major == kMajor && *minor <= kLastMinor && *length == 2;
}

}  // namespace

std::string host_name_of(Bytes bytes) {
  std::string name;
  if (bytes.empty()) return name;
  if (bytes.back() == '.') bytes = bytes.first(bytes.size() - 1);
  if (bytes.size() > kMaxHostName) return name;
  for (uint8_t byte : bytes) {
    if (byte >= 'A' && byte <= 'Z') byte = static_cast<uint8_t>(byte - 'A' + 'a');
    if (byte != '.' && !is_label_byte(byte)) return "";
    name.push_back(static_cast<char>(byte));
  }
  return are_labels(name) ? name : "";
}

std::optional<TlsHello> read_tls_hello(Bytes bytes) {
  if (is_alert(WireReader(bytes))) return TlsHello{.server = true};
  // Fewer bytes than the head of a record could be anything.
  if (bytes.size() < 6) return std::nullopt;
  const auto joined = join_records(WireReader(bytes));
  if (!joined || joined->empty()) return std::nullopt;
  WireReader reader(*joined);
  const auto type = reader.number(1);
  if (*type != kClientHello && *type != kServerHello) return std::nullopt;
  TlsHello hello = {.server = *type == kServerHello};
  if (const auto body = reader.counted_or_cut(3)) read_body(WireReader(*body), &hello);
  return hello;
}

}  // namespace cellwall
