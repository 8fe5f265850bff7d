// SPDX-License-Identifier: Apache-2.0
//
// What the tests of rules with domain names share. The container "web" may reach its name server; everything
// else is refused, but what it looked up by a name that it may reach.
#pragma once

#include "fixture.h"
#include "name_server.h"

namespace cellwall::test {

inline constexpr char kResolver[] = "10.7.0.1";
inline constexpr uint32_t kRuleDefaultDeny = 30;
inline constexpr uint32_t kRuleName = 31;

uint32_t network_at(const std::string& path);  // inode number of the network namespace
uint32_t own_network();

// The subject may ask name servers, and reach by TCP what has one of these names; all else is refused.
KernelPolicy names_policy(uint64_t generation, const KernelSubject& subject,
                          const std::vector<std::string>& names, uint8_t verdict = CW_ALLOWED);

class NamesTest : public KernelTest {
 protected:
  void SetUp() override;
  // Puts a generation with these names in force, each of which may be reached by TCP. With them, web learns.
  void accept(const std::vector<std::string>& names, uint8_t verdict = CW_ALLOWED);
  void trust(const std::vector<KernelResolver>& resolvers);

  // Of web: asks the name server; 0: an answer came.
  int ask(const std::string& name, Asking how = Asking::kConnected, const std::string& server = kResolver);
  // 0, or the error of the connect: EPERM when it is refused.
  int reach(const std::string& target);
  uint64_t count(cw_counter counter) const { return kernel_->counters()[counter]; }
  std::vector<KernelLearned> learned() const;
  // Sets when everything that was learned ends.
  void end_learned_at(uint64_t until_ns);
  KernelSubject learner(const std::string& cgroup) const;

  std::string web_;
  std::unique_ptr<Server> target_;  // of all addresses of this host
  std::unique_ptr<Server> target6_;
};

}  // namespace cellwall::test
