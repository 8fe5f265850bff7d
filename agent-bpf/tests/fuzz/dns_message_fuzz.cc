// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as an answer of a name server. Names have the form that agent.proto promises, all is bounded, and
// each address is one that a plain second reader of the message finds under the name that was asked for.
#include <algorithm>
#include <set>

#include "check.h"
#include "dns_message.h"

namespace {

using namespace cellwall;

// Letters, digits, "_", "-", dots between labels, and \ddd for the rest.
bool is_name(const std::string& name) {
  for (size_t i = 0; i < name.size(); i++) {
    const char c = name[i];
    if (c == '\\') {
      if (i + 3 >= name.size()) return false;
      int value = 0;
      for (const char digit : {name[i + 1], name[i + 2], name[i + 3]}) {
        if (digit < '0' || digit > '9') return false;
        value = value * 10 + digit - '0';
      }
      if (value > 255) return false;
      i += 3;
    } else if (c == '.') {
      if (i == 0 || i + 1 == name.size() || name[i + 1] == '.') return false;
    } else if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-') {
      return false;
    }
  }
  return name.size() <= size_t{4} * 255;
}

// Labels as they are, in lower case; what is wrong gives some name. Called only for what was accepted.
std::string plain_name(Bytes message, size_t* at) {
  std::string name;
  size_t place = *at, end = 0;
  for (int step = 0; step < 400 && place < message.size(); step++) {
    const size_t length = message[place];
    if (length >= 0xc0) {
      if (!end) end = place + 2;
      place = place + 1 < message.size() ? (length & 0x3f) << 8 | message[place + 1] : message.size();
      continue;
    }
    place++;
    if (length == 0) break;
    for (size_t i = 0; i < length && place < message.size(); i++, place++)
      name.push_back(static_cast<char>(message[place] >= 'A' && message[place] <= 'Z' ? message[place] + 32
                                                                                      : message[place]));
    name.push_back('\0');  // no label ends where another begins
    name.push_back('/');
  }
  *at = end ? end : place;
  return name;
}

size_t word(Bytes message, size_t at) {
  return at + 1 < message.size() ? message[at] << 8 | message[at + 1] : 0;
}

struct PlainRecord {
  std::string owner, target;
  size_t type;
  Bytes data;
};

std::vector<PlainRecord> plain_records(Bytes message, size_t at) {
  std::vector<PlainRecord> records;
  for (size_t i = word(message, 6); i > 0 && at < message.size(); i--) {
    PlainRecord record;
    record.owner = plain_name(message, &at);
    const size_t length = word(message, at + 8), data = at + 10;
    if (data + length > message.size()) break;
    record.type = word(message, at + 2) == 1 ? word(message, at) : 0;
    record.data = message.subspan(data, length);
    size_t target = data;
    if (record.type == kDnsCname) record.target = plain_name(message, &target);
    at = data + length;
    records.push_back(record);
  }
  return records;
}

// Of the question's name, and of whatever any alias leads to.
std::set<Address> plain_addresses(Bytes message, uint16_t type) {
  size_t at = 12;
  std::set<std::string> names = {plain_name(message, &at)};
  const auto records = plain_records(message, at + 4);
  for (size_t before = 0; before != names.size();) {
    before = names.size();
    for (const auto& record : records) {
      if (record.type == kDnsCname && names.contains(record.owner)) names.insert(record.target);
    }
  }
  std::set<Address> addresses;
  for (const auto& record : records) {
    if (!names.contains(record.owner) || (record.type != type && type != kDnsAny)) continue;
    if (record.type != kDnsA && record.type != kDnsAaaa) continue;
    if (record.data.size() != (record.type == kDnsA ? 4U : 16U)) continue;
    Address address = {};
    if (record.data.size() == 4) address[10] = address[11] = 0xff;
    std::copy(record.data.begin(), record.data.end(), address.end() - static_cast<long>(record.data.size()));
    addresses.insert(address);
  }
  return addresses;
}

void check(const DnsAnswer& answer) {
  must(is_name(answer.name), "the name is one");
  must(answer.aliases.size() <= kMaxDnsAliases, "aliases are bounded");
  for (const std::string& alias : answer.aliases) must(is_name(alias), "aliases are names");
  must(answer.addresses.size() <= kMaxDnsAddresses, "addresses are bounded");
  must(answer.addresses.empty() || answer.answered, "who has addresses is answered");
  must(answer.code < 16 && answer.ttl <= INT32_MAX, "code and time are within their ranges");
}

void check_message(Bytes message) {
  const auto answer = read_dns_answer(message);
  if (!answer) return;
  check(*answer);
  const auto expected = plain_addresses(message, answer->type);
  for (const Address& address : answer->addresses)
    must(expected.contains(address), "an address belongs to the name that was asked for");
}

void check_segment(Bytes segment) {
  const DnsSegment read = read_dns_segment(segment);
  must(read.answers.size() + read.unreadable <= segment.size() / 2 + 1, "messages are not more than bytes");
  must(segment.empty() || read.answers.size() + read.unreadable > 0, "nothing goes by uncounted");
  for (const DnsAnswer& answer : read.answers) check(answer);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  check_message({data, size});
  check_segment({data, size});
  return 0;
}
