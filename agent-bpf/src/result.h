// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <cstring>
#include <expected>
#include <string>
#include <utility>

namespace cellwall {

// What failed, where, and what to do next, in one line for a person.
struct Error {
  std::string message;
};

template <typename T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(std::string message) {
  return std::unexpected(Error{std::move(message)});
}

// "<what>: <strerror(error)>"
inline std::unexpected<Error> fail_errno(const std::string& what, int error = errno) {
  return fail(what + ": " + std::strerror(error));
}

}  // namespace cellwall
