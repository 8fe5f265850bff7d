// SPDX-License-Identifier: Apache-2.0
//
// What guarding a container costs and how fast it acts. Round trips of 64 bytes over one loopback connection,
// bare and guarded ("turns": both ends in one thread, "server": a process each), and those of its neighbour,
// which is under no policy. connect() of a UDP socket, which asks the policy, with 10, with 1,000 and with
// 100,000 networks, the same peer again and again ("hot") and always another one ("cold"); "inside": what the
// program takes of it, by the kernel's count. How long it takes to cut open connections, and from the call
// that puts a deny in force to the last byte that comes through. Prints one JSON object.
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "../kernel/sockets.h"
#include "measure.h"
#include "round_trips.h"

namespace cellwall::test {
namespace {

constexpr int kConnects = 20000;

double now_ns() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

class Bench : public Standalone<KernelTest> {
 public:
  void open() {
    must_start([](KernelOptions& options) { options.flow_slots = 65536; });
    if (const std::string& why = kernel_->guards_refused(); !why.empty()) {
      std::fprintf(stderr, "no guards: %s\n", why.c_str());
      std::exit(1);
    }
    web_ = container("container");
    neighbour_ = container("neighbour");
  }

  void packets(int rounds) {
    const std::vector<KernelPeer> peers = {peer("::", 0, kClassAllow), sender("::", 0, kClassAllow)};
    for (int round = 0; round < rounds; round++) {
      enforce(web_, peers, allow_and_deny_classes());
      sample("bare", web_);
      guard(web_, peers);
      sample("guarded", web_);
      for (const char* program : {"cw_guard_egress", "cw_guard_ingress"}) {
        samples_[program].push_back(inside(program, [&] { turns_ns(web_); }).ns);
        // Agents beside this one load programs of the same names.
        double& near = figures_.try_emplace(std::string("near_runs_of_") + program, HUGE_VAL).first->second;
        near = std::min(near, inside(program, [&] { turns_ns(neighbour_); }).runs);
      }
    }
  }

  // Per connect of a UDP socket that is connected again and again.
  double connect_ns(bool cold) {
    const double before = children_ns();
    run_in(web_, [&] {
      const int fd = make_socket("10.7.0.1", SOCK_DGRAM);
      sockaddr_in to = {};
      to.sin_family = AF_INET;
      to.sin_port = htons(9);
      uint32_t number = 0x0a070001;
      for (int i = 0; i < kConnects; i++) {
        if (cold) number = 0xcb007100 | (static_cast<uint32_t>(i) & 0xff);
        to.sin_addr.s_addr = htonl(number);
        if (cold) to.sin_port = htons(static_cast<uint16_t>(1000 + i));
        (void)!connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to));
      }
      return 0;
    });
    events();
    return (children_ns() - before) / kConnects;
  }

  void policies(int rounds) {
    for (int round = 0; round < rounds; round++) {
      for (const int count : {0, 10, 1000, 100000}) {
        std::vector<KernelPeer> peers = {peer("::", 0, kClassAllow), sender("::", 0, kClassAllow)};
        for (int i = 0; i < count; i++) {
          const auto value = static_cast<uint32_t>(i) * 40503U + 0x10000000U;
          char text[64];
          std::snprintf(text, sizeof(text), "%u.%u.%u.%u", (value >> 24) & 127, (value >> 16) & 255,
                        (value >> 8) & 255, value & 255);
          peers.push_back(peer(text, i % 2 ? 32 : 24, kClassAllow));
        }
        if (count == 0)
          enforce(container("nobody"), {peer("::", 0, kClassAllow)}, allow_and_deny_classes());
        else
          enforce(web_, peers, allow_and_deny_classes());
        for (const bool cold : {false, true}) {
          const std::string name = (cold ? "cold_" : "hot_") + std::to_string(count);
          samples_[name + "_inside"].push_back(inside("cw_connect4", [&] { connect_ns(cold); }).ns);
          samples_[name].push_back(connect_ns(cold));
        }
      }
    }
  }

