// SPDX-License-Identifier: Apache-2.0
//
// The kernel's reader of DNS answers, compiled natively.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "../../bpf/dns_answer.h"

namespace cellwall::test {

struct ReadAnswer {
  std::string name;  // as the key has it: from the end, with the zero byte
  std::vector<cw_answer_address> addresses;
  bool cut;
};

// As cw_lesson_learn does, of a scratch that is full of what came before.
inline std::optional<ReadAnswer> read_in_kernel(std::span<const uint8_t> message) {
  if (message.size() > CW_ANSWER_MOST) return std::nullopt;
  auto answer = std::make_unique<cw_answer>();
  std::memset(answer.get(), 0x41, sizeof(*answer));
  answer->length = static_cast<uint32_t>(message.size());
  std::copy(message.begin(), message.end(), answer->message);
  if (!cw_answer_question(answer.get())) return std::nullopt;
  const cw_name_key key = answer->key;
  if (!cw_answer_addresses(answer.get())) return std::nullopt;
  ReadAnswer read = {.name = {}, .addresses = {}, .cut = answer->cut != 0};
  read.name.assign(key.name, key.name + (key.prefix_length - 32) / 8);
  read.addresses.assign(answer->addresses, answer->addresses + answer->found);
  return read;
}

}  // namespace cellwall::test
