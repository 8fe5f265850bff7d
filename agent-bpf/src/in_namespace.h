// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "fd.h"
#include "result.h"

namespace cellwall {

// Runs work in a network namespace. A thread that enters it and ends there has no way back to lose.
// name: for the error.
Result<void> in_namespace(const Fd& network_namespace, const std::string& name,
                          const std::function<Result<void>()>& work);

}  // namespace cellwall
