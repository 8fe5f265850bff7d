// SPDX-License-Identifier: Apache-2.0
//
// The segment files of a spool: their names, and how they are read and written. Files of other names are
// left alone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fd.h"
#include "result.h"
#include "spool_record.h"

namespace cellwall {

class SpoolFiles {
 public:
  // Makes the directory; removes what a rewriting that was broken off has left.
  static Result<SpoolFiles> open(const std::string& directory);

  std::vector<uint64_t> list() const;  // ascending
  Result<std::shared_ptr<Fd>> create(uint64_t number) const;
  // Puts other contents in the place of a segment; on disk when it returns.
  Result<void> replace(uint64_t number, std::string_view contents) const;
  void remove(uint64_t number) const;
  // A segment without records when it cannot be opened.
  SpoolScanner::Read reader(uint64_t number) const;
  uint64_t bytes(uint64_t number) const;
  Result<void> cut(uint64_t number, uint64_t bytes) const;
  const std::string& directory() const { return directory_; }

 private:
  explicit SpoolFiles(std::string directory) : directory_(std::move(directory)) {}
  std::string path(uint64_t number) const;

  std::string directory_;
};

// All of it, or an error; the file may have grown by a part of it then.
Result<void> write_all(int fd, std::string_view bytes, const std::string& path);

}  // namespace cellwall
