// SPDX-License-Identifier: Apache-2.0
//
// The running kernel says what the reference evaluator says: real connects and datagrams for the cases in the
// folder that CELLWALL_CASES names (test/differential makes them).
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>

#include "differential_cases.h"
#include "fixture.h"
#include "policy.h"
#include "sockets.h"

namespace cellwall::test {
namespace {

constexpr unsigned kLongestSeconds = 900;
constexpr size_t kMostDifferences = 10;

// Loopback takes all of these, so that nothing waits for an answer.
const char* const kLocal[] = {"8.0.0.0/8", "10.0.0.0/8", "169.254.0.0/16", "fd07::/64", "2001:db8::/32"};

struct Attempt {
  char address[INET6_ADDRSTRLEN];
  uint16_t port;
  uint8_t protocol;
  bool connected;
};

int send_unconnected(const Attempt& attempt) {
  const int fd = make_socket(attempt.address, SOCK_DGRAM);
  const int error = udp_send(fd, attempt.address, attempt.port);
  close(fd);
  return error;
}

int perform(const Attempt& attempt) {
  if (attempt.protocol == IPPROTO_TCP) return tcp_abort(attempt.address, attempt.port);
  return attempt.connected ? udp_connect(attempt.address, attempt.port) : send_unconnected(attempt);
}

// A process in a container's cgroup that connects when it is told to.
class Worker {
 public:
  explicit Worker(const std::string& cgroup) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends_) != 0) std::abort();
    child_.emplace(cgroup, [this] { return work(); });
  }
  ~Worker() {
    child_.reset();
    close(ends_[0]);
    close(ends_[1]);
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // An errno value; -1: the process is gone.
  int ask(const Attempt& attempt) {
    int error = -1;
    if (send(ends_[0], &attempt, sizeof(attempt), MSG_NOSIGNAL) != sizeof(attempt)) return -1;
    const timeval patience = {.tv_sec = 5, .tv_usec = 0};
    setsockopt(ends_[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return recv(ends_[0], &error, sizeof(error), 0) == sizeof(error) ? error : -1;
  }

 private:
  int work() {
    alarm(kLongestSeconds);
    Attempt attempt;
    while (recv(ends_[1], &attempt, sizeof(attempt), 0) == sizeof(attempt)) {
      const int error = perform(attempt);
      (void)!send(ends_[1], &error, sizeof(error), 0);
    }
    return 0;
  }

  int ends_[2];
  std::optional<Child> child_;
};

// Empty: it can be tried here.
std::string why_skipped(const DifferentialWorld& world, const DifferentialCase& it) {
  if (it.direction != CW_EGRESS) return "ingress";
  if (it.protocol != IPPROTO_TCP && it.protocol != IPPROTO_UDP) return "neither TCP nor UDP";
  const auto& own = world.containers.at(it.container).addresses();
  if (std::find(own.begin(), own.end(), it.address) != own.end()) return "an address of the own pod";
  if (it.address.starts_with("fe80:") || it.address.starts_with("255.")) return "no address to connect to";
  return "";
}

class Differential : public KernelTest {
 protected:
  bool forced_fallback() const override { return false; }

  void SetUp() override {
    KernelTest::SetUp();
    alarm(kLongestSeconds);
    for (const char* network : kLocal) route("add", network);
  }
  void TearDown() override {
    workers_.clear();
    for (const char* network : kLocal) route("del", network);
    KernelTest::TearDown();
  }

  static void route(const std::string& verb, const std::string& network) {
    const std::string family = network.find(':') == std::string::npos ? "-4" : "-6";
    const std::string command = "ip " + family + " route " + verb + " local " + network + " dev lo";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }

  std::string slot(size_t index) { return root_ + "/slot" + std::to_string(index); }

  Worker& worker(size_t index) {
    while (workers_.size() <= index) {
      const std::string name = "slot" + std::to_string(workers_.size());
      workers_.push_back(std::make_unique<Worker>(container(name)));
    }
    return *workers_[index];
  }

  void apply(const DifferentialWorld& world) {
    auto parsed = cellwall::Policy::parse(world.rule_sets, world.node);
    ASSERT_TRUE(parsed.has_value()) << world.name << ": " << parsed.error().message;
    KernelPolicy policy = parsed->kernel_policy();
    policy.generation = ++generation_;
    const auto done = kernel_->apply(policy);
    ASSERT_TRUE(done.has_value()) << world.name << ": " << done.error().message;
    for (const auto& amendment : world.amendments) ASSERT_NO_FATAL_FAILURE(amend(&*parsed, amendment));
    for (size_t i = 0; i < world.containers.size(); i++) ASSERT_NO_FATAL_FAILURE(select(*parsed, world, i));
  }

  void amend(cellwall::Policy* policy, const v1::RuleSetAmendment& amendment) {
    const auto changes = policy->prepare(amendment);
    ASSERT_TRUE(changes.has_value()) << changes.error().message;
    const auto done = kernel_->amend(*changes);
    ASSERT_TRUE(done.has_value()) << done.error().message;
    policy->commit(amendment);
    amendments_++;
  }

  void select(const cellwall::Policy& policy, const DifferentialWorld& world, size_t index) {
    worker(index);
    const auto match = policy.match(world.containers[index]);
    ASSERT_FALSE(match.partial) << world.name << " has no rule set for container " << index;
    const auto done = kernel_->set_subject({.cgroup = cgroup_id(slot(index)),
                                            .rule_set = match.rule_set,
                                            .flags = match.flags,
                                            .directory = slot(index)});
    ASSERT_TRUE(done.has_value()) << world.name << ": " << done.error().message;
  }

  // What the kernel says; the event of this attempt is written when the worker answers.
  std::string differs(const DifferentialCase& it) {
    Attempt attempt = {
        .address = {}, .port = it.port, .protocol = it.protocol, .connected = tried_++ % 2 == 0};
    std::strncpy(attempt.address, it.address.c_str(), sizeof(attempt.address) - 1);
    const int error = worker(it.container).ask(attempt);
    if (error < 0) return "the worker is gone";
    if ((error == EPERM) != (it.verdict == CW_DENIED))
      return std::string("the call gave ") + strerrorname_np(error);
    const auto remote = address(it.address);
    size_t count = 0;
    for (const cw_event& event : events()) {
      if (event.direction != CW_EGRESS || event.remote_port != it.port || event.protocol != it.protocol)
        continue;
      if (std::memcmp(event.remote, remote.data(), remote.size()) != 0) continue;
      count++;
      if (event.verdict != it.verdict || event.rule != it.rule)
        return "verdict " + std::to_string(event.verdict) + " by rule " + std::to_string(event.rule);
    }
    return count > 0 ? "" : "no event";
  }

  void check(const DifferentialWorld& world) {
    for (const DifferentialCase& it : world.cases) {
      if (const std::string why = why_skipped(world, it); !why.empty()) {
        skipped_[why]++;
        continue;
      }
      seen_[it.verdict]++;
      const std::string found = differs(it);
      if (found.empty()) continue;
      differences_++;
      if (differences_ <= kMostDifferences)
        ADD_FAILURE() << world.name << ": " << describe(it) << ": " << found << ", expected verdict "
                      << it.verdict << " by rule " << it.rule;
    }
  }

  std::vector<std::unique_ptr<Worker>> workers_;
  std::map<std::string, size_t> skipped_;
  std::map<cw_verdict, size_t> seen_;
  size_t tried_ = 0, differences_ = 0, amendments_ = 0;
};

TEST_F(Differential, real_connections_get_the_verdict_of_the_reference_evaluator) {
  // The scripts of test/kernels name it, so that neither `make test` nor `make kernels` skips this; a call by
  // hand can.
  const char* folder = std::getenv("CELLWALL_CASES");
  if (!folder) GTEST_SKIP() << "CELLWALL_CASES names no folder with cases; test/differential makes one";
  const auto worlds = read_worlds(folder);
  ASSERT_FALSE(worlds.empty()) << folder << " has no cases";
  start();
  for (const DifferentialWorld& world : worlds) {
    ASSERT_NO_FATAL_FAILURE(apply(world));
    ASSERT_NO_FATAL_FAILURE(check(world));
    ASSERT_LE(differences_, 20 * kMostDifferences) << "too many to go on";
  }
  EXPECT_EQ(differences_, 0U);
  std::printf("%zu cases of %zu worlds with %zu amendments: %zu allowed, %zu denied, %zu audit\n", tried_,
              worlds.size(), amendments_, seen_[CW_ALLOWED], seen_[CW_DENIED], seen_[CW_AUDIT]);
  for (const auto& [why, count] : skipped_) std::printf("skipped %zu: %s\n", count, why.c_str());
  // Cases that all come out alike would find nothing.
  for (cw_verdict verdict : {CW_ALLOWED, CW_DENIED, CW_AUDIT}) EXPECT_GT(seen_[verdict], tried_ / 100);
}

}  // namespace
}  // namespace cellwall::test
