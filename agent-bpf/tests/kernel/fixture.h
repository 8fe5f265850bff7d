// SPDX-License-Identifier: Apache-2.0
//
// Real programs in the running kernel, attached to a cgroup of the test's own, in network and mount
// namespaces of its own.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "kernel.h"
#include "processes.h"

namespace cellwall::test {

// Makes the namespaces; call once, before the tests.
void enter_own_namespaces();

std::string cgroup2_mount();

uint64_t cgroup_id(const std::string& directory);
std::array<uint8_t, 16> address(const std::string& text);  // IPv4 becomes v4-mapped
std::string text_of(const uint8_t address[16]);

// The parameter says whether the fallback for kernels without plain loads is forced.
class KernelTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override;
  void TearDown() override;
  virtual bool forced_fallback() const { return GetParam(); }

  void start(const std::function<void(KernelOptions&)>& change = [](KernelOptions&) {});
  void stop() { kernel_.reset(); }  // as when the agent ends: pins stay
  std::vector<cw_event> events();   // all that is in the ring and was not read; gives the space back
  std::string container(const std::string& name);  // makes the cgroup, returns its directory
  // One rule set with the given peers and ports for one container; generation counts up.
  void enforce(const std::string& cgroup, std::vector<KernelPeer> peers, std::vector<KernelPort> ports);
  // The same for a container whose packets are judged.
  void guard(const std::string& cgroup, std::vector<KernelPeer> peers, std::vector<KernelPort> ports = {},
             uint32_t more_flags = 0);
  KernelPeer sender(const std::string& network, int prefix, uint32_t class_id) const;  // of ingress rules
  KernelPeer peer(const std::string& network, int prefix, uint32_t class_id) const;

  std::string root_;  // the attach point
  std::string pins_;
  std::unique_ptr<Kernel> kernel_;
  uint64_t generation_ = 0;

 private:
  void put_in_force(KernelSubject subject, std::vector<KernelPeer> peers, std::vector<KernelPort> ports);
  std::string mount_;
};

constexpr uint32_t kClassAllow = 1;
constexpr uint32_t kClassDeny = 2;
constexpr uint32_t kRuleAllow = 16;
constexpr uint32_t kRuleDeny = 17;
// Everything is allowed but what kClassDeny covers.
std::vector<KernelPort> allow_and_deny_classes();

}  // namespace cellwall::test
