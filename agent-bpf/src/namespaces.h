// SPDX-License-Identifier: Apache-2.0
//
// Connection tracking of the node's own network namespace and of those of its pods.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "conntrack.h"
#include "fd.h"
#include "result.h"

namespace cellwall {

class Namespaces {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // node: a file such as /proc/1/ns/net, the namespace in which the node translates addresses.
  static Result<Namespaces> open(const std::string& node);

  uint32_t node_number() const { return node_number_; }  // inode number, as in cw_event.net
  Conntrack* node() { return node_ ? &*node_ : nullptr; }
  // Of a pod: entered through one of its processes, the given one or any of the cgroup (a directory, asked
  // for only when it is needed). Null: the pod is gone, or we may not enter it.
  Conntrack* pod(uint32_t number, uint32_t pid, const std::function<std::string()>& cgroup, Time now);
  // Closes what was not used for a while: an open socket keeps a dead pod's namespace alive.
  void close_idle(Time now);
  // Why the namespaces of pods cannot be entered; empty: they can, or nobody tried.
  const std::string& refusal() const { return refusal_; }

 private:
  struct Entry {
    std::optional<Conntrack> conntrack;  // empty: could not be opened
    Time used;
  };
  std::optional<Conntrack> enter(const Fd& target);

  Fd own_;
  uint32_t node_number_ = 0;
  std::optional<Conntrack> node_;
  std::unordered_map<uint32_t, Entry> pods_;
  std::string refusal_;
};

}  // namespace cellwall
