// SPDX-License-Identifier: Apache-2.0
//
// Who this agent is, in one file of the state directory that is replaced as a whole and that only root reads.
#pragma once

#include <string>

#include "result.h"
#include "state_file.h"

namespace cellwall {

struct Identity {
  std::string join_token;   // id of the one that it was enrolled with; empty: none
  std::string store;        // of the server that it was enrolled with
  std::string key;          // PEM
  std::string chain;        // PEM: the certificate, then that of its authority; empty: not enrolled yet
  std::string authorities;  // PEM: whom the server has to be signed by
};

std::string write_identity(const Identity& identity);
// What is missing is empty.
Identity read_identity(const std::string& text);

}  // namespace cellwall
