// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "ring.h"

namespace cellwall::test {

// A file in memory with the layout of the kernel's ring buffer, and the kernel's side of it. Stands in for
// the kernel, so that agents can die and servers vanish a thousand times a second.
class FakeRing {
 public:
  explicit FakeRing(size_t bytes) : bytes_(bytes), page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
    fd_ = memfd_create("ring", 0);
    if (ftruncate(fd_, static_cast<off_t>(2 * page_ + 2 * bytes_)) != 0) std::abort();
    memory_ =
        static_cast<char*>(mmap(nullptr, 2 * page_ + 2 * bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0));
  }
  ~FakeRing() {
    munmap(memory_, 2 * page_ + 2 * bytes_);
    close(fd_);
  }

  // False: there is no room, as the kernel then counts.
  bool produce(const cw_event& event) {
    const uint64_t produced = position(memory_ + page_);
    if (produced + kRecord - position(memory_) > bytes_) return false;
    char record[kRecord] = {};
    const uint32_t length = sizeof(event);
    std::memcpy(record, &length, sizeof(length));
    std::memcpy(record + 8, &event, sizeof(event));
    // Both copies, which are one in the kernel.
    for (size_t i = 0; i < kRecord; i++) {
      const size_t at = (produced + i) & (bytes_ - 1);
      memory_[2 * page_ + at] = memory_[2 * page_ + bytes_ + at] = record[i];
    }
    std::atomic_ref(*reinterpret_cast<uint64_t*>(memory_ + page_)).store(produced + kRecord);
    return true;
  }

  RingReader reader() const { return std::move(*RingReader::map(fd_, bytes_)); }

 private:
  static constexpr size_t kRecord = sizeof(cw_event) + 8;
  static uint64_t position(const char* word) {
    uint64_t value;
    std::memcpy(&value, word, sizeof(value));
    return value;
  }

  size_t bytes_;
  size_t page_;
  int fd_;
  char* memory_;
};

}  // namespace cellwall::test
