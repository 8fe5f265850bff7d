// SPDX-License-Identifier: Apache-2.0
#include "kernel_lifecycle.h"

namespace cellwall {
namespace {

int on_lifecycle(void* context, void* data, size_t) {
  const auto& each = *static_cast<Lifecycles::Each*>(context);
  if (each) each(*static_cast<cw_lifecycle*>(data));
  return 0;
}

}  // namespace

Result<Lifecycles> Lifecycles::attach(const Programs& programs, int ring_fd) {
  Lifecycles lifecycles;
  lifecycles.each_ = std::make_unique<Each>();
  lifecycles.ring_.reset(ring_buffer__new(ring_fd, on_lifecycle, lifecycles.each_.get(), nullptr));
  if (!lifecycles.ring_) return fail_errno("map the ring of cgroup births and deaths");
  lifecycles.born_.reset(bpf_program__attach(programs.born));
  lifecycles.died_.reset(bpf_program__attach(programs.died));
  if (!lifecycles.born_ || !lifecycles.died_)
    return fail_errno("attach to the tracepoints of cgroup births and deaths");
  return lifecycles;
}

size_t Lifecycles::read(const Each& each) {
  *each_ = each;
  const int count = ring_buffer__consume(ring_.get());
  *each_ = nullptr;
  return count > 0 ? static_cast<size_t>(count) : 0;
}

}  // namespace cellwall
