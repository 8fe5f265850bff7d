// SPDX-License-Identifier: Apache-2.0
//
// Docker, and Podman, which serves Docker's API. What they answer becomes RuntimeContainers.
#pragma once

#include <string>

#include "runtime.h"

namespace cellwall {

// Of GET /containers/json?all=1. Containers of Kubernetes are left out: their pod's labels are not in there,
// and the CRI socket has them.
Result<RuntimeContainers> parse_engine_list(const std::string& text, Engine engine);

// Of Podman's GET /libpod/pods/json: containers of a pod get its name, and its labels beside their own.
Result<void> add_podman_pods(const std::string& text, RuntimeContainers* containers);

}  // namespace cellwall
