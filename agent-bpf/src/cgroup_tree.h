// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "cgroup_path.h"
#include "result.h"

namespace cellwall {

struct ContainerCgroup {
  uint64_t id;       // of its directory
  std::string path;  // from the root of the cgroup v2 hierarchy
  ContainerPath identity;
};

// The cgroups below the attach point, and which container each belongs to. A cgroup that died is remembered
// for a while: the events of its last connections are still on their way.
class CgroupTree {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // attach_point: absolute path of a cgroup v2 directory. Errors: the root of the hierarchy is not above it.
  static Result<CgroupTree> open(const std::string& attach_point);

  // Reads all from the file system; returns containers which were not known, and puts the ids of those that
  // are gone into *died.
  std::vector<ContainerCgroup> scan(Time now, std::vector<uint64_t>* died);
  // True: a container's own directory was born, *born says which.
  bool add(uint64_t id, const std::string& path, ContainerCgroup* born);
  // True: it was a container.
  bool remove(uint64_t id, Time now);
  void forget_dead(Time now);

  uint64_t container_of(uint64_t cgroup) const;  // 0: none, or not known
  std::string directory(const std::string& path) const { return root_ + path; }

 private:
  struct Node {
    uint64_t container;  // 0: none
    bool alive = true;
    Time died = {};
  };

  void scan_directory(const std::string& path, std::unordered_map<uint64_t, std::string>* found) const;

  std::string root_;    // of the hierarchy
  std::string attach_;  // relative to it
  std::unordered_map<uint64_t, Node> nodes_;
};

}  // namespace cellwall
