// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace cellwall {

struct KernelFeatures {
  bool plain_loads = false;         // bpf_rdonly_cast
  bool cgroup_tracepoints = false;  // typed tracepoints of cgroup births and deaths
  bool task_file_iterator = false;
  bool socket_options = false;  // cgroup hook for setsockopt
};

// Reads the kernel's own type information: 5 MB, so ask once and keep the answer.
KernelFeatures probe_features();

}  // namespace cellwall
