// SPDX-License-Identifier: Apache-2.0
//
// What the agent decides about containers, in the running kernel.
#include "enforcement.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>

#include "cgroup_tree.h"
#include "fixture.h"
#include "sockets.h"

namespace cellwall::test {
namespace {

constexpr char kNode[] = "node-a";
const std::string kId(64, 'a');

// One policy for containers named nginx: 10.7.0.1 is refused. The container without a name is in a pod.
class Enforced : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    state_ = root_.substr(root_.rfind('/') + 1);
    file_ = "/tmp/" + state_ + "-rule-sets";
  }
  void TearDown() override {
    enforcement_.reset();
    KernelTest::TearDown();
    std::remove(file_.c_str());
  }

  // As the agent does when it starts.
  void begin(Startup startup) {
    start();
    ASSERT_TRUE(kernel_->allow_at_startup(startup_name_servers()).has_value());
    tree_.emplace(*CgroupTree::open(root_));
    containers_ = Containers();
    std::vector<uint64_t> died;
    for (const auto& born : tree_->scan(now_, &died)) containers_.born(born, now_);
    enforcement_.emplace(
        *kernel_, containers_, [this](const std::string& path) { return tree_->directory(path); },
        Enforcement::Options{.node = kNode, .file = file_, .startup = startup});
    enforcement_->restore();
  }
  void end() {
    enforcement_.reset();
    stop();
  }

  void take_policy(uint64_t generation) {
    v1::RuleSets sets;
    sets.set_generation(generation);
    auto* selector = sets.add_policies();
    selector->set_all_namespaces(true);
    selector->set_subject(true);
    selector->add_containers("nginx");
    auto* set = sets.add_rule_sets();
    set->set_id(1);
    set->add_policies(0);
    set->set_guarded(true);
    add_peer(set, "::", 0, v1::DIRECTION_EGRESS, 1);
    add_peer(set, "::", 0, v1::DIRECTION_INGRESS, 1);
    add_peer(set, "::ffff:10.7.0.1", 128, v1::DIRECTION_EGRESS, 2);
    add_port(set, 1, v1::VERDICT_ALLOWED);
    add_port(set, 2, v1::VERDICT_DENIED);
    v1::RuleSetUpdate update;
    update.set_payload(sets.SerializeAsString());
    update.set_digest(digest_of(update.payload()));
    const auto ok = enforcement_->take(update);
    ASSERT_TRUE(ok.has_value()) << ok.error().message;
  }

  static void add_peer(v1::RuleSet* set, const std::string& network, uint32_t prefix, v1::Direction direction,
                       uint32_t class_id) {
    const auto bytes = address(network);
    auto* peer = set->add_peers();
    peer->set_network(std::string(bytes.begin(), bytes.end()));
    peer->set_prefix_length(prefix);
    peer->set_direction(direction);
    peer->set_class_(class_id);
  }
  static void add_port(v1::RuleSet* set, uint32_t class_id, v1::Verdict verdict) {
    auto* port = set->add_ports();
    port->set_class_(class_id);
    port->set_verdict(verdict);
    port->set_rule(15 + class_id);
  }

  std::string pod_container() {
    return container("kubepods/besteffort/pod11111111-2222-3333-4444-555555555555/" + kId);
  }

  // As when the kernel's record of the birth is read.
  void read_births() {
    kernel_->read_lifecycle([&](const cw_lifecycle& record) {
      ContainerCgroup born;
      if (!record.born || !tree_->add(record.cgroup, record.path, &born)) return;
      containers_.born(born, now_);
      enforcement_->born(born.id, record.time_ns, now_);
    });
  }

  void name(const std::string& name) {
    RuntimeContainer listed;
    listed.name = name;
    listed.namespace_name = "shop";
    listed.pod = "web-1";
    listed.image = "nginx:1";
    enforcement_->known(containers_.name({{kId, listed}}, now_), now_);
  }

  int connect_from(const std::string& cgroup, const std::string& target, uint16_t port) {
    return run_in(cgroup, [&] { return tcp_exchange(target, port); });
  }

  uint64_t counter(const std::string& name) {
    google::protobuf::Map<std::string, uint64_t> counters;
    enforcement_->count(&counters);
    return counters.at(name);
  }

  std::string state_, file_;
  std::optional<CgroupTree> tree_;
  Containers containers_;
  std::optional<Enforcement> enforcement_;
  Enforcement::Time now_ = std::chrono::steady_clock::now();
};
INSTANTIATE_TEST_SUITE_P(, Enforced, ::testing::Values(false), [](const auto&) { return "plain_loads"; });

TEST_P(Enforced, startup_deny_refuses_until_the_container_is_named) {
  begin(Startup::kDeny);
  take_policy(1);
  const std::string web = pod_container();
  Server refused(SOCK_STREAM, "10.7.0.1"), allowed(SOCK_STREAM, "10.7.0.2"), local(SOCK_STREAM, "127.0.0.1");
  read_births();
  EXPECT_EQ(connect_from(web, "10.7.0.2", allowed.port()), EPERM);
  EXPECT_EQ(connect_from(web, "127.0.0.1", local.port()), 0);
  EXPECT_EQ(connect_from(web, "10.7.0.2", 53), ECONNREFUSED) << "a name server";
  const auto found = events();
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].rule, static_cast<uint32_t>(CW_RULE_STARTUP));
  name("nginx");
  EXPECT_EQ(connect_from(web, "10.7.0.2", allowed.port()), 0);
  EXPECT_EQ(connect_from(web, "10.7.0.1", refused.port()), EPERM);
  EXPECT_GT(counter("startup_policy_us"), 0U);
}

TEST_P(Enforced, a_restart_lifts_nothing_for_a_moment) {
  begin(Startup::kAllow);
  const std::string web = pod_container();
  read_births();
  take_policy(1);
  name("nginx");
  Server refused(SOCK_STREAM, "10.7.0.1");
  int attempts = 0;
  const int leaked = fails_while(
      web, [&] { return tcp_exchange("10.7.0.1", refused.port()) == EPERM; },
      [&] {
        for (int i = 0; i < 3; i++) {
          end();
          // The next one does not know its name yet.
          begin(Startup::kAllow);
          usleep(20000);
          name("nginx");
        }
      },
      &attempts);
  EXPECT_EQ(leaked, 0);
  EXPECT_GT(attempts, 100);
}

TEST_P(Enforced, a_renamed_container_gets_its_policy_and_loses_what_it_must_not_have) {
  begin(Startup::kAllow);
  const std::string web = pod_container();
  read_births();
  take_policy(1);
  name("other");
  Server server(SOCK_STREAM, "10.7.0.1");
  EXPECT_EQ(connect_from(web, "10.7.0.1", server.port()), 0);
  name("nginx");
  EXPECT_EQ(connect_from(web, "10.7.0.1", server.port()), EPERM);
  name("other");
  EXPECT_EQ(connect_from(web, "10.7.0.1", server.port()), 0);
}

}  // namespace
}  // namespace cellwall::test
