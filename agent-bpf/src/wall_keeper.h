// SPDX-License-Identifier: Apache-2.0
//
// When the agent looks after the second wall, and what it tells of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "containers.h"
#include "kernel.h"

namespace cellwall {

class WallKeeper {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using DirectoryOf = std::function<std::string(const std::string& cgroup_path)>;

  struct Told {
    uint64_t cgroup;  // 0: of the whole node
    std::string message;
  };

  WallKeeper(Kernel& kernel, const Containers& containers, DirectoryOf directory_of)
      : kernel_(kernel), containers_(containers), directory_of_(std::move(directory_of)) {}

  // Containers came or went, or another policy is in force. Not before both are known after a start: what
  // needs no wall loses it.
  void changed() { changed_ = true; }
  // About ten times a second. Returns what there is to log, once for each container.
  std::vector<Told> tick(Time now);

  size_t devices() const { return report_.devices; }
  size_t without() const { return report_.without.size(); }  // containers_without_second_wall

 private:
  std::vector<WallContainer> containers() const;
  std::vector<Told> news();

  Kernel& kernel_;
  const Containers& containers_;
  DirectoryOf directory_of_;
  WallReport report_;
  std::set<uint64_t> told_;
  std::string failure_;
  bool changed_ = false;
  bool started_ = false;
  Time next_look_;
};

}  // namespace cellwall
