// SPDX-License-Identifier: Apache-2.0
//
// A kernel that remembers what it was told.
#pragma once

#include <map>

#include "kernel.h"

namespace cellwall::test {

class FakeKernel : public Kernel {
 public:
  struct Taught {
    uint64_t container;
    Address address;
    std::string name;
    uint32_t ttl;
    uint64_t time_ns;
  };
  struct WallCall {
    std::vector<WallContainer> containers;
    bool again;
  };

  bool adopted() const override { return false; }
  uint32_t ring_id() const override { return 1; }
  int ring_fd() const override { return -1; }
  int lifecycle_fd() const override { return -1; }
  int captures_fd() const override { return -1; }
  RingReader& ring() override { std::abort(); }
  size_t read_lifecycle(const std::function<void(const cw_lifecycle&)>&) override { return 0; }
  KernelCounters counters() const override { return {}; }
  Result<OpenSockets> open_sockets() override { return OpenSockets(); }
  Result<void> sweep_udp() override { return {}; }
  Result<void> observe(uint64_t cgroup, const std::string&, Observation wanted) override {
    observed[cgroup] = wanted;
    return {};
  }
  void stop_observing(uint64_t cgroup) override { observed.erase(cgroup); }
  void read_captures(const OnCapture&) override {}

  Result<void> apply(const KernelPolicy& policy) override {
    if (!refuses.empty()) return fail(refuses);
    applied.push_back(policy);
    subjects.clear();
    for (const auto& subject : policy.subjects) subjects[subject.cgroup] = subject;
    return {};
  }
  Result<void> amend(const KernelAmendment& amendment) override {
    if (!refuses.empty()) return fail(refuses);
    amended.push_back(amendment);
    return {};
  }
  Result<void> set_subject(const KernelSubject& subject) override {
    set_calls++;
    if (!refuses.empty()) return fail(refuses);
    subjects[subject.cgroup] = subject;
    return {};
  }
  Result<void> remove_subject(uint64_t cgroup) override {
    subjects.erase(cgroup);
    return {};
  }
  Result<void> allow_at_startup(const std::vector<KernelStartupAllow>&) override { return {}; }
  std::optional<cw_subject> subject(uint64_t cgroup) const override {
    const auto found = subjects.find(cgroup);
    if (found == subjects.end()) return std::nullopt;
    return cw_subject{.rule_set = found->second.rule_set, .flags = found->second.flags, .own = {}};
  }
  Result<void> ask(cw_question*) override { return {}; }
  Result<void> set_resolvers(const std::vector<KernelResolver>& known) override {
    resolvers = known;
    return {};
  }
  Result<void> learn(uint64_t container, const Address& address, const std::string& name, uint32_t ttl,
                     uint64_t time_ns) override {
    taught.push_back({container, address, name, ttl, time_ns});
    if (!refuses.empty()) return fail(refuses);
    return {};
  }
  Result<std::vector<KernelLearned>> learned() const override { return std::vector<KernelLearned>(); }
  Result<void> sweep_names() override { return {}; }
  Result<WallReport> keep_wall(const std::vector<WallContainer>& containers, bool again) override {
    walls.push_back({containers, again});
    if (!refuses.empty()) return fail(refuses);
    return wall_report;
  }
  Result<size_t> cut_refused() override {
    cuts++;
    if (!refuses.empty()) return fail(refuses);
    return size_t{2};
  }
  uint64_t generation() const override {
    return applied.empty() ? first_generation : applied.back().generation;
  }
  const std::string& guards_refused() const override { return guards_refused_; }
  Result<void> uninstall() override { return {}; }

  std::vector<KernelResolver> resolvers;
  std::string guards_refused_;
  std::string refuses;  // why everything fails; empty: nothing does
  uint64_t first_generation = 0;
  std::vector<KernelPolicy> applied;
  std::vector<KernelAmendment> amended;
  std::map<uint64_t, KernelSubject> subjects;
  std::map<uint64_t, Observation> observed;
  std::vector<Taught> taught;
  std::vector<WallCall> walls;
  WallReport wall_report;
  size_t cuts = 0, set_calls = 0;
};

}  // namespace cellwall::test
