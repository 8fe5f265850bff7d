// SPDX-License-Identifier: Apache-2.0
#include "spool_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "directories.h"

namespace cellwall {
namespace {

constexpr std::string_view kSuffix = ".spool";
constexpr std::string_view kNewSuffix = ".spool.new";
constexpr size_t kDigits = 10;

bool number_in(const std::string& name, uint64_t* number) {
  if (name.size() != kDigits + kSuffix.size() || !name.ends_with(kSuffix)) return false;
  const auto [end, error] = std::from_chars(name.data(), name.data() + kDigits, *number);
  return error == std::errc() && end == name.data() + kDigits && *number > 0;
}

}  // namespace

Result<void> write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return fail_errno("write " + path);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

Result<SpoolFiles> SpoolFiles::open(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return fail("make the directory " + directory + ": " + error.message());
  std::filesystem::permissions(directory, std::filesystem::perms::owner_all, error);
  if (access(directory.c_str(), W_OK) != 0) return fail_errno("write to the directory " + directory);
  for (const auto& entry : entries_of(directory)) {
    if (entry.path().string().ends_with(kNewSuffix)) unlink(entry.path().c_str());
  }
  return SpoolFiles(directory);
}

std::string SpoolFiles::path(uint64_t number) const {
  const std::string digits = std::to_string(number);
  return directory_ + "/" + std::string(kDigits - std::min(digits.size(), kDigits), '0') + digits +
         std::string(kSuffix);
}

std::vector<uint64_t> SpoolFiles::list() const {
  std::vector<uint64_t> numbers;
  for (const auto& entry : entries_of(directory_)) {
    uint64_t number = 0;
    std::error_code error;
    if (number_in(entry.path().filename().string(), &number) && entry.is_regular_file(error))
      numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

Result<std::shared_ptr<Fd>> SpoolFiles::create(uint64_t number) const {
  auto file = std::make_shared<Fd>(
      ::open(path(number).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  if (!*file) return fail_errno("make " + path(number));
  if (auto ok = write_all(file->get(), kSpoolMark, path(number)); !ok) {
    unlink(path(number).c_str());
    return std::unexpected(ok.error());
  }
  return file;
}

Result<void> SpoolFiles::replace(uint64_t number, std::string_view contents) const {
  const std::string next = directory_ + "/" + std::to_string(number) + std::string(kNewSuffix);
  Fd file(::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) return fail_errno("make " + next);
  auto ok = write_all(file.get(), contents, next);
  if (ok && fdatasync(file.get()) != 0) ok = fail_errno("write " + next + " to disk");
  if (ok && rename(next.c_str(), path(number).c_str()) != 0) ok = fail_errno("replace " + path(number));
  if (!ok) unlink(next.c_str());
  return ok;
}

void SpoolFiles::remove(uint64_t number) const {
  unlink(path(number).c_str());
}

SpoolScanner::Read SpoolFiles::reader(uint64_t number) const {
  auto file = std::make_shared<Fd>(::open(path(number).c_str(), O_RDONLY | O_CLOEXEC));
  return [file](uint64_t offset, char* out, size_t bytes) -> size_t {
    size_t done = 0;
    while (done < bytes) {
      const ssize_t count = pread(file->get(), out + done, bytes - done, static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      done += static_cast<size_t>(count);
    }
    return done;
  };
}

uint64_t SpoolFiles::bytes(uint64_t number) const {
  struct stat status = {};
  return stat(path(number).c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

Result<void> SpoolFiles::cut(uint64_t number, uint64_t bytes) const {
  if (truncate(path(number).c_str(), static_cast<off_t>(bytes)) != 0)
    return fail_errno("cut " + path(number));
  return {};
}

}  // namespace cellwall
