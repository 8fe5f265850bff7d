// SPDX-License-Identifier: Apache-2.0
//
// The second wall: a program at the node's end of the veth of each pod that has a guarded container (see
// bpf/wall.h). This finds the devices and keeps the program there, and nowhere else.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "fd.h"
#include "kernel_pins.h"
#include "pod_devices.h"
#include "result.h"
#include "wall_links.h"
#include "wall_places.h"
#include "wall_report.h"

namespace cellwall {

class Wall {
 public:
  struct Parts {
    int program;
    int pods;  // map cw_wall_pods
  };

  // node: a file such as /proc/1/ns/net. links: as links, else as filters (has_device_links()).
  static Result<std::unique_ptr<Wall>> open(const Pins& pins, const Parts& parts, const std::string& node,
                                            bool links);

  // containers: all of this node; a device whose pod has no guarded one any more loses the program. again:
  // look at the devices of known pods, too, because pods get further ones.
  WallReport keep(const std::vector<WallContainer>& containers, bool again);

 private:
  struct Pod {
    Fd network;
    bool host = false;  // the node's own namespace
    std::vector<uint64_t> containers, guarded;
    PodDevices devices;       // as they were last seen
    std::set<uint32_t> ends;  // also those that its processes have moved out of sight since
    std::string refusal;      // why it cannot be looked at, or a device cannot have the program
  };
  struct Place {
    uint64_t pod = 0;   // 0: no process yet
    bool told = false;  // that packets go past the wall
    int looked = 0;     // how often for it, without finding an end on the node
  };

  Wall(const Pins& pins, const Parts& parts, Fd node, bool links);
  Pod& pod_at(NetworkPlace place);
  uint64_t find_pod(const std::string& directory);
  void sort(const std::vector<WallContainer>& containers, bool again);
  void look_at(Pod& pod);
  void keep_pod(Pod& pod, bool again);
  void tell_pod(const Pod& pod, uint32_t device) const;
  bool settled(const Place& place) const;
  void report_container(Place& place, uint64_t cgroup, bool again, WallReport* report) const;
  void remove_others(bool in_doubt);

  Pins pins_;
  Parts parts_;
  Fd node_;
  uint64_t node_number_;
  WallLinks links_;
  std::map<uint64_t, Pod> pods_;       // by the number of the namespace
  std::map<uint64_t, Place> places_;   // of living containers, by cgroup
  std::map<uint32_t, bool> attached_;  // devices; false: not needed any more
};

// Takes the program off all devices where an agent has put it. Links go with their pins, filters do not.
Result<void> remove_wall(const std::string& pin_directory, const std::string& node);

}  // namespace cellwall
