// SPDX-License-Identifier: Apache-2.0
//
// What guarding a container costs and how fast it acts. Round trips of 64 bytes over one loopback connection,
// bare, with a program that does nothing, and guarded ("turns": both ends in one thread, "server": a process
// each). connect() of a UDP socket, which asks the policy, with 10 and with 100,000 networks, the same peer
// again and again ("hot") and always another one ("cold"). How long it takes to cut open connections, and
// from the call that puts a deny in force to the last byte that comes through. Prints one JSON object.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "../kernel/fixture.h"
#include "../kernel/sockets.h"
#include "kernel.h"

namespace cellwall::test {
namespace {

constexpr int kRoundTrips = 3000;
constexpr int kConnects = 20000;
constexpr size_t kBytes = 64;

double now_ns(clockid_t clock = CLOCK_MONOTONIC) {
  timespec time = {};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

bool pass(int from, int to) {
  char data[kBytes] = {};
  return send(from, data, sizeof(data), MSG_NOSIGNAL) == kBytes &&
         recv(to, data, sizeof(data), MSG_WAITALL) == kBytes;
}

void serve(int fd) {
  char data[kBytes];
  while (recv(fd, data, sizeof(data), MSG_WAITALL) == kBytes)
    (void)!send(fd, data, sizeof(data), MSG_NOSIGNAL);
  _exit(0);
}

double children_ns() {
  rusage usage = {};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto ns = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

double round_trip_ns(const std::string& cgroup, bool apart) {
  const Server server(SOCK_STREAM, "127.0.0.1");
  const double before = children_ns();
  pid_t child = 0;
  if (apart && (child = fork()) == 0) serve(accept(server.fd(), nullptr, nullptr));
  const int code = run_in(cgroup, [&] {
    const int client = make_socket("127.0.0.1", SOCK_STREAM);
    if (tcp_try(client, "127.0.0.1", server.port()) != 0) return 1;
    const int other = apart ? client : accept(server.fd(), nullptr, nullptr);
    for (int i = 0; i < kRoundTrips; i++) {
      if (apart ? !pass(client, client) : !pass(client, other) || !pass(other, client)) return 2;
    }
    return 0;
  });
  if (child > 0) waitpid(child, nullptr, 0);
  if (code != 0) std::fprintf(stderr, "a round ended with %d\n", code);
  return (children_ns() - before) / kRoundTrips;
}

double low(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 5];
}

double percentile(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[static_cast<size_t>(part * static_cast<double>(values.size() - 1))];
}

class Bench : public KernelTest {
 public:
  using KernelTest::SetUp;
  using KernelTest::TearDown;
  void TestBody() override {}
  bool forced_fallback() const override { return false; }

  void open() {
    start([](KernelOptions& options) { options.flow_slots = 65536; });
    if (kernel_ && !kernel_->guards_refused().empty())
      std::fprintf(stderr, "no guards: %s\n", kernel_->guards_refused().c_str());
    web_ = container("container");
  }

  void packets(int rounds) {
    const std::vector<KernelPeer> peers = {peer("::", 0, kClassAllow), sender("::", 0, kClassAllow)};
    for (int round = 0; round < rounds; round++) {
      enforce(web_, peers, allow_and_deny_classes());
      sample("bare");
      guard(web_, peers);
      sample("guarded");
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
        events_seen_++;
      }
      return 0;
    });
    events();
    return (children_ns() - before) / kConnects;
  }

  void policies(int rounds) {
    for (int round = 0; round < rounds; round++) {
      for (const int count : {0, 10, 100000}) {
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
        for (const bool cold : {false, true})
          samples_[std::string(cold ? "cold_" : "hot_") + std::to_string(count)].push_back(connect_ns(cold));
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

  std::map<std::string, double> figures() {
    for (const auto& [name, values] : samples_) figures_[name + "_ns"] = low(values);
    return figures_;
  }

 private:
  void sample(const std::string& name) {
    for (const bool apart : {false, true})
      samples_[(apart ? "server_" : "turns_") + name].push_back(round_trip_ns(web_, apart));
    events();
  }

  std::string web_;
  int events_seen_ = 0;
  std::map<std::string, std::vector<double>> samples_;
  std::map<std::string, double> figures_;
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
  std::printf("{\"rounds\": %d, \"round_trips\": %d", rounds, cellwall::test::kRoundTrips);
  for (const auto& [name, value] : figures) std::printf(", \"%s\": %.1f", name.c_str(), value);
  std::printf("}\n");
  return 0;
}