  void cut(int count) {
    guard(web_, {peer("::", 0, kClassAllow), sender("::", 0, kClassAllow)});
    rlimit files = {.rlim_cur = static_cast<rlim_t>(count + 100),
                    .rlim_max = static_cast<rlim_t>(count + 100)};
    setrlimit(RLIMIT_NOFILE, &files);
    const Server server(SOCK_STREAM, "10.7.0.1");
    std::vector<int> accepted;
    Signal ready, go;
    Child client(web_, [&] {
      for (int i = 0; i < count; i++) {
        if (tcp_try(make_socket("10.7.0.1", SOCK_STREAM), "10.7.0.1", server.port())) return 1;
      }
      ready.give();
      go.wait(9);
      return 0;
    });
    for (int i = 0; i < count; i++) accepted.push_back(accept(server.fd(), nullptr, nullptr));
    ready.wait();
    guard(web_, {peer("::", 0, kClassDeny), sender("::", 0, kClassAllow)});
    const double before = now_ns();
    const auto done = kernel_->cut_refused();
    figures_["cut_ms"] = (now_ns() - before) / 1e6;
    figures_["cut_connections"] = done ? static_cast<double>(*done) : -1;
    if (!done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
    go.give();
    for (int fd : accepted) close(fd);
    events();
  }

  // A sender that never stops; from the call of apply() to the last byte, and to the reset.
  void last_bytes(int rounds) {
    std::vector<double> last, applied;
    for (int round = 0; round < rounds; round++) {
      guard(web_, {peer("::", 0, kClassAllow), sender("::", 0, kClassAllow)});
      const Server server(SOCK_STREAM, "10.7.0.1");
      Child client(web_, [&] {
        const int fd = make_socket("10.7.0.1", SOCK_STREAM);
        if (tcp_try(fd, "10.7.0.1", server.port())) return 1;
        while (send(fd, "x", 1, MSG_NOSIGNAL) == 1) usleep(200);
        return 0;
      });
      const int fd = accept(server.fd(), nullptr, nullptr);
      int pair[2];
      if (pipe(pair) != 0) return;
      const pid_t reader = fork();
      if (reader == 0) {
        double at = 0;
        char text[4096];
        while (recv(fd, text, sizeof(text), 0) > 0) at = now_ns();
        (void)!write(pair[1], &at, sizeof(at));
        _exit(0);
      }
      usleep(20000);
      const double before = now_ns();
      guard(web_, {peer("::", 0, kClassDeny), sender("::", 0, kClassAllow)});
      applied.push_back((now_ns() - before) / 1e6);
      (void)kernel_->cut_refused();
      double at = 0;
      (void)!read(pair[0], &at, sizeof(at));
      last.push_back((at - before) / 1e6);
      waitpid(reader, nullptr, 0);
      for (int each : {pair[0], pair[1], fd}) close(each);
      events();
    }
    figures_["apply_ms"] = percentile(applied, 0.5);
    figures_["last_byte_p50_ms"] = percentile(last, 0.5);
    figures_["last_byte_p99_ms"] = percentile(last, 0.99);
  }

  Figures figures() {
    figures_.merge(figures_ns(samples_, low));
    return figures_;
  }

 private:
  void sample(const std::string& name, const std::string& cgroup) {
    samples_["turns_" + name].push_back(turns_ns(cgroup));
    samples_["server_" + name].push_back(server_ns(cgroup));
    events();
  }

  std::string web_, neighbour_;
  Samples samples_;
  Figures figures_;
};

}  // namespace
}  // namespace cellwall::test

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 30;
  cellwall::test::enter_own_namespaces();
  cellwall::test::Bench bench;
  bench.SetUp();
  bench.open();
  bench.packets(rounds);
  bench.policies(std::max(rounds / 10, 1));
  bench.last_bytes(rounds);
  bench.cut(argc > 2 ? std::atoi(argv[2]) : 10000);
  const auto figures = bench.figures();
  bench.TearDown();
  cellwall::test::print({{"rounds", rounds}, {"round_trips", cellwall::test::kRoundTrips}}, figures);
  return 0;
}
