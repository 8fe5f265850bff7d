// SPDX-License-Identifier: Apache-2.0
#include "kernel_guard.h"

#include <bpf/bpf.h>
#include <fcntl.h>

#include <algorithm>
#include <cstdlib>

#include "cellwall/events.h"

namespace cellwall {

bool Guards::loaded(const Part& part) {
  return bpf_program__fd(part.program) >= 0;
}

Result<void> Guards::adopt() {
  for (const Part& part : parts_) {
    if (!loaded(part)) continue;
    for (const std::string& id : pins_.find(part.pin)) {
      const std::string name = part.pin + id;
      const Fd link = pins_.get(name);
      if (link && bpf_link_update(link.get(), bpf_program__fd(part.program), nullptr) == 0) {
        guarded_.insert(std::strtoull(id.c_str(), nullptr, 10));
        continue;
      }
      // ENOLINK: the cgroup is gone.
      if (link && errno != ENOLINK)
        return fail_errno("put the new program into the pinned link " + pins_.path(name));
      pins_.remove(name);
    }
  }
  return {};
}

Result<void> Guards::add(uint64_t cgroup, const std::string& directory) {
  if (guarded_.contains(cgroup) || std::none_of(parts_.begin(), parts_.end(), loaded)) return {};
  const Fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return {};
  if (!fd) return fail_errno("open the cgroup " + directory);
  for (const Part& part : parts_) {
    if (!loaded(part)) continue;
    auto ok = pins_.attach_as(part.pin + std::to_string(cgroup), part.program, fd.get(), cgroup);
    if (ok) continue;
    remove(cgroup);
    return fail("guard the container in " + directory + ": " + ok.error().message);
  }
  guarded_.insert(cgroup);
  return {};
}

void Guards::remove(uint64_t cgroup) {
  guarded_.erase(cgroup);
  for (const Part& part : parts_) pins_.remove(part.pin + std::to_string(cgroup));
}

void forget_ports(int map, uint64_t container) {
  cw_port_owner_key key = {}, next = {};
  uint64_t owner = 0;
  bool more = bpf_map_get_next_key(map, nullptr, &next) == 0;
  while (more) {
    key = next;
    more = bpf_map_get_next_key(map, &key, &next) == 0;
    if (bpf_map_lookup_elem(map, &key, &owner) == 0 && owner == container) bpf_map_delete_elem(map, &key);
  }
}

}  // namespace cellwall
