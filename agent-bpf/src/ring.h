// SPDX-License-Identifier: Apache-2.0
//
// Reader of the event ring (BPF_MAP_TYPE_RINGBUF, kernel/bpf/ringbuf.c). libbpf's reader gives space back as
// soon as the callback returns; this one gives it back when it is told to, after the server has committed the
// events. So an agent that is killed finds what it had not delivered still in the ring.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "cellwall/events.h"
#include "result.h"

namespace cellwall {

class RingReader {
 public:
  // map_fd must stay open as long as the reader lives. ring_bytes: max_entries of the map.
  static Result<RingReader> map(int map_fd, size_t ring_bytes);
  RingReader(RingReader&&) noexcept;
  RingReader& operator=(RingReader&&) noexcept;
  ~RingReader();

  // Calls each(event, index) for events that were not read yet, at most limit; returns how many.
  // The event's memory is valid until release() passes its index.
  size_t read(size_t limit, const std::function<void(const cw_event&, uint64_t index)>& each);
  const cw_event* peek() const;     // what read() would give next; null: nothing
  uint64_t next_index() const;      // of the event which read() gives next; the first event ever has index 1
  uint64_t released_index() const;  // last event whose space was given back, 0: none
  uint64_t newest_index() const;    // the last event that the kernel made room for, 0: none
  // Gives the space of all events up to and with index back to the kernel; index < next_index().
  void release(uint64_t index);
  // Back to the first event that was not released: read() gives it again.
  void rewind();
  // Where to publish how far read() got (bytes since the ring was made), for the kernel to know when to wake
  // the reader.
  void publish_to(uint64_t* position);
  size_t used_bytes() const;  // not given back yet, read or not
  size_t capacity_bytes() const { return ring_bytes_; }

 private:
  RingReader() = default;
  size_t ring_bytes_ = 0;
  size_t mapped_bytes_ = 0;
  uint64_t position_ = 0;  // bytes since the ring was made
  uint64_t* published_ = nullptr;
  void* consumer_page_ = nullptr;
  void* producer_pages_ = nullptr;
};

}  // namespace cellwall
