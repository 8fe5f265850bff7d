// SPDX-License-Identifier: Apache-2.0
//
// What containers learn by looking names up: who may learn, of whom, and what is there.
#pragma once

#include <bpf/libbpf.h>

#include <span>

#include "kernel.h"
#include "kernel_guard.h"

namespace cellwall {

class LearnedNames {
 public:
  struct Programs {
    bpf_program* guard;
    bpf_program* teach;
    bpf_program* sweep;
  };
  struct Maps {
    int learned;
    int learners;
    int resolvers;
    uint32_t most_learners;
    uint32_t most_resolvers;
  };

  // Puts the new program into the links that an earlier agent pinned.
  static Result<LearnedNames> open(const Pins& pins, const Programs& programs, const Maps& maps);

  // By CW_SUBJECT_NAMES: a container that learns has its incoming packets looked at. A cgroup that is gone is
  // no error.
  Result<void> set(const KernelSubject& subject);
  void remove(uint64_t cgroup);
  // All but these are removed.
  void keep(std::span<const KernelSubject> subjects);
  Result<void> set_resolvers(std::span<const KernelResolver> resolvers);
  Result<void> learn(uint64_t container, const Address& address, const std::string& name, uint32_t ttl,
                     uint64_t time_ns);
  Result<std::vector<KernelLearned>> learned() const;
  Result<void> sweep();

 private:
  LearnedNames(const Pins& pins, const Programs& programs, const Maps& maps)
      : programs_(programs), maps_(maps), guards_(pins, {{"guard_names_", programs.guard}}) {}
  Result<void> put_learner(const KernelSubject& subject);

  Programs programs_;
  Maps maps_;
  Guards guards_;
};

// An answer that has one address, as a name server sends it; empty: the name is none.
std::vector<uint8_t> encode_dns_answer(const std::string& name, const Address& address, uint32_t ttl);

}  // namespace cellwall
