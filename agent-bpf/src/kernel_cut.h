// SPDX-License-Identifier: Apache-2.0
//
// Destroys sockets, so that both ends hear of it at once.
#pragma once

#include <vector>

#include "cellwall/events.h"
#include "result.h"

namespace cellwall {

struct CutResult {
  size_t destroyed = 0;
  std::string refusal;  // why others were not: the kernel cannot, or their namespace cannot be entered
};

// In the network namespaces of the sockets, entered through the processes that hold them.
CutResult destroy_sockets(std::vector<cw_cut> sockets);

// Was the kernel built with CONFIG_INET_DIAG_DESTROY?
bool can_destroy_sockets();

}  // namespace cellwall
