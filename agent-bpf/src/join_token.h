// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "result.h"

namespace cellwall {

// cellwall-join.ID.SECRET.HASH, as the server prints it.
struct JoinToken {
  std::string text;
  std::string id;
  std::string key_hash;  // SHA-256 of the public key of the server's authority, in hex
};

Result<JoinToken> parse_join_token(const std::string& text);

}  // namespace cellwall
