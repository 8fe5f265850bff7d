// SPDX-License-Identifier: Apache-2.0
//
// The kernel programs and their maps: loaded, or adopted from an agent before, and attached for good.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernel.h"
#include "kernel_cgroup.h"
#include "kernel_pins.h"
#include "result.h"

// It has the types of cellwall/events.h, and does not include it.
#include "cellwall.skel.h"

namespace cellwall {

class KernelPrograms {
 public:
  KernelPrograms(const KernelOptions& options, const Pins& pins) : options_(options), pins_(pins) {}

  // Uses the maps that are pinned; without guards where the kernel refuses those.
  Result<void> load(const AttachPoint& point);
  // What sees all containers; what guards some is attached to those.
  Result<void> attach(const AttachPoint& point);

  cellwall_bpf& skeleton() const { return *skeleton_; }
  bool adopted() const { return adopted_; }
  const std::string& guards_refused() const { return guards_refused_; }

 private:
  struct SkeletonDeleter {
    void operator()(cellwall_bpf* skeleton) const { cellwall_bpf__destroy(skeleton); }
  };

  int try_load(const AttachPoint& point, bool guards, Result<void>* adopted);
  void configure(const AttachPoint& point);
  Result<void> adopt_maps();
  Result<void> pin_maps();
  std::vector<bpf_map*> pinned_maps() const;
  std::vector<bpf_program*> cgroup_programs() const;
  std::vector<bpf_program*> guard_programs() const;

  const KernelOptions options_;
  const Pins pins_;
  std::unique_ptr<cellwall_bpf, SkeletonDeleter> skeleton_;
  bool adopted_ = false;
  std::string guards_refused_;
};

}  // namespace cellwall
