// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/mount.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "spool.h"

namespace cellwall::test {

// A directory of the test's own.
class SpoolDirectory {
 public:
  SpoolDirectory() {
    char name[] = "/tmp/cellwall-spool-XXXXXX";
    if (!mkdtemp(name)) std::abort();
    path_ = name;
  }
  ~SpoolDirectory() {
    umount2(path_.c_str(), MNT_DETACH);
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  SpoolDirectory(const SpoolDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::vector<std::string> files() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
  }
  size_t bytes() const {
    size_t sum = 0;
    for (const auto& file : files()) sum += std::filesystem::file_size(file);
    return sum;
  }

 private:
  std::string path_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void write_file(const std::string& path, const std::string& contents) {
  std::ofstream(path, std::ios::binary) << contents;
}

inline SpoolRecord record_of(uint64_t first, uint64_t events, size_t body_bytes = 100,
                             const std::string& epoch = "boot.1") {
  SpoolRecord record;
  record.first = first;
  record.last = first + events - 1;
  record.first_us = static_cast<int64_t>(first) * 1000;
  record.last_us = static_cast<int64_t>(record.last) * 1000;
  record.epoch = epoch;
  record.body.assign(body_bytes, static_cast<char>('a' + first % 26));
  return record;
}

// Leaves bodies as they are, so that room is made by dropping alone.
inline std::unique_ptr<Spool> open_spool(const SpoolDirectory& directory, size_t limit = 64 << 20) {
  auto spool = Spool::open(directory.path(), limit, [](SpoolRecord*, SpoolLevel) {});
  EXPECT_TRUE(spool) << spool.error().message;
  return std::move(*spool);
}

inline std::vector<Spooled> take_all(Spool& spool) {
  std::vector<Spooled> taken;
  while (auto spooled = spool.take()) taken.push_back(std::move(*spooled));
  return taken;
}

inline std::vector<uint64_t> firsts(const std::vector<Spooled>& taken) {
  std::vector<uint64_t> numbers;
  for (const auto& spooled : taken) numbers.push_back(spooled.record.first);
  return numbers;
}

}  // namespace cellwall::test
