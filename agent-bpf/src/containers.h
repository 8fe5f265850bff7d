// SPDX-License-Identifier: Apache-2.0
//
// What is known about the containers of this node: from the cgroup tree, and from the container runtime.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cellwall/v1/agent.pb.h"
#include "cgroup_tree.h"
#include "runtime.h"

namespace cellwall {

class Containers {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Named at once when a runtime listed it before.
  void born(const ContainerCgroup& cgroup, Time now);
  // Told with its removal, also when it lived for less than it takes to tell of its birth. A name that comes
  // later is told too.
  void died(uint64_t cgroup, Time now);
  // Takes names from what a runtime lists; returns the ids of living containers about which something new is
  // known.
  std::vector<uint64_t> name(const RuntimeContainers& listed, Time now);
  // Some are so young, or so newly dead, that asking the runtimes at once may still tell something.
  bool expects_names(Time now) const;
  // What an agent before this one knew about a container that was born: its name stands until the runtime
  // tells.
  void recall(const v1::Container& known);
  // A runtime told its name, to this agent or to the one before; without that, it may be a guess.
  bool named(uint64_t cgroup) const;
  void forget(Time now);  // what is too old to be of use

  const std::unordered_map<uint64_t, v1::Container>& all() const { return containers_; }  // that live
  const v1::Container* find(uint64_t cgroup) const;  // also one that died a short while ago; null: not known
  size_t count() const { return containers_.size(); }
  uint64_t forgotten() const { return forgotten_; }  // died while too many dead ones were remembered

  v1::ContainersUpdate complete() const;  // all; changes() starts from here
  void reset_changes();
  bool changed() const { return !changed_.empty() || !removed_.empty(); }
  v1::ContainersUpdate take_changes();

 private:
  struct Dead {
    v1::Container container;
    Time since;
    bool named;
  };
  struct Listed {
    RuntimeContainer container;
    Time since;
  };
  struct Awaited {
    Time since;
    bool named = false;
  };
  void remember(const std::string& runtime_id, const RuntimeContainer& listed, Time now);
  void name_dead(const RuntimeContainers& listed);

  std::unordered_map<uint64_t, v1::Container> containers_;
  std::unordered_map<uint64_t, Awaited> awaited_;  // of containers_: without a name, or without an address
  std::unordered_map<uint64_t, Dead> dead_;
  uint64_t forgotten_ = 0;
  // Listed, and without a living cgroup: made and not started yet, or stopped and not removed yet.
  std::unordered_map<std::string, Listed> listed_;
  std::unordered_set<uint64_t> changed_;  // of containers_ and dead_
  std::unordered_set<uint64_t> removed_;
};

}  // namespace cellwall
