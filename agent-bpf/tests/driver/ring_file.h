// SPDX-License-Identifier: Apache-2.0
//
// An event ring in a file, with the layout of the kernel's: it outlives the processes that read and fill it,
// as the pinned one does. Stands in for the kernel where outages, kills and overload are tried.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>

#include "ring.h"

namespace cellwall::test {

class RingFile {
 public:
  static constexpr size_t kBytes = 16 << 20;  // as --ring-bytes

  RingFile(const std::string& path, bool make) : page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
    fd_ = open(path.c_str(), O_RDWR | O_CLOEXEC | (make ? O_CREAT : 0), 0600);
    const size_t size = 2 * page_ + 2 * kBytes;
    if (fd_ < 0 || (make && ftruncate(fd_, static_cast<off_t>(size)) != 0)) return;
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (memory != MAP_FAILED) memory_ = static_cast<char*>(memory);
  }
  ~RingFile() {
    if (memory_) munmap(memory_, 2 * page_ + 2 * kBytes);
    if (fd_ >= 0) close(fd_);
  }
  RingFile(const RingFile&) = delete;
  bool good() const { return memory_ != nullptr; }

  // The kernel's side. False: there is no room.
  bool produce(const cw_event& event) {
    const uint64_t produced = produced_().load(std::memory_order_relaxed);
    if (produced + kRecord - word(0).load(std::memory_order_acquire) > kBytes) return false;
    put(produced, event);
    produced_().store(produced + kRecord, std::memory_order_release);
    return true;
  }
  // As the kernel counts what it could not put in; the file is the counter.
  std::atomic_ref<uint64_t> ring_full() const { return word(page_ + 64); }
  uint64_t newest() const { return produced_().load() / kRecord; }
  RingReader reader() const { return std::move(*RingReader::map(fd_, kBytes)); }

 private:
  static constexpr size_t kRecord = sizeof(cw_event) + 8;
  std::atomic_ref<uint64_t> word(size_t at) const {
    return std::atomic_ref(*reinterpret_cast<uint64_t*>(memory_ + at));
  }
  std::atomic_ref<uint64_t> produced_() const { return word(page_); }
  // In both copies, which are one in the kernel.
  void put(uint64_t position, const cw_event& event) {
    char record[kRecord] = {};
    const uint32_t length = sizeof(event);
    std::memcpy(record, &length, sizeof(length));
    std::memcpy(record + 8, &event, sizeof(event));
    char* data = memory_ + 2 * page_;
    for (size_t done = 0; done < kRecord;) {
      const size_t at = (position + done) & (kBytes - 1);
      const size_t bytes = std::min(kRecord - done, kBytes - at);
      std::memcpy(data + at, record + done, bytes);
      std::memcpy(data + kBytes + at, record + done, bytes);
      done += bytes;
    }
  }

  size_t page_;
  int fd_ = -1;
  char* memory_ = nullptr;
};

}  // namespace cellwall::test
