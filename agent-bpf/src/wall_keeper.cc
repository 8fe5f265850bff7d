// SPDX-License-Identifier: Apache-2.0
#include "wall_keeper.h"

#include "runtime.h"

namespace cellwall {
namespace {

using namespace std::chrono_literals;

constexpr auto kLookInterval = 30s;  // pods get further devices, and others remove filters

}  // namespace

std::vector<WallContainer> WallKeeper::containers() const {
  std::vector<WallContainer> all;
  for (const auto& [cgroup, container] : containers_.all()) {
    if (container.name() == kSandboxName) continue;
    const auto subject = kernel_.subject(cgroup);
    all.push_back({.cgroup = cgroup,
                   .directory = directory_of_(container.cgroup_path()),
                   .guarded = subject && (subject->flags & (CW_SUBJECT_GUARDED | CW_SUBJECT_STARTUP))});
  }
  return all;
}

std::vector<WallKeeper::Told> WallKeeper::news() {
  std::vector<Told> told;
  for (const auto& [cgroup, reason] : report_.without) {
    if (told_.insert(cgroup).second)
      told.push_back({cgroup, "the second wall cannot run for a container under policy: " + reason +
                                  "; do not give it CAP_NET_RAW or CAP_NET_ADMIN"});
  }
  std::erase_if(told_, [&](uint64_t cgroup) { return !containers_.all().contains(cgroup); });
  return told;
}

std::vector<WallKeeper::Told> WallKeeper::tick(Time now) {
  started_ |= changed_;
  const bool again = started_ && now >= next_look_;
  if (!changed_ && !again && report_.pending == 0) return {};
  changed_ = false;
  if (again) next_look_ = now + kLookInterval;
  auto report = kernel_.keep_wall(containers(), again);
  if (!report) {
    if (report.error().message == failure_) return {};
    failure_ = report.error().message;
    return {{0, "there is no second wall: " + failure_}};
  }
  failure_.clear();
  report_ = std::move(*report);
  return news();
}

}  // namespace cellwall
