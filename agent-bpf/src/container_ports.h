// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "runtime.h"

namespace cellwall {

// Where the kubelet writes the ports of a container's specification.
inline constexpr char kPortsAnnotation[] = "io.kubernetes.container.ports";

// text: the annotation, such as [{"name":"http","containerPort":8080,"protocol":"TCP"}]. Ports without a name
// and what cannot be read are left out: no rule can mean them.
std::vector<RuntimePort> parse_container_ports(const std::string& text);

}  // namespace cellwall
