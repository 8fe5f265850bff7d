// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as an answer of a name server, for the reader in the kernel. It reads within the message, its
// name is one that rules can have, and each address stands in the message as it was found.
#include "../unit/dns_answer.h"
#include "check.h"

namespace {

using namespace cellwall::test;

// From its end, with a zero byte; cut when it is longer than a key.
bool is_turned_name(const std::string& name) {
  if (name.empty() || name.size() > CW_NAME_BYTES) return false;
  const bool cut = name.back() != '\0';
  if (cut && name.size() != CW_NAME_BYTES) return false;
  for (size_t i = 0; i + !cut < name.size(); i++) {
    const char c = name[i];
    if (c == '.' ? i == 0 || (name[i - 1] == '.') : !cw_is_name_byte(static_cast<uint8_t>(c))) return false;
  }
  return cut || (name.size() > 1 && name[name.size() - 2] != '.');
}

bool stands_in(std::span<const uint8_t> message, const cw_answer_address& found) {
  const uint8_t* address = found.address;
  const bool v4 = std::all_of(address, address + 10, [](uint8_t byte) { return byte == 0; }) &&
                  address[10] == 0xff && address[11] == 0xff;
  const auto stands = [&](size_t skipped) {
    return std::search(message.begin(), message.end(), address + skipped, address + 16) != message.end();
  };
  return stands(0) || (v4 && stands(12));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> message(data, size);
  const auto read = read_in_kernel(message);
  if (!read) return 0;
  must(is_turned_name(read->name), "the name is one");
  must(read->addresses.size() <= CW_ANSWER_ADDRESSES, "addresses are bounded");
  must(read->cut || read->addresses.size() * 15 <= size, "addresses are not more than bytes");
  for (const auto& found : read->addresses) {
    must(stands_in(message, found), "an address stands in the message");
    must(found.seconds >= CW_TTL_LEAST + CW_TTL_GRACE && found.seconds <= CW_TTL_MOST + CW_TTL_GRACE,
         "times are within their limits");
  }
  return 0;
}
