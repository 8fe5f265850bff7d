// SPDX-License-Identifier: Apache-2.0
//
// What containers may do while it is not known what they are.
#pragma once

#include <string>
#include <vector>

#include "kernel.h"
#include "result.h"

namespace cellwall {

enum class Startup { kAllow, kDeny };

// "10.0.0.1", "10.0.0.1:6443", "fd00::1" or "[fd00::1]:6443"; without a port, those that API servers have.
// Errors say which one is wrong.
Result<std::vector<KernelStartupAllow>> parse_startup_allow(const std::vector<std::string>& list);

// Name servers: which ones a container asks is not known either.
std::vector<KernelStartupAllow> startup_name_servers();

}  // namespace cellwall
