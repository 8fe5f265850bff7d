// SPDX-License-Identifier: Apache-2.0
#include "ring.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <utility>

namespace cellwall {
namespace {

// include/uapi/linux/bpf.h: BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_HDR_SZ. Every record of ours has the same size.
constexpr uint32_t kBusy = 1U << 31;
constexpr size_t kHeader = 8;
constexpr size_t kRecord = kHeader + (sizeof(cw_event) + 7) / 8 * 8;

uint64_t load(const void* word) {
  return std::atomic_ref(*static_cast<uint64_t*>(const_cast<void*>(word))).load(std::memory_order_acquire);
}

}  // namespace

Result<RingReader> RingReader::map(int map_fd, size_t ring_bytes) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  RingReader ring;
  ring.ring_bytes_ = ring_bytes;
  void* consumer = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
  if (consumer == MAP_FAILED) return fail_errno("map the consumer page of the event ring");
  ring.consumer_page_ = consumer;
  // Position page and the data twice in a row, so that a record over the end is in one piece.
  ring.mapped_bytes_ = page + 2 * ring_bytes;
  void* producer = mmap(nullptr, ring.mapped_bytes_, PROT_READ, MAP_SHARED, map_fd, static_cast<off_t>(page));
  if (producer == MAP_FAILED) return fail_errno("map the data pages of the event ring");
  ring.producer_pages_ = producer;
  ring.position_ = load(consumer);
  return ring;
}

RingReader::RingReader(RingReader&& other) noexcept {
  *this = std::move(other);
}

RingReader& RingReader::operator=(RingReader&& other) noexcept {
  std::swap(ring_bytes_, other.ring_bytes_);
  std::swap(mapped_bytes_, other.mapped_bytes_);
  std::swap(position_, other.position_);
  std::swap(published_, other.published_);
  std::swap(consumer_page_, other.consumer_page_);
  std::swap(producer_pages_, other.producer_pages_);
  return *this;
}

RingReader::~RingReader() {
  if (consumer_page_) munmap(consumer_page_, static_cast<size_t>(sysconf(_SC_PAGESIZE)));
  if (producer_pages_) munmap(producer_pages_, mapped_bytes_);
}

size_t RingReader::read(size_t limit, const std::function<void(const cw_event&, uint64_t index)>& each) {
  const char* data = static_cast<const char*>(producer_pages_) + sysconf(_SC_PAGESIZE);
  const uint64_t produced = load(producer_pages_);
  size_t count = 0;
  while (count < limit && position_ < produced) {
    const char* record = data + (position_ & (ring_bytes_ - 1));
    const uint32_t header = std::atomic_ref(*reinterpret_cast<uint32_t*>(const_cast<char*>(record)))
                                .load(std::memory_order_acquire);
    if (header & kBusy) break;  // reserved, not submitted yet
    const uint64_t index = next_index();
    position_ += kRecord;
    each(*reinterpret_cast<const cw_event*>(record + kHeader), index);
    count++;
  }
  if (published_) std::atomic_ref(*published_).store(position_, std::memory_order_relaxed);
  return count;
}

const cw_event* RingReader::peek() const {
  if (position_ >= load(producer_pages_)) return nullptr;
  const char* record =
      static_cast<const char*>(producer_pages_) + sysconf(_SC_PAGESIZE) + (position_ & (ring_bytes_ - 1));
  const uint32_t header = std::atomic_ref(*reinterpret_cast<uint32_t*>(const_cast<char*>(record)))
                              .load(std::memory_order_acquire);
  return header & kBusy ? nullptr : reinterpret_cast<const cw_event*>(record + kHeader);
}

uint64_t RingReader::next_index() const {
  return position_ / kRecord + 1;
}

uint64_t RingReader::newest_index() const {
  return load(producer_pages_) / kRecord;
}

uint64_t RingReader::released_index() const {
  return load(consumer_page_) / kRecord;
}

void RingReader::release(uint64_t index) {
  if (index >= next_index()) index = next_index() - 1;
  if (index <= released_index()) return;
  std::atomic_ref(*static_cast<uint64_t*>(consumer_page_)).store(index * kRecord, std::memory_order_release);
}

void RingReader::rewind() {
  position_ = load(consumer_page_);
}

void RingReader::publish_to(uint64_t* position) {
  published_ = position;
}

size_t RingReader::used_bytes() const {
  return load(producer_pages_) - load(consumer_page_);
}

}  // namespace cellwall
