// SPDX-License-Identifier: Apache-2.0
//
// What libbpf complains about: its return values are bare errno values.
#pragma once

#include <string>

namespace cellwall {

// Collects from here on, in place of libbpf's writing to stderr; forgets what was collected.
void collect_complaints();
// The end of it, as " (...)"; empty: nothing.
std::string last_complaints();

}  // namespace cellwall
