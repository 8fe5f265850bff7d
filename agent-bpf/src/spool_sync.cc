// SPDX-License-Identifier: Apache-2.0
#include "spool_sync.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

namespace cellwall {
namespace {

constexpr std::chrono::seconds kInterval{1};

}  // namespace

SpoolSync::~SpoolSync() {
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  flush();
}

void SpoolSync::written(const std::shared_ptr<Fd>& file) {
  std::unique_lock lock(mutex_);
  if (std::find(dirty_.begin(), dirty_.end(), file) != dirty_.end()) return;
  dirty_.push_back(file);
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  changed_.notify_all();
}

void SpoolSync::flush() {
  Files files;
  {
    std::unique_lock lock(mutex_);
    files = std::exchange(dirty_, {});
  }
  sync(files);
}

std::string SpoolSync::trouble() const {
  std::unique_lock lock(mutex_);
  return trouble_;
}

void SpoolSync::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    changed_.wait(lock, [this] { return stopping_ || !dirty_.empty(); });
    changed_.wait_for(lock, kInterval, [this] { return stopping_; });
    if (stopping_) return;
    const Files files = std::exchange(dirty_, {});
    lock.unlock();
    sync(files);
    lock.lock();
  }
}

void SpoolSync::sync(const Files& files) {
  if (files.empty()) return;
  std::string trouble;
  for (const auto& file : files) {
    if (fdatasync(file->get()) != 0) trouble = std::strerror(errno);
  }
  // The names of new files.
  if (const Fd directory(open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)); directory)
    fsync(directory.get());
  std::unique_lock lock(mutex_);
  trouble_ = trouble;
}

}  // namespace cellwall
