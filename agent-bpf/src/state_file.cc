// SPDX-License-Identifier: Apache-2.0
#include "state_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "kernel_pins.h"

namespace cellwall {

Result<std::string> StateFile::load() const {
  std::ifstream file(path_, std::ios::binary);
  if (!file) return errno == ENOENT ? Result<std::string>("") : fail_errno("read " + path_);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Result<void> StateFile::save(const std::string& content) const {
  const std::string next = path_ + ".new";
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), error);
  Fd file(open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) return fail_errno("write " + next);
  size_t written = 0;
  while (written < content.size()) {
    const ssize_t count = write(file.get(), content.data() + written, content.size() - written);
    if (count < 0) return fail_errno("write " + next);
    written += static_cast<size_t>(count);
  }
  if (fsync(file.get()) != 0) return fail_errno("write " + next + " to disk");
  if (rename(next.c_str(), path_.c_str()) != 0) return fail_errno("replace " + path_);
  return {};
}

Result<void> StateFile::remove() const {
  if (unlink(path_.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + path_);
  return {};
}

}  // namespace cellwall
