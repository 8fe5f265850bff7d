// SPDX-License-Identifier: Apache-2.0
#include "identity_file.h"

#include <array>
#include <utility>

namespace cellwall {
namespace {

using Part = std::pair<const char*, std::string Identity::*>;
// PEM allows text between its blocks: each part follows a line with its name.
constexpr std::array<Part, 5> kParts = {{{"Join-Token: ", &Identity::join_token},
                                         {"Store: ", &Identity::store},
                                         {"Key:\n", &Identity::key},
                                         {"Certificate:\n", &Identity::chain},
                                         {"Authorities:\n", &Identity::authorities}}};

}  // namespace

std::string write_identity(const Identity& identity) {
  std::string text;
  for (const auto& [name, part] : kParts) text += name + identity.*part + "\n";
  return text;
}

Identity read_identity(const std::string& text) {
  Identity identity;
  size_t begin = 0;
  for (size_t i = 0; i < kParts.size(); i++) {
    const auto& [name, part] = kParts[i];
    const size_t at = text.find(name, begin);
    if (at == std::string::npos) return {};
    begin = at + std::string(name).size();
    const size_t end =
        i + 1 < kParts.size() ? text.find(std::string("\n") + kParts[i + 1].first, begin) : text.size() - 1;
    if (end == std::string::npos || end < begin) return {};
    identity.*part = text.substr(begin, end - begin);
  }
  return identity;
}

}  // namespace cellwall
