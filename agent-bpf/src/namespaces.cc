// SPDX-License-Identifier: Apache-2.0
#include "namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "directories.h"

namespace cellwall {
namespace {

using namespace std::chrono_literals;

constexpr auto kIdle = 30s;
constexpr auto kTryAgain = 1s;
// Full: pods beyond it are looked up in the node's namespace alone until others are idle.
constexpr size_t kMostOpen = 512;
constexpr int kMostProcesses = 8;  // of a container that are looked at
constexpr int kMostSiblings = 32;  // containers of the same pod

Fd open_namespace(const std::string& path) {
  return Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

uint32_t number_of(const Fd& fd) {
  struct stat info = {};
  return fd && fstat(fd.get(), &info) == 0 ? static_cast<uint32_t>(info.st_ino) : 0;
}

Fd namespace_of_process(uint32_t pid, uint32_t number) {
  Fd fd = open_namespace("/proc/" + std::to_string(pid) + "/ns/net");
  return number_of(fd) == number ? std::move(fd) : Fd();
}

Fd namespace_of_cgroup(const std::string& cgroup, uint32_t number) {
  std::ifstream processes(cgroup + "/cgroup.procs");
  uint32_t pid = 0;
  for (int i = 0; i < kMostProcesses && processes >> pid; i++) {
    if (Fd fd = namespace_of_process(pid, number)) return fd;
  }
  return Fd();
}

// A container that has ended leaves the pod's namespace to the containers beside it.
Fd namespace_of_siblings(const std::string& cgroup, uint32_t number) {
  std::error_code ignored;
  int looked_at = 0;
  for (const auto& entry : entries_of(std::filesystem::path(cgroup).parent_path())) {
    if (!entry.is_directory(ignored)) continue;
    if (Fd fd = namespace_of_cgroup(entry.path(), number)) return fd;
    if (++looked_at == kMostSiblings) break;
  }
  return Fd();
}

Fd find_namespace(uint32_t number, uint32_t pid, const std::string& cgroup) {
  if (pid) {
    if (Fd fd = namespace_of_process(pid, number)) return fd;
  }
  if (cgroup.empty()) return Fd();
  if (Fd fd = namespace_of_cgroup(cgroup, number)) return fd;
  return namespace_of_siblings(cgroup, number);
}

}  // namespace

Result<Namespaces> Namespaces::open(const std::string& node) {
  Namespaces namespaces;
  namespaces.own_ = open_namespace("/proc/thread-self/ns/net");
  if (!namespaces.own_) return fail_errno("open the network namespace of this process");
  const Fd target = open_namespace(node);
  if (!target) return fail_errno("open the node's network namespace " + node + " (--network-namespace)");
  namespaces.node_number_ = number_of(target);
  if (namespaces.node_number_ == number_of(namespaces.own_)) {
    auto conntrack = Conntrack::open();
    if (!conntrack) return std::unexpected(conntrack.error());
    namespaces.node_.emplace(std::move(*conntrack));
  } else {
    namespaces.node_ = namespaces.enter(target);
    if (!namespaces.node_)
      return fail("enter the node's network namespace " + node + ": " + namespaces.refusal_);
  }
  return namespaces;
}

std::optional<Conntrack> Namespaces::enter(const Fd& target) {
  if (setns(target.get(), CLONE_NEWNET) != 0) {
    refusal_ = std::string(std::strerror(errno)) + " (CAP_SYS_ADMIN is needed)";
    return std::nullopt;
  }
  auto conntrack = Conntrack::open();
  if (setns(own_.get(), CLONE_NEWNET) != 0) std::abort();  // nothing that follows would be in its place
  if (!conntrack) {
    refusal_ = conntrack.error().message;
    return std::nullopt;
  }
  return std::move(*conntrack);
}

Conntrack* Namespaces::pod(uint32_t number, uint32_t pid, const std::function<std::string()>& cgroup,
                           Time now) {
  auto known = pods_.find(number);
  if (known == pods_.end() || (!known->second.conntrack && now - known->second.used > kTryAgain)) {
    if (known == pods_.end() && pods_.size() >= kMostOpen) return nullptr;
    const Fd target = find_namespace(number, pid, cgroup());
    known = pods_.insert_or_assign(number, Entry{target ? enter(target) : std::nullopt, now}).first;
  }
  Entry& entry = known->second;
  if (!entry.conntrack) return nullptr;
  entry.used = now;
  return &*entry.conntrack;
}

void Namespaces::close_idle(Time now) {
  std::erase_if(pods_, [&](const auto& pod) { return now - pod.second.used > kIdle; });
}

}  // namespace cellwall
