// SPDX-License-Identifier: Apache-2.0
//
// What is in force on this node: which rule sets, and which of them for each container. The part of the main
// loop that decides it, puts it into the kernel and keeps it on disk.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cellwall/v1/agent.pb.h"
#include "containers.h"
#include "kernel.h"
#include "name_cache.h"
#include "pod_networks.h"
#include "policy.h"
#include "result.h"
#include "startup.h"
#include "state_file.h"

namespace cellwall {

class Enforcement {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using DirectoryOf = std::function<std::string(const std::string& cgroup_path)>;
  struct Options {
    std::string node;
    std::string file;  // keeps the rule sets for the next start
    Startup startup = Startup::kAllow;
    const NameCache* names = nullptr;  // what containers looked up; null: it is not known
  };

  Enforcement(Kernel& kernel, const Containers& containers, DirectoryOf directory_of, const Options& options);

  // Puts in force what the last run had in force, as a whole: nothing that is enforced is lifted for a
  // moment.
  void restore();
  // The next rule sets are of another store: their generation has nothing to do with that in force.
  void expect_other_store() { other_store_ = true; }
  Result<void> take(const v1::RuleSetUpdate& update);
  // An error leaves what was in force.
  Result<void> take(const v1::RuleSetDifference& difference);
  // An error leaves the revision before in force; if the kernel was full, with some of the amendment.
  Result<void> take(const v1::RuleSetAmendment& amendment);

  // born_ns: CLOCK_BOOTTIME, 0: not seen.
  void born(uint64_t cgroup, uint64_t born_ns, Time now);
  // Something new is known about these containers.
  void known(const std::vector<uint64_t>& containers, Time now);
  void died(uint64_t cgroup);
  void tick(Time now);
  void stop();

  v1::Applied applied() const;
  void count(google::protobuf::Map<std::string, uint64_t>* counters) const;

 private:
  struct Decision {
    Policy::Match match;                  // what is in force
    std::vector<Address> addresses = {};  // of its pod
    bool final = false;                   // false: the container, or the policy, is not known yet
    bool operator==(const Decision&) const = default;
  };
  struct Refused {
    Time since;
    bool told = false;
  };

  Result<void> take_all(const std::string& payload);
  Result<void> apply(const std::string& payload);
  Decision decide(const Policy* policy, const v1::Container& container) const;
  Decision match(const Policy* policy, const v1::Container& container) const;
  bool is_known(const v1::Container& container) const;
  KernelSubject subject(const v1::Container& container, const Decision& decision);
  void look_for_networks();
  void teach(const v1::Container& container, const Decision& decision);
  void tell_resolvers();
  void put_all();
  void select_all();
  void select(uint64_t cgroup, Time now);
  void settle(const v1::Container& container, const Decision& decision, Time now);
  bool put(const v1::Container& container, const Decision& decision);
  void measure_start(uint64_t cgroup);
  void observe(const v1::Container& container);
  void cut(Time now);
  void save(Time now);
  void retry(Time now);
  void tell_refused(Time now);

  Kernel& kernel_;
  const Containers& containers_;
  const DirectoryOf directory_of_;
  const Options options_;
  const StateFile file_;
  std::optional<Policy> policy_;
  std::string digest_;    // of the rule sets that came as a whole
  bool amended_ = false;  // since then
  bool other_store_ = false;
  // One entry for each living container at most.
  std::unordered_map<uint64_t, Decision> decisions_;
  std::unordered_map<uint64_t, uint64_t> born_ns_;  // no final decision yet
  std::unordered_map<uint64_t, Refused> refused_;   // by --startup deny
  std::unordered_set<uint64_t> failed_;             // the kernel did not take the decision
  // Learn names as soon as their network is known: a new container has no process yet.
  std::unordered_set<uint64_t> without_network_;
  PodNetworks networks_;
  std::vector<KernelResolver> resolvers_;  // that the kernel knows
  uint64_t start_us_ = 0, longest_start_us_ = 0, connections_cut_ = 0;
  bool unsaved_ = false, cut_wanted_ = false, resolvers_changed_ = false;
  std::string last_cut_error_;
  Time next_save_, next_cut_, next_retry_, next_name_sweep_;
};

}  // namespace cellwall
