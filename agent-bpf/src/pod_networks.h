// SPDX-License-Identifier: Apache-2.0
//
// Which network namespace a container is in, and whom it asks for names. Looked at once, through a process of
// its pod that no container can change: that of the sandbox, where there is one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "containers.h"
#include "ip_address.h"

namespace cellwall {

// The name servers of a resolv.conf; without any, the resolver of glibc asks 127.0.0.1 (resolv.conf(5)).
std::vector<Address> parse_name_servers(const std::string& resolv_conf);

struct PodNetwork {
  uint32_t number = 0;  // of the namespace: its inode
  std::vector<Address> name_servers;
};

class PodNetworks {
 public:
  using DirectoryOf = std::function<std::string(const std::string& cgroup_path)>;

  // proc: where the host's processes are.
  PodNetworks(const Containers& containers, DirectoryOf directory_of, std::string proc = "/proc");

  // Null: it has no process yet.
  const PodNetwork* of(const v1::Container& container);
  // Of pods and containers that are gone nothing is kept.
  void forget();
  // Of all that were asked for.
  std::vector<PodNetwork> all() const;

 private:
  std::vector<const v1::Container*> witnesses(const v1::Container& container) const;
  std::optional<PodNetwork> look(const v1::Container& witness) const;

  const Containers& containers_;
  const DirectoryOf directory_of_;
  const std::string proc_;
  std::map<std::string, PodNetwork> known_;  // by pod, or by cgroup
};

}  // namespace cellwall
