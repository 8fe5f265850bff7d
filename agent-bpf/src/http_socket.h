// SPDX-License-Identifier: Apache-2.0
//
// HTTP over a Unix socket. http_socket.cc is the one file that knows the HTTP library.
#pragma once

#include <chrono>
#include <string>

#include "result.h"

namespace cellwall {

struct HttpAnswer {
  int status;
  std::string body;
};

// Errors: nobody listens, no answer within the deadline, an answer of more than 64 MiB.
Result<HttpAnswer> http_get(const std::string& socket, const std::string& path,
                            std::chrono::milliseconds deadline);

}  // namespace cellwall
