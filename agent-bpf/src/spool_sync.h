// SPDX-License-Identifier: Apache-2.0
//
// Has what was written to the spool written to the disk, each second, on a thread of its own that begins with
// the first write. So a power cut takes what was written in the last second or two, and a killed agent
// nothing.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fd.h"

namespace cellwall {

class SpoolSync {
 public:
  explicit SpoolSync(std::string directory) : directory_(std::move(directory)) {}
  ~SpoolSync();

  void written(const std::shared_ptr<Fd>& file);
  void flush();  // now, on the caller's thread
  // Why the last try has failed; empty: it has not.
  std::string trouble() const;

 private:
  using Files = std::vector<std::shared_ptr<Fd>>;
  void run();
  void sync(const Files& files);

  const std::string directory_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Files dirty_;
  std::string trouble_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace cellwall
