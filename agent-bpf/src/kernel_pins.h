// SPDX-License-Identifier: Apache-2.0
//
// Maps and links that outlive the process, as files of a bpffs.
#pragma once

#include <bpf/libbpf.h>

#include <memory>
#include <string>
#include <vector>

#include "fd.h"
#include "result.h"

namespace cellwall {

class Pins {
 public:
  // Makes the directory. Errors: not on a bpffs, no permission.
  static Result<Pins> open(const std::string& directory);

  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  Fd get(const std::string& name) const;  // empty: not pinned

  // Makes map use the pinned one, if there is one of the same shape; *adopted says so.
  Result<void> adopt_map(bpf_map* map, bool* adopted) const;
  Result<void> pin_map(bpf_map* map) const;
  // Replaces a pin of that name.
  Result<void> pin_fd(int fd, const std::string& name) const;
  void remove(const std::string& name) const;
  // Pins whose names begin so, without that beginning.
  std::vector<std::string> find(const std::string& prefix) const;
  // Puts the program into the pinned link, or attaches it to the cgroup and pins the link.
  Result<void> attach(bpf_program* program, int cgroup_fd, uint64_t cgroup_id) const;
  Result<void> attach_as(const std::string& name, bpf_program* program, int cgroup_fd,
                         uint64_t cgroup_id) const;
  // Attaches a tracing program for as long as the pin is there; an earlier one goes when this one is there.
  Result<void> attach_tracing(bpf_program* program) const;

 private:
  explicit Pins(std::string directory) : directory_(std::move(directory)) {}
  std::string directory_;
};

}  // namespace cellwall
