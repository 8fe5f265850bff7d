// SPDX-License-Identifier: Apache-2.0
//
// What a container runtime tells about its containers, whichever way it is asked.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "result.h"

namespace cellwall {

// A port with a name in the pod's specification.
struct RuntimePort {
  std::string name;
  uint32_t protocol;  // IP protocol number
  uint32_t port;
};

// As the runtime lists it.
struct RuntimeContainer {
  std::string runtime;  // containerd, cri-o, docker, podman; empty: it did not say
  std::string name;
  std::string image;
  std::string namespace_name;
  std::string pod;
  std::string pod_uid;
  std::map<std::string, std::string> labels;  // of the pod; of the container without a pod
  std::vector<std::string> addresses;
  uint64_t created_us = 0;
  std::vector<RuntimePort> ports;
};

// By runtime id. The pod's own sandbox is listed as a container named kSandboxName.
using RuntimeContainers = std::unordered_map<std::string, RuntimeContainer>;

inline constexpr char kSandboxName[] = "(pod sandbox)";

// One socket of one runtime. Used by one thread.
class Runtime {
 public:
  virtual ~Runtime() = default;
  virtual Result<RuntimeContainers> list(std::chrono::milliseconds deadline) = 0;
  // False: what listens there is alive and is no such runtime, so asking again is of no use.
  virtual bool speaks() const { return true; }
};

// The engines whose API is Docker's.
enum class Engine { kDocker, kPodman };

// socket: a path, or unix:///path
std::unique_ptr<Runtime> open_cri(const std::string& socket);
std::unique_ptr<Runtime> open_engine(const std::string& socket, Engine engine);

// "/path" and "unix:///path"
std::string socket_path(const std::string& socket);

}  // namespace cellwall
