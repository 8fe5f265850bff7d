// SPDX-License-Identifier: Apache-2.0
//
// Owners of what libbpf hands out as plain pointers.
#pragma once

#include <bpf/libbpf.h>

#include <memory>

namespace cellwall {

struct LinkDeleter {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
using LinkOwner = std::unique_ptr<bpf_link, LinkDeleter>;

struct RingBufferDeleter {
  void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
};
using RingBufferOwner = std::unique_ptr<ring_buffer, RingBufferDeleter>;

}  // namespace cellwall
