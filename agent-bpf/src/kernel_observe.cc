// SPDX-License-Identifier: Apache-2.0
#include "kernel_observe.h"

#include <fcntl.h>

#include <algorithm>

#include "fd.h"

namespace cellwall {
namespace {

int on_capture(void* context, void* data, size_t size) {
  const auto& each = *static_cast<OnCapture*>(context);
  const auto* capture = static_cast<const cw_capture*>(data);
  const auto* payload = reinterpret_cast<const uint8_t*>(capture + 1);
  if (size >= sizeof(*capture) && each)
    each(*capture, {payload, std::min<size_t>(capture->bytes, size - sizeof(*capture))});
  return 0;
}

}  // namespace

Result<Observers> Observers::open(const Programs& programs, int captures_fd) {
  Observers observers;
  observers.programs_ = programs;
  observers.each_ = std::make_unique<OnCapture>();
  observers.ring_.reset(ring_buffer__new(captures_fd, on_capture, observers.each_.get(), nullptr));
  if (!observers.ring_) return fail_errno("map the ring of captured payloads");
  return observers;
}

std::vector<bpf_program*> Observers::wanted_programs(Observation wanted) const {
  if (!wanted.payload) return {programs_.names_ingress};
  return {wanted.names ? programs_.both_ingress : programs_.payload_ingress, programs_.payload_egress};
}

Result<void> Observers::set(uint64_t cgroup, const std::string& directory, Observation wanted) {
  const auto known = attached_.find(cgroup);
  if ((known == attached_.end() ? Observation{} : known->second.what) == wanted) return {};
  attached_.erase(cgroup);
  if (wanted == Observation{}) return {};
  const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("open the cgroup " + directory);
  Attached attached = {.what = wanted, .links = {}};
  for (bpf_program* program : wanted_programs(wanted)) {
    attached.links.emplace_back(bpf_program__attach_cgroup(program, fd.get()));
    if (!attached.links.back())
      return fail_errno("attach " + std::string(bpf_program__name(program)) + " to " + directory);
  }
  attached_.emplace(cgroup, std::move(attached));
  return {};
}

void Observers::read(const OnCapture& each) {
  *each_ = each;
  ring_buffer__consume(ring_.get());
  *each_ = nullptr;
}

}  // namespace cellwall
