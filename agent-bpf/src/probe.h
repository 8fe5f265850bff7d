// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace cellwall {

bool kernel_has_plain_loads();         // bpf_rdonly_cast
bool kernel_has_cgroup_tracepoints();  // typed tracepoints of cgroup births and deaths

}  // namespace cellwall
