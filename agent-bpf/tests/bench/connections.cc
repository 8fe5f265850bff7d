// SPDX-License-Identifier: Apache-2.0
//
// What one loopback connection (socket, connect, accept, close of both ends) costs: bare; with the programs
// of Cellwall attached, both ends tracked and the ring drained each 100 ms; with connection tracking; with
// connection tracking and a listener to its events (conntrack -E). Rounds are interleaved, so that a slow
// phase of the machine hits all alike. Prints one JSON object: nanoseconds per connection, medians over the
// rounds.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "../kernel/sockets.h"
#include "measure.h"

namespace cellwall::test {
namespace {

constexpr int kConnections = 8000;

double connections_ns(const std::string& cgroup) {
  int result[2];
  if (pipe(result) != 0) return 0;
  run_in(cgroup, [&] {
    const Server server(SOCK_STREAM, "127.0.0.1");
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kConnections; i++) {
      const int client = make_socket("127.0.0.1", SOCK_STREAM);
      if (tcp_try(client, "127.0.0.1", server.port()) != 0) return 1;
      const int accepted = accept(server.fd(), nullptr, nullptr);
      // A reset, so that a long run does not use up the ports in TIME_WAIT.
      const linger abort = {.l_onoff = 1, .l_linger = 0};
      setsockopt(client, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
      close(client);
      close(accepted);
    }
    const double ns =
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
    const double each = ns / kConnections;
    return write(result[1], &each, sizeof(each)) == sizeof(each) ? 0 : 1;
  });
  double each = 0;
  if (read(result[0], &each, sizeof(each)) != sizeof(each)) each = 0;
  close(result[0]);
  close(result[1]);
  return each;
}

// The kernel side with a reader, as the agent runs it.
class Tracking {
 public:
  Tracking(const std::string& cgroup, const std::string& pins, bool policy) : pins_(pins) {
    KernelOptions options;
    options.cgroup = cgroup;
    options.pin_directory = pins;
    auto opened = Kernel::open(options);
    if (!opened) {
      std::fprintf(stderr, "%s\n", opened.error().message.c_str());
      std::exit(1);
    }
    kernel_ = std::move(*opened);
    if (policy) enforce(cgroup);
    reader_ = std::thread([this] {
      while (!done_) {
        drain();
        usleep(100000);
      }
      drain();
    });
  }
  ~Tracking() {
    done_ = true;
    reader_.join();
    (void)kernel_->uninstall();
  }
  uint64_t events() const { return events_; }

 private:
  // Every connect of the container is matched against 1,000 networks.
  void enforce(const std::string& cgroup) {
    KernelPolicy policy;
    policy.generation = 1;
    policy.subjects = {
        {.cgroup = cgroup_id(cgroup + "/container"), .rule_set = 1, .directory = cgroup + "/container"}};
    policy.rules.peers.push_back({.rule_set = 1,
                                  .direction = CW_EGRESS,
                                  .network = address("::"),
                                  .prefix_length = 0,
                                  .class_id = kClassAllow});
    for (int i = 0; i < 1000; i++) {
      const std::string network = "10." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".0";
      policy.rules.peers.push_back({.rule_set = 1,
                                    .direction = CW_EGRESS,
                                    .network = address(network),
                                    .prefix_length = 120,
                                    .class_id = kClassDeny});
    }
    policy.rules.ports = allow_and_deny_classes();
    if (auto done = kernel_->apply(policy); !done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  }

  void drain() {
    uint64_t last = 0;
    kernel_->ring().read(SIZE_MAX, [&](const cw_event&, uint64_t index) { last = index; });
    if (!last) return;
    kernel_->ring().release(last);
    events_ = last;
  }

  std::string pins_;
  std::unique_ptr<Kernel> kernel_;
  std::atomic<bool> done_ = false;
  std::atomic<uint64_t> events_ = 0;
  std::thread reader_;
};

class Conntrack {
 public:
  explicit Conntrack(bool listen) {
    if (std::system("nft add table inet bench && nft 'add chain inet bench in { type filter hook input "
                    "priority 0; }' && "
                    "nft add rule inet bench in ct state new counter") != 0)
      std::exit(1);
    if (listen) listener_ = start_listener();
  }
  ~Conntrack() {
    if (listener_ > 0) {
      kill(listener_, SIGTERM);
      waitpid(listener_, nullptr, 0);
    }
    (void)!std::system("nft delete table inet bench");
  }

 private:
  static pid_t start_listener() {
    const pid_t child = fork();
    if (child == 0) {
      const int null = open("/dev/null", O_WRONLY);
      dup2(null, STDOUT_FILENO);
      dup2(null, STDERR_FILENO);
      execlp("conntrack", "conntrack", "-E", nullptr);
      _exit(1);
    }
    usleep(200000);
    return child;
  }
  pid_t listener_ = 0;
};

double median(std::vector<double> values) {
  return percentile(std::move(values), 0.5);
}

// A cgroup and a bpffs of the benchmark's own.
class Bench : public Standalone<KernelTest> {
 public:
  Figures run(int rounds) {
    const std::string cgroup = container("container");
    Samples samples;
    connections_ns(cgroup);  // warm up
    for (int round = 0; round < rounds; round++) {
      samples["bare"].push_back(connections_ns(cgroup));
      {
        Tracking tracking(root_, pins_, false);
        samples["cellwall"].push_back(connections_ns(cgroup));
      }
      samples["bare"].push_back(connections_ns(cgroup));
      {
        Tracking tracking(root_, pins_, true);
        samples["cellwall_with_policy"].push_back(connections_ns(cgroup));
      }
      {
        Conntrack conntrack(false);
        samples["conntrack"].push_back(connections_ns(cgroup));
      }
      {
        Conntrack conntrack(true);
        samples["conntrack_events"].push_back(connections_ns(cgroup));
      }
    }
    return figures_ns(samples, median);
  }
};

}  // namespace
}  // namespace cellwall::test

int main(int argc, char** argv) {
  using namespace cellwall::test;
  return run_rounds<Bench>(argc, argv, 9, {"connections", kConnections});
}
