// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "result.h"

namespace cellwall {

// Of the node itself: those of the interfaces in a network namespace (a file such as /proc/1/ns/net),
// loopback and link-local ones left out, each once.
Result<std::vector<std::string>> node_addresses(const std::string& network_namespace);

}  // namespace cellwall
