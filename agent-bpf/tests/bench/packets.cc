// SPDX-License-Identifier: Apache-2.0
//
// What reading names and first payloads costs the traffic that follows: 64-byte requests and responses over
// one loopback connection whose client is in the container. Bare; with a program that does nothing on each
// packet, which is the least that any costs; with names, payloads, or both. "turns" has both ends in one
// thread: no time but that of the network stack, so the worst case. "server" has the server in a process of
// its own, as services have. "bulk" sends in blocks instead. "outside" is a client in a cgroup that is not
// below the attach point. Rounds are interleaved, so that a slow phase of the machine hits all alike. Prints
// one JSON object: nanoseconds of processor time per round trip or block (both processes), the lowest fifth
// of the rounds.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
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
constexpr size_t kBytes = 64;
constexpr int kBlocks = 2000;
constexpr size_t kBlockBytes = 64 << 10;

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

// The listening socket, and so the accepted one, belongs to no container.
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

void swallow(int fd) {
  std::vector<char> data(kBlockBytes);
  while (recv(fd, data.data(), data.size(), 0) > 0) {
  }
  _exit(0);
}

double bulk_ns(const std::string& cgroup) {
  const Server server(SOCK_STREAM, "127.0.0.1");
  const double before = children_ns();
  const pid_t child = fork();
  if (child == 0) swallow(accept(server.fd(), nullptr, nullptr));
  const int code = run_in(cgroup, [&] {
    const int client = make_socket("127.0.0.1", SOCK_STREAM);
    if (tcp_try(client, "127.0.0.1", server.port()) != 0) return 1;
    const std::vector<char> data(kBlockBytes);
    for (int i = 0; i < kBlocks; i++) {
      if (send(client, data.data(), data.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(data.size())) return 2;
    }
    return 0;
  });
  waitpid(child, nullptr, 0);
  if (code != 0) std::fprintf(stderr, "a bulk round ended with %d\n", code);
  return (children_ns() - before) / kBlocks;
}

// return 1
class Empty {
 public:
  explicit Empty(const std::string& cgroup)
      : cgroup_(open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    const bpf_insn code[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 1},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    program_ = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "empty", "GPL", code, 2, nullptr);
    for (const auto type : {BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS}) {
      if (bpf_prog_attach(program_, cgroup_, type, BPF_F_ALLOW_MULTI) != 0) std::perror("attach");
    }
  }
  ~Empty() {
    for (const auto type : {BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS})
      bpf_prog_detach2(program_, cgroup_, type);
    close(program_);
    close(cgroup_);
  }

 private:
  int cgroup_;
  int program_;
};

// What others do on the machine only ever adds, so the lower end is nearer to the truth than the middle.
double low(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 5];
}

class Bench : public KernelTest {
 public:
  using KernelTest::SetUp;
  using KernelTest::TearDown;
  void TestBody() override {}

  void open() {
    KernelOptions options;
    options.cgroup = root_;
    options.pin_directory = pins_;
    auto opened = Kernel::open(options);
    if (!opened) {
      std::fprintf(stderr, "%s\n", opened.error().message.c_str());
      std::exit(1);
    }
    kernel_ = std::move(*opened);
  }

  void sample(const std::string& name, Observation wanted) {
    const std::string cgroup = container("container");
    if (auto done = kernel_->observe(cgroup_id(cgroup), cgroup, wanted); !done)
      std::fprintf(stderr, "%s\n", done.error().message.c_str());
    measure(name, cgroup);
    kernel_->stop_observing(cgroup_id(cgroup));
  }

  void measure(const std::string& name, const std::string& cgroup) {
    for (const bool apart : {false, true})
      samples_[(apart ? "server_" : "turns_") + name].push_back(round_trip_ns(cgroup, apart));
    samples_["bulk_" + name].push_back(bulk_ns(cgroup));
  }

  std::map<std::string, double> run(int rounds) {
    for (int round = 0; round < rounds; round++) {
      measure("outside", "");
      sample("bare", {});
      {
        Empty empty(container("container"));
        sample("empty", {});
      }
      sample("names", {.names = true, .payload = false});
      sample("bare", {});
      sample("payload", {.names = false, .payload = true});
      sample("both", {.names = true, .payload = true});
    }
    std::map<std::string, double> figures;
    for (const auto& [name, values] : samples_) figures[name] = low(values);
    return figures;
  }

 private:
  std::map<std::string, std::vector<double>> samples_;
};

}  // namespace
}  // namespace cellwall::test

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 50;
  cellwall::test::enter_own_namespaces();
  cellwall::test::Bench bench;
  bench.SetUp();
  bench.open();
  const auto figures = bench.run(rounds);
  bench.TearDown();
  std::printf("{\"rounds\": %d, \"round_trips\": %d", rounds, cellwall::test::kRoundTrips);
  for (const auto& [name, ns] : figures) std::printf(", \"%s_ns\": %.0f", name.c_str(), ns);
  std::printf("}\n");
  return 0;
}
