// SPDX-License-Identifier: Apache-2.0
#include "dns_message.h"

#include <algorithm>

namespace cellwall {
namespace {

// RFC 1035, section 2.3.4.
constexpr size_t kMaxName = 255;
constexpr size_t kMaxLabel = 63;
// A name has at most so many labels; more pointers than that lead nowhere.
constexpr int kMaxPointers = 127;

constexpr uint16_t kFlagResponse = 0x8000;
constexpr uint16_t kFlagTruncated = 0x0200;
constexpr uint16_t kOpcodeMask = 0x7800;
constexpr uint16_t kCodeMask = 0x000f;
constexpr uint16_t kClassInternet = 1;
constexpr size_t kHeaderBytes = 12;

bool is_plain(uint8_t byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '_' || byte == '-';
}

// Names are compared without regard to ASCII case (RFC 4343), so they are kept in lower case.
void append_byte(std::string* name, uint8_t byte) {
  if (byte >= 'A' && byte <= 'Z') byte = static_cast<uint8_t>(byte - 'A' + 'a');
  if (is_plain(byte)) {
    name->push_back(static_cast<char>(byte));
    return;
  }
  name->push_back('\\');
  for (int digit : {byte / 100, byte / 10 % 10, byte % 10}) name->push_back(static_cast<char>('0' + digit));
}

// Reads a name at *at and moves *at behind it. RFC 1035, section 4.1.4: a pointer leads to an earlier place
// of the message. Holding each to a place before the one before makes loops impossible.
bool read_name(Bytes message, size_t* at, std::string* name) {
  size_t place = *at, earliest = *at, length = 1;
  bool jumped = false;
  for (int pointers = 0;;) {
    if (place >= message.size()) return false;
    const uint8_t head = message[place];
    if ((head & 0xc0) == 0xc0) {
      if (place + 1 >= message.size() || ++pointers > kMaxPointers) return false;
      const size_t target = static_cast<size_t>(head & 0x3f) << 8 | message[place + 1];
      if (target >= earliest || target < kHeaderBytes) return false;
      if (!jumped) *at = place + 2;
      jumped = true;
      place = earliest = target;
      continue;
    }
    // 01 and 10 in the upper bits are no labels (RFC 6891, section 5).
    if (head > kMaxLabel) return false;
    place++;
    if (head == 0) break;
    length += head + size_t{1};
    if (length > kMaxName || place + head > message.size()) return false;
    if (!name->empty()) name->push_back('.');
    for (const uint8_t byte : message.subspan(place, head)) append_byte(name, byte);
    place += head;
  }
  if (!jumped) *at = place;
  return true;
}

struct Record {
  std::string owner;
  uint16_t type = 0;
  uint32_t ttl = 0;
  Address address = {};
  std::string target;
};

Address address_of(Bytes data) {
  Address address = {};
  if (data.size() == 4) address[10] = address[11] = 0xff;
  std::copy(data.begin(), data.end(), address.end() - static_cast<ptrdiff_t>(data.size()));
  return address;
}

// RFC 1035, section 4.1.3. Puts what is of use into records and skips the rest. False: malformed.
bool read_record(Bytes message, size_t* at, std::vector<Record>* records) {
  Record record;
  if (!read_name(message, at, &record.owner)) return false;
  WireReader reader(message.subspan(*at));
  const auto type = reader.number(2), internet = reader.number(2), ttl = reader.number(4);
  const auto data = reader.counted(2);
  if (!type || !internet || !ttl || !data) return false;
  const size_t data_at = *at + reader.at() - data->size();
  *at += reader.at();
  if (*internet != kClassInternet) return true;
  record.type = static_cast<uint16_t>(*type);
  // RFC 2181, section 8: a TTL with the highest bit set is 0.
  record.ttl = *ttl > INT32_MAX ? 0 : *ttl;
  if (record.type == kDnsA || record.type == kDnsAaaa) {
    if (data->size() != (record.type == kDnsA ? 4U : 16U)) return false;
    record.address = address_of(*data);
  } else if (record.type == kDnsCname) {
    size_t target_at = data_at;
    if (!read_name(message, &target_at, &record.target) || target_at != *at) return false;
  }
  records->push_back(std::move(record));
  return true;
}

const Record* find_alias(const std::vector<Record>& records, const std::string& owner) {
  const auto found = std::find_if(records.begin(), records.end(), [&](const Record& record) {
    return record.type == kDnsCname && record.owner == owner;
  });
  return found == records.end() ? nullptr : &*found;
}

// RFC 1034, section 3.6.2: an alias leads on, unless aliases were asked for.
void follow_aliases(const std::vector<Record>& records, DnsAnswer* answer, uint32_t* ttl) {
  if (answer->type == kDnsCname || answer->type == kDnsAny) return;
  const std::string* owner = &answer->name;
  answer->aliases.reserve(kMaxDnsAliases);
  while (answer->aliases.size() < kMaxDnsAliases) {
    const Record* alias = find_alias(records, *owner);
    if (!alias || alias->target == answer->name) return;
    if (std::find(answer->aliases.begin(), answer->aliases.end(), alias->target) != answer->aliases.end())
      return;
    *ttl = std::min(*ttl, alias->ttl);
    owner = &answer->aliases.emplace_back(alias->target);
  }
}

bool belongs(const Record& record, const DnsAnswer& answer) {
  if (record.type != answer.type && answer.type != kDnsAny) return false;
  return record.owner == answer.name ||
         std::find(answer.aliases.begin(), answer.aliases.end(), record.owner) != answer.aliases.end();
}

void take_addresses(const std::vector<Record>& records, DnsAnswer* answer) {
  uint32_t ttl = UINT32_MAX;
  follow_aliases(records, answer, &ttl);
  for (const Record& record : records) {
    if (!belongs(record, *answer)) continue;
    answer->answered = true;
    if (record.type != kDnsA && record.type != kDnsAaaa) continue;
    if (answer->addresses.size() == kMaxDnsAddresses) break;
    answer->addresses.push_back(record.address);
    ttl = std::min(ttl, record.ttl);
  }
  if (!answer->addresses.empty()) answer->ttl = ttl;
}

}  // namespace

// RFC 1035, section 4.1. The authority and additional sections are not read: what they hold was not asked
// for.
std::optional<DnsAnswer> read_dns_answer(Bytes message) {
  WireReader header(message);
  (void)header.number(2);  // the id; the kernel matched socket and server
  const auto flags = header.number(2), questions = header.number(2), records = header.number(2);
  if (!records || !header.skip(4)) return std::nullopt;
  if (!(*flags & kFlagResponse) || (*flags & kOpcodeMask) || *questions != 1) return std::nullopt;

  DnsAnswer answer;
  answer.code = *flags & kCodeMask;
  answer.truncated = *flags & kFlagTruncated;
  size_t at = kHeaderBytes;
  if (!read_name(message, &at, &answer.name)) return std::nullopt;
  WireReader question(message.subspan(at));
  const auto type = question.number(2), internet = question.number(2);
  if (!internet || *internet != kClassInternet) return std::nullopt;
  answer.type = static_cast<uint16_t>(*type);
  at += question.at();

  std::vector<Record> found;
  for (uint32_t i = 0; i < *records; i++) {
    if (read_record(message, &at, &found)) continue;
    // The count of a truncated message speaks of records that are not there (RFC 2181, section 9).
    if (!answer.truncated) return std::nullopt;
    break;
  }
  take_addresses(found, &answer);
  return answer;
}

DnsSegment read_dns_segment(Bytes segment) {
  DnsSegment result;
  WireReader reader(segment);
  while (reader.left() > 0) {
    const auto message = reader.counted(2);
    auto answer = message ? read_dns_answer(*message) : std::nullopt;
    if (answer)
      result.answers.push_back(std::move(*answer));
    else
      result.unreadable++;
    if (!message) break;
  }
  return result;
}

}  // namespace cellwall
