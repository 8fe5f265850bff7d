// SPDX-License-Identifier: Apache-2.0
#include "wall.h"

#include <bpf/bpf.h>
#include <fcntl.h>

#include <algorithm>
#include <filesystem>

#include "cellwall/events.h"

namespace cellwall {
namespace {

// A container's first process is in the node's namespace for a moment, and then in one that has no devices
// yet. Looked for this often, and later only when all is looked at again.
constexpr int kQuickLooks = 50;

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

}  // namespace

Wall::Wall(const Pins& pins, const Parts& parts, Fd node, bool links)
    : pins_(pins),
      parts_(parts),
      node_(std::move(node)),
      node_number_(network_number(node_)),
      links_(pins_, node_, parts.program, links) {}

Result<std::unique_ptr<Wall>> Wall::open(const Pins& pins, const Parts& parts, const std::string& node,
                                         bool links) {
  Fd fd(::open(node.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("open the node's network namespace " + node + " (--network-namespace)");
  return std::unique_ptr<Wall>(new Wall(pins, parts, std::move(fd), links));
}

void Wall::look_at(Pod& pod) {
  auto found = find_pod_devices(pod.network, node_);
  if (!found) {
    pod.refusal = found.error().message;
    return;
  }
  pod.refusal.clear();
  pod.devices = std::move(*found);
  pod.ends.insert(pod.devices.node_ends.begin(), pod.devices.node_ends.end());
}

Wall::Pod& Wall::pod_at(NetworkPlace place) {
  const auto [at, fresh] = pods_.try_emplace(place.number);
  Pod& pod = at->second;
  if (fresh) {
    pod.network = std::move(place.network);
    pod.host = place.number == node_number_;
  }
  if (!pod.host && pod.ends.empty()) look_at(pod);
  return pod;
}

uint64_t Wall::find_pod(const std::string& directory) {
  uint64_t first = 0;
  for (NetworkPlace& place : network_places(directory)) {
    const uint64_t number = place.number;
    if (!pod_at(std::move(place)).ends.empty()) return number;
    if (!first) first = number;
  }
  return first;
}

bool Wall::settled(const Place& place) const {
  const auto pod = pods_.find(place.pod);
  return pod != pods_.end() && !pod->second.ends.empty();
}

void Wall::sort(const std::vector<WallContainer>& containers, bool again) {
  std::map<uint64_t, Place> living;
  for (auto& [number, pod] : pods_) {
    pod.containers.clear();
    pod.guarded.clear();
  }
  for (const WallContainer& container : containers) {
    const auto known = places_.find(container.cgroup);
    Place place = known == places_.end() ? Place{} : known->second;
    if (!settled(place) && (again || place.looked < kQuickLooks)) {
      place.pod = find_pod(container.directory);
      place.looked++;
    }
    living[container.cgroup] = place;
    if (!place.pod) continue;
    Pod& pod = pods_.at(place.pod);
    pod.containers.push_back(container.cgroup);
    if (container.guarded) pod.guarded.push_back(container.cgroup);
  }
  places_ = std::move(living);
  std::erase_if(pods_, [](const auto& pod) { return pod.second.containers.empty(); });
}

// Before the program is there. Too many, or one that is not guarded: packets without a socket pass.
void Wall::tell_pod(const Pod& pod, uint32_t device) const {
  cw_wall_pod value = {};
  if (pod.guarded.size() != pod.containers.size() || pod.guarded.size() > CW_WALL_CONTAINERS) {
    bpf_map_delete_elem(parts_.pods, &device);
    return;
  }
  value.count = static_cast<uint32_t>(pod.guarded.size());
  std::copy(pod.guarded.begin(), pod.guarded.end(), value.container);
  bpf_map_update_elem(parts_.pods, &device, &value, BPF_ANY);
}

void Wall::keep_pod(Pod& pod, bool again) {
  if (again) look_at(pod);
  for (auto end = pod.ends.begin(); end != pod.ends.end();) {
    const uint32_t device = *end;
    tell_pod(pod, device);
    Result<void> done;
    if (!attached_.contains(device) || (again && !links_.attached(device))) done = links_.attach(device);
    if (done) {
      attached_[device] = true;
    } else if (std::ranges::find(pod.devices.node_ends, device) == pod.devices.node_ends.end()) {
      end = pod.ends.erase(end);  // gone, and not only out of sight
      continue;
    } else {
      pod.refusal = done.error().message;
    }
    ++end;
  }
}

void Wall::report_container(Place& place, uint64_t cgroup, bool again, WallReport* report) const {
  const bool soon = !settled(place) && place.looked < kQuickLooks;
  if (soon && !place.told && (!again || !place.pod)) report->pending++;
  if (!place.pod || (soon && !place.told && !again)) return;
  const Pod& pod = pods_.at(place.pod);
  std::string reason;
  if (pod.host)
    reason = "it is in the node's network namespace, so it sends through the node's own devices";
  else if (!pod.refusal.empty())
    reason = pod.refusal;
  else if (!pod.devices.others.empty())
    reason = "its pod sends through " + joined(pod.devices.others);
  place.told = !reason.empty();
  if (place.told) report->without.push_back({cgroup, std::move(reason)});
}

// in_doubt: the pod of some container is not found, and an earlier agent may have known it. What is left
// there judges by the container, so it does no harm to others.
void Wall::remove_others(bool in_doubt) {
  for (const uint32_t device : links_.pinned()) {
    const auto known = attached_.find(device);
    if (known != attached_.end() && known->second) continue;
    if (known == attached_.end() && in_doubt && links_.attached(device)) continue;
    if (links_.detach(device)) bpf_map_delete_elem(parts_.pods, &device);
  }
  std::erase_if(attached_, [](const auto& device) { return !device.second; });
}

WallReport Wall::keep(const std::vector<WallContainer>& containers, bool again) {
  WallReport report;
  sort(containers, again);
  for (auto& [device, needed] : attached_) needed = false;
  for (auto& [number, pod] : pods_) {
    if (!pod.host && !pod.guarded.empty()) keep_pod(pod, again);
  }
  bool in_doubt = false;
  for (const WallContainer& container : containers) {
    Place& place = places_.at(container.cgroup);
    const auto pod = pods_.find(place.pod);
    in_doubt |= container.guarded && !settled(place) && (pod == pods_.end() || !pod->second.host);
    if (container.guarded) report_container(place, container.cgroup, again, &report);
  }
  std::ranges::sort(report.without, {}, &WallReport::Without::cgroup);
  remove_others(in_doubt);
  report.devices = attached_.size();
  return report;
}

Result<void> remove_wall(const std::string& pin_directory, const std::string& node) {
  std::error_code ignored;
  if (!std::filesystem::exists(pin_directory, ignored)) return {};
  const auto pins = Pins::open(pin_directory);
  if (!pins) return std::unexpected(pins.error());
  const Fd fd(::open(node.c_str(), O_RDONLY | O_CLOEXEC));
  const WallLinks links(*pins, fd, -1, true);
  for (const uint32_t device : links.pinned()) {
    if (auto ok = links.detach(device); !ok) return ok;
  }
  return {};
}

}  // namespace cellwall
