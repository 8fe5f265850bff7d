// SPDX-License-Identifier: Apache-2.0
//
// Programs that run for each packet, attached to the cgroups of the containers that ask for them, and the
// payloads which they capture. Not pinned: without an agent nobody takes the payloads apart.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "bpf_owners.h"
#include "cellwall/events.h"
#include "result.h"

namespace cellwall {

// What is read of a container's packets.
struct Observation {
  bool names = false;    // DNS answers
  bool payload = false;  // the first payload of each flow
  bool operator==(const Observation&) const = default;
};

using OnCapture = std::function<void(const cw_capture&, std::span<const uint8_t> payload)>;

class Observers {
 public:
  struct Programs {
    bpf_program* names_ingress;
    bpf_program* payload_ingress;
    bpf_program* both_ingress;  // one program costs less than two
    bpf_program* payload_egress;
  };

  static Result<Observers> open(const Programs& programs, int captures_fd);

  // Replaces what was asked for before. directory: the container's cgroup, absolute.
  Result<void> set(uint64_t cgroup, const std::string& directory, Observation wanted);
  void remove(uint64_t cgroup) { attached_.erase(cgroup); }
  int fd() const { return ring_buffer__epoll_fd(ring_.get()); }
  // Calls each for what was captured since the last time.
  void read(const OnCapture& each);

 private:
  struct Attached {
    Observation what;
    std::vector<LinkOwner> links;
  };

  std::vector<bpf_program*> wanted_programs(Observation wanted) const;

  Programs programs_ = {};
  std::unordered_map<uint64_t, Attached> attached_;
  std::unique_ptr<OnCapture> each_;  // where the ring's callback finds it
  RingBufferOwner ring_;
};

}  // namespace cellwall
