// SPDX-License-Identifier: Apache-2.0
//
// What is known about the containers of this node: from the cgroup tree, and from the container runtime.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cellwall/v1/agent.pb.h"
#include "cgroup_tree.h"

namespace cellwall {

// As the runtime lists it.
struct RuntimeContainer {
  std::string name;
  std::string image;
  std::string namespace_name;
  std::string pod;
  std::string pod_uid;
  std::map<std::string, std::string> labels;  // of the pod
  std::vector<std::string> addresses;
  uint64_t created_us = 0;
};

// By runtime id. The pod's own sandbox is listed as a container named kSandboxName.
using RuntimeContainers = std::unordered_map<std::string, RuntimeContainer>;

inline constexpr char kSandboxName[] = "(pod sandbox)";

class Containers {
 public:
  void born(const ContainerCgroup& cgroup);
  void died(uint64_t cgroup);
  // Fills in names; returns the ids of containers about which something new is known.
  std::vector<uint64_t> name(const RuntimeContainers& listed);
  bool any_unnamed() const;
  // What an agent before this one knew about a container that was born: its name stands until the runtime
  // tells.
  void recall(const v1::Container& known);

  const std::unordered_map<uint64_t, v1::Container>& all() const { return containers_; }
  size_t count() const { return containers_.size(); }

  v1::ContainersUpdate complete() const;  // all; changes() starts from here
  void reset_changes();
  bool changed() const { return !changed_.empty() || !removed_.empty(); }
  v1::ContainersUpdate take_changes();

 private:
  std::unordered_map<uint64_t, v1::Container> containers_;
  std::unordered_set<uint64_t> unnamed_;  // the runtime may still tell
  std::unordered_set<uint64_t> changed_;
  std::vector<uint64_t> removed_;
};

}  // namespace cellwall
