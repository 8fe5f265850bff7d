// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "result.h"

namespace cellwall {

// A file that is replaced as a whole: a reader sees the old content or the new one.
class StateFile {
 public:
  explicit StateFile(std::string path) : path_(std::move(path)) {}
  Result<std::string> load() const;                     // empty: there is none
  Result<void> save(const std::string& content) const;  // on disk when it returns
  Result<void> remove() const;                          // also when there is none

 private:
  std::string path_;
};

}  // namespace cellwall
