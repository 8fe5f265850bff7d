// SPDX-License-Identifier: Apache-2.0
#include "names_fixture.h"

#include <bpf/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "fd.h"

namespace cellwall::test {
namespace {

constexpr uint32_t kClassIsolated = 10;
constexpr uint32_t kClassName = 11;
constexpr uint32_t kClassOpen = 12;

KernelPort everything(uint32_t class_id, uint8_t verdict, uint32_t rule) {
  return {.class_id = class_id,
          .protocol = 0,
          .port = 0,
          .port_prefix_length = 0,
          .verdict = verdict,
          .rule = rule};
}

}  // namespace

uint32_t network_at(const std::string& path) {
  struct stat info = {};
  stat(path.c_str(), &info);
  return static_cast<uint32_t>(info.st_ino);
}

uint32_t own_network() {
  return network_at("/proc/thread-self/ns/net");
}

KernelPolicy names_policy(uint64_t generation, const KernelSubject& subject,
                          const std::vector<std::string>& names, uint8_t verdict) {
  KernelPolicy policy;
  policy.generation = generation;
  policy.subjects = {subject};
  for (const auto& [direction, class_id] : {std::pair{CW_EGRESS, kClassIsolated}, {CW_INGRESS, kClassOpen}})
    policy.rules.peers.push_back({.rule_set = subject.rule_set,
                                  .direction = direction,
                                  .network = {},
                                  .prefix_length = 0,
                                  .class_id = class_id});
  auto& ports = policy.rules.ports;
  ports.push_back(everything(kClassOpen, CW_ALLOWED, kRuleAllow));
  ports.push_back(everything(kClassIsolated, CW_DENIED, kRuleDefaultDeny));
  ports.back().lift = CW_LIFT_ENFORCED;
  // Name servers, whoever they say they are: only who may teach is the matter here.
  for (const uint8_t protocol : {IPPROTO_UDP, IPPROTO_TCP}) {
    ports.push_back(everything(kClassIsolated, CW_ALLOWED, kRuleAllow));
    ports.back().protocol = protocol;
    ports.back().port = 53;
    ports.back().port_prefix_length = 16;
  }
  ports.push_back(everything(kClassName, verdict, kRuleName));
  ports.back().protocol = IPPROTO_TCP;
  for (const std::string& name : names)
    policy.rules.names.push_back({.rule_set = subject.rule_set, .name = name, .class_id = kClassName});
  return policy;
}

void NamesTest::SetUp() {
  KernelTest::SetUp();
  start();
  web_ = container("pod/web");
  target_ = std::make_unique<Server>(SOCK_STREAM, "0.0.0.0");
  target6_ = std::make_unique<Server>(SOCK_STREAM, "::1", target_->port());
  trust({{.net = own_network(), .address = address(kResolver)}});
}

KernelSubject NamesTest::learner(const std::string& cgroup) const {
  return {.cgroup = cgroup_id(cgroup),
          .rule_set = 1,
          .flags = CW_SUBJECT_NAMES,
          .directory = cgroup,
          .net = own_network()};
}

void NamesTest::accept(const std::vector<std::string>& names, uint8_t verdict) {
  const auto done = kernel_->apply(names_policy(++generation_, learner(web_), names, verdict));
  ASSERT_TRUE(done.has_value()) << done.error().message;
}

void NamesTest::trust(const std::vector<KernelResolver>& resolvers) {
  const auto done = kernel_->set_resolvers(resolvers);
  ASSERT_TRUE(done.has_value()) << done.error().message;
}

int NamesTest::ask(const std::string& name, Asking how, const std::string& server) {
  return run_in(web_, [&] { return look_up(server, name, how, 500); });
}

int NamesTest::reach(const std::string& target) {
  return run_in(web_, [&] { return tcp_abort(target, target_->port()); });
}

std::vector<KernelLearned> NamesTest::learned() const {
  const auto found = kernel_->learned();
  EXPECT_TRUE(found.has_value());
  return found.value_or(std::vector<KernelLearned>{});
}

void NamesTest::end_learned_at(uint64_t until_ns) {
  const Fd map(bpf_obj_get((pins_ + "/cw_learned").c_str()));
  for (const KernelLearned& one : learned()) {
    cw_learned_key key = {.container = one.container, .address = {}};
    std::copy(one.address.begin(), one.address.end(), key.address);
    cw_learned value = {};
    ASSERT_EQ(bpf_map_lookup_elem(map.get(), &key, &value), 0);
    for (int i = 0; i < CW_LEARNED_PATTERNS; i++) value.until_ns[i] = value.pattern[i] ? until_ns : 0;
    ASSERT_EQ(bpf_map_update_elem(map.get(), &key, &value, BPF_EXIST), 0);
  }
}

}  // namespace cellwall::test
