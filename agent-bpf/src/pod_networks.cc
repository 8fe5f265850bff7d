// SPDX-License-Identifier: Apache-2.0
#include "pod_networks.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "runtime.h"

namespace cellwall {
namespace {

// resolv.conf(5) of glibc uses three; musl as many.
constexpr size_t kMostNameServers = 8;
constexpr size_t kMostBytes = 64 << 10;
// Below /proc/<pid>: a link to the root directory that the process sees (proc(5)), the file system of its
// container. Nobody's home.
constexpr char kItsRoot[] = "/root";
constexpr char kResolvConf[] = "/etc/resolv.conf";

std::string key_of(const v1::Container& container) {
  return container.pod_uid().empty() ? "cgroup " + std::to_string(container.cgroup_id())
                                     : container.pod_uid();
}

std::string read_some(const std::string& file) {
  std::ifstream stream(file);
  std::string text(kMostBytes, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(stream.gcount()));
  return text;
}

}  // namespace

std::vector<Address> parse_name_servers(const std::string& resolv_conf) {
  std::vector<Address> found;
  std::istringstream lines(resolv_conf);
  for (std::string line; std::getline(lines, line) && found.size() < kMostNameServers;) {
    std::istringstream words(line);
    std::string keyword, server;
    if (!(words >> keyword >> server) || keyword != "nameserver") continue;
    // A link-local server has its interface behind it.
    if (const auto address = parse_address(server.substr(0, server.find('%'))); address)
      found.push_back(*address);
  }
  if (found.empty()) found.push_back(*parse_address("127.0.0.1"));
  return found;
}

PodNetworks::PodNetworks(const Containers& containers, DirectoryOf directory_of, std::string proc)
    : containers_(containers), directory_of_(std::move(directory_of)), proc_(std::move(proc)) {}

// Sandboxes first: what runs there is the runtime's.
std::vector<const v1::Container*> PodNetworks::witnesses(const v1::Container& container) const {
  std::vector<const v1::Container*> found;
  if (!container.pod_uid().empty()) {
    for (const auto& [id, other] : containers_.all()) {
      if (other.pod_uid() == container.pod_uid() && other.name() == kSandboxName) found.push_back(&other);
    }
  }
  found.push_back(&container);
  return found;
}

std::optional<PodNetwork> PodNetworks::look(const v1::Container& witness) const {
  std::ifstream processes(directory_of_(witness.cgroup_path()) + "/cgroup.procs");
  std::string pid;
  if (!(processes >> pid)) return std::nullopt;
  const std::string process = proc_ + "/" + pid;
  struct stat info = {};
  if (stat((process + "/ns/net").c_str(), &info) != 0) return std::nullopt;
  return PodNetwork{.number = static_cast<uint32_t>(info.st_ino),
                    .name_servers = parse_name_servers(read_some(process + kItsRoot + kResolvConf))};
}

const PodNetwork* PodNetworks::of(const v1::Container& container) {
  const std::string key = key_of(container);
  if (const auto known = known_.find(key); known != known_.end()) return &known->second;
  for (const v1::Container* witness : witnesses(container)) {
    if (auto network = look(*witness); network)
      return &known_.emplace(key, std::move(*network)).first->second;
  }
  return nullptr;
}

void PodNetworks::forget() {
  std::set<std::string> living;
  for (const auto& [id, container] : containers_.all()) living.insert(key_of(container));
  std::erase_if(known_, [&](const auto& entry) { return !living.contains(entry.first); });
}

std::vector<PodNetwork> PodNetworks::all() const {
  std::vector<PodNetwork> found;
  for (const auto& [key, network] : known_) found.push_back(network);
  return found;
}

}  // namespace cellwall
