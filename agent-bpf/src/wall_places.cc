// SPDX-License-Identifier: Apache-2.0
#include "wall_places.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "cgroup_path.h"
#include "directories.h"

namespace cellwall {
namespace {

// More are not looked at: each is a file to open.
constexpr size_t kMostProcesses = 64;
constexpr size_t kMostCgroups = 64;    // inside of a container or a pod
constexpr size_t kMostEntries = 8192;  // of its directories, in which most are files

// Each namespace is added once.
void add_processes(const std::filesystem::path& cgroup, size_t* looked_at,
                   std::vector<NetworkPlace>* places) {
  std::ifstream processes(cgroup / "cgroup.procs");
  uint32_t pid = 0;
  while (*looked_at < kMostProcesses && processes >> pid) {
    (*looked_at)++;
    Fd network(open(("/proc/" + std::to_string(pid) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
    const uint64_t number = network_number(network);
    const bool known = std::any_of(places->begin(), places->end(),
                                   [&](const NetworkPlace& place) { return place.number == number; });
    if (number && !known) places->push_back({std::move(network), number});
  }
}

// The cgroup itself first: there a container has its first process, unless it has a systemd of its own.
void add_tree(const std::filesystem::path& top, std::vector<NetworkPlace>* places) {
  std::error_code ignored;
  size_t processes = 0, cgroups = 0;
  add_processes(top, &processes, places);
  for (const auto& entry : entries_below(top, kMostEntries)) {
    if (!entry.is_directory(ignored)) continue;
    add_processes(entry.path(), &processes, places);
    if (++cgroups == kMostCgroups) return;
  }
}

}  // namespace

uint64_t network_number(const Fd& network) {
  struct stat info = {};
  return network && fstat(network.get(), &info) == 0 ? info.st_ino : 0;
}

std::vector<NetworkPlace> network_places(const std::string& cgroup_directory) {
  std::vector<NetworkPlace> places;
  add_tree(cgroup_directory, &places);
  const auto named = parse_cgroup_path(cgroup_directory);
  if (named && !named->pod_uid.empty())
    add_tree(std::filesystem::path(cgroup_directory).parent_path(), &places);
  return places;
}

}  // namespace cellwall
