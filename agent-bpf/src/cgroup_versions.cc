// SPDX-License-Identifier: Apache-2.0
#include "cgroup_versions.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <unordered_set>

#include "cgroup_path.h"
#include "directories.h"

namespace cellwall {
namespace {

constexpr char kRemedy[] =
    "boot with systemd.unified_cgroup_hierarchy=1 (on by default since Debian 11, Ubuntu 21.10 and RHEL 9)";
constexpr size_t kShortId = 12;

bool is_mounted(const std::string& proc) {
  std::ifstream mounts(proc + "/self/mounts");
  std::string device, point, type, rest;
  while (mounts >> device >> point >> type && std::getline(mounts, rest)) {
    if (type == "cgroup2") return true;
  }
  return false;
}

struct ProcessCgroups {
  bool v1 = false;
  std::optional<ContainerPath> v1_container, v2_container;
};

// Lines are "4:memory:/docker/…" for version 1 and "0::/docker/…" for version 2.
ProcessCgroups read_cgroups(const std::string& file) {
  ProcessCgroups found;
  std::ifstream lines(file);
  std::string line;
  while (std::getline(lines, line)) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string_view path = std::string_view(line).substr(second + 1);
    if (line.starts_with("0::")) {
      found.v2_container = parse_cgroup_path(path);
      continue;
    }
    found.v1 = true;
    if (!found.v1_container) found.v1_container = parse_cgroup_path(path);
  }
  return found;
}

bool is_number(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

CgroupVersions inspect_cgroups(const std::string& proc) {
  CgroupVersions found;
  found.v2_mounted = is_mounted(proc);
  std::unordered_set<std::string> without;
  for (const auto& entry : entries_of(proc)) {
    if (!is_number(entry.path().filename())) continue;
    const ProcessCgroups process = read_cgroups(entry.path() / "cgroup");
    found.v1_in_use |= process.v1;
    if (!process.v1_container || process.v2_container) continue;
    const auto [id, is_new] = without.insert(process.v1_container->runtime_id);
    if (is_new && found.example.empty())
      found.example = process.v1_container->runtime + " " + id->substr(0, kShortId);
  }
  found.containers_without_v2 = without.size();
  return found;
}

std::string what_is_unsupported(const CgroupVersions& versions) {
  if (!versions.v2_mounted)
    return std::string(
               "this host has cgroups of version 1 only, to which programs cannot be attached: no container "
               "is seen; ") +
           kRemedy;
  if (versions.containers_without_v2 == 0) return "";
  return "containers without a cgroup of version 2: " + std::to_string(versions.containers_without_v2) +
         ", such as " + versions.example + "; their connections are neither seen nor refused; " + kRemedy;
}

}  // namespace cellwall
