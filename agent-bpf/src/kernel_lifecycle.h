// SPDX-License-Identifier: Apache-2.0
//
// Births and deaths of cgroups, where the kernel has tracepoints for them.
#pragma once

#include <functional>
#include <memory>

#include "bpf_owners.h"
#include "cellwall/events.h"
#include "result.h"

namespace cellwall {

class Lifecycles {
 public:
  struct Programs {
    bpf_program* born;
    bpf_program* died;
  };
  using Each = std::function<void(const cw_lifecycle&)>;

  static Result<Lifecycles> attach(const Programs& programs, int ring_fd);

  int fd() const { return ring_buffer__epoll_fd(ring_.get()); }
  // Calls each for what came since the last time; returns how many.
  size_t read(const Each& each);

 private:
  std::unique_ptr<Each> each_;  // where the ring's callback finds it
  RingBufferOwner ring_;
  LinkOwner born_;
  LinkOwner died_;
};

}  // namespace cellwall
