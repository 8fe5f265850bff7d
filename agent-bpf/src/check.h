// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernel.h"

namespace cellwall {

// Prints what this kernel can do. True: nothing that is required is missing.
bool print_abilities(const std::vector<Ability>& abilities);

}  // namespace cellwall
