// SPDX-License-Identifier: Apache-2.0
//
// Which devices of the node are the other ends of a pod's veth pairs. All packets between a pod and the rest
// of the world go through one of them, unless the pod has a device of another kind.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fd.h"
#include "result.h"

namespace cellwall {

struct Device {
  uint32_t index;
  std::string name;
  std::string kind;  // "veth", "macvlan", ...; empty: a real one
  bool loopback = false;
  uint32_t link = 0;            // the device that it is joined to; 0: none
  int32_t link_namespace = -1;  // where that one is, by the number in this namespace; -1: here
};

struct PodDevices {
  std::vector<uint32_t> node_ends;  // numbers of devices in the node's namespace, ascending
  // Devices on which packets leave the pod past all of these ("net1 (macvlan)"), or pairs of which the other
  // end is in a namespace that is not the node's, where no end is.
  std::vector<std::string> others;
};

// The devices of the namespace that the calling thread is in.
Result<std::vector<Device>> list_devices();

Result<PodDevices> find_pod_devices(const Fd& pod, const Fd& node);

}  // namespace cellwall
