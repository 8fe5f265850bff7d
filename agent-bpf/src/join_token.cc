// SPDX-License-Identifier: Apache-2.0
#include "join_token.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace cellwall {
namespace {

constexpr char kPrefix[] = "cellwall-join";
constexpr size_t kHashDigits = 64;

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace

Result<JoinToken> parse_join_token(const std::string& given) {
  const std::string text = trimmed(given);
  std::array<std::string, 4> parts;
  size_t begin = 0, count = 0;
  for (; count < parts.size(); count++) {
    const size_t end = text.find('.', begin);
    parts[count] = text.substr(begin, end == std::string::npos ? end : end - begin);
    if (end == std::string::npos) break;
    begin = end + 1;
  }
  const auto is_hex = [](unsigned char c) { return std::isdigit(c) || (c >= 'a' && c <= 'f'); };
  if (count != parts.size() - 1 || parts[0] != kPrefix || parts[1].empty() || parts[2].empty() ||
      parts[3].size() != kHashDigits || !std::ranges::all_of(parts[3], is_hex))
    return fail("holds no join token: it looks like cellwall-join.ID.SECRET.HASH");
  return JoinToken{.text = text, .id = parts[1], .key_hash = parts[3]};
}

}  // namespace cellwall
