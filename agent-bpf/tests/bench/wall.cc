// SPDX-License-Identifier: Apache-2.0
//
// What the second wall costs ordinary traffic: 64-byte requests and responses between a client in a pod and a
// server on the node, through the pod's veth. Bare; with a program there that does nothing; with the wall and
// a connection, whose packets pass at once; with the wall and an unconnected UDP socket, whose packets are
// judged. Rounds are interleaved. Prints one JSON object: nanoseconds of processor time for a round trip
// (both processes), the lowest fifth of the rounds, and for the wall what one packet takes inside of the
// program, by the kernel's own count.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <net/if.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "../kernel/sockets.h"
#include "../kernel/translated_network.h"

namespace cellwall::test {
namespace {

constexpr int kRoundTrips = 3000;
constexpr size_t kBytes = 64;

double children_ns() {
  rusage usage = {};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto ns = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

[[noreturn]] void serve(int fd, bool stream) {
  char data[kBytes];
  sockaddr_in from = {};
  for (;;) {
    socklen_t size = sizeof(from);
    auto* peer = reinterpret_cast<sockaddr*>(&from);
    const ssize_t got =
        stream ? recv(fd, data, sizeof(data), MSG_WAITALL) : recvfrom(fd, data, sizeof(data), 0, peer, &size);
    if (got != kBytes) _exit(0);
    (void)!(stream ? send(fd, data, kBytes, MSG_NOSIGNAL) : sendto(fd, data, kBytes, 0, peer, size));
  }
}

int ask(int fd, bool stream, uint16_t port) {
  char data[kBytes] = {};
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  inet_pton(AF_INET, "10.8.0.1", &to.sin_addr);
  for (int i = 0; i < kRoundTrips; i++) {
    const ssize_t sent = stream ? send(fd, data, kBytes, MSG_NOSIGNAL)
                                : sendto(fd, data, kBytes, 0, reinterpret_cast<sockaddr*>(&to), sizeof(to));
    if (sent != kBytes || recv(fd, data, kBytes, stream ? MSG_WAITALL : 0) != kBytes) return 2;
  }
  (void)!sendto(fd, data, 1, 0, stream ? nullptr : reinterpret_cast<sockaddr*>(&to), stream ? 0 : sizeof(to));
  return 0;
}

// return TC_ACT_UNSPEC
Fd empty_link() {
  const bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = -1},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  const Fd program(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", code, 2, nullptr));
  return Fd(bpf_link_create(program.get(), static_cast<int>(if_nametoindex("cwpod0")),
                            static_cast<bpf_attach_type>(46), nullptr));
}

double low(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 5];
}

class Bench : public TranslatedNetwork {
 public:
  using TranslatedNetwork::SetUp;
  using TranslatedNetwork::TearDown;
  void TestBody() override {}
  bool forced_fallback() const override { return false; }

  void open() {
    start([](KernelOptions& options) { options.network_namespace = "/proc/self/ns/net"; });
    KernelPolicy policy;
    policy.generation = 1;
    policy.subjects = {
        {.cgroup = cgroup_id(web_), .rule_set = 1, .flags = CW_SUBJECT_GUARDED, .directory = web_}};
    policy.rules.peers = {peer("0.0.0.0", 0, kClassDeny), peer("10.8.0.1", 32, kClassAllow),
                          peer("::", 0, kClassAllow)};
    policy.rules.ports = allow_and_deny_classes();
    if (!kernel_->apply(policy)) std::exit(1);
    keep(true);  // the pod's process ends soon, and a pod that was found stays known
    keep(false);
  }

  double round_trip_ns(bool stream) {
    const Server server(stream ? SOCK_STREAM : SOCK_DGRAM, "10.8.0.1");
    const double before = children_ns();
    const pid_t child = fork();
    if (child == 0) serve(stream ? accept(server.fd(), nullptr, nullptr) : server.fd(), stream);
    const int code = run_at(pod_, web_, [&] {
      const int client = make_socket("10.8.0.1", stream ? SOCK_STREAM : SOCK_DGRAM);
      if (stream && tcp_try(client, "10.8.0.1", server.port()) != 0) return 1;
      return ask(client, stream, server.port());
    });
    if (code != 0) {
      std::fprintf(stderr, "a round ended with %d\n", code);
      std::exit(1);
    }
    waitpid(child, nullptr, 0);
    return (children_ns() - before) / kRoundTrips;
  }

  void sample(const std::string& name) {
    samples_["tcp_" + name].push_back(round_trip_ns(true));
    samples_["udp_" + name].push_back(round_trip_ns(false));
  }

  void keep(bool guarded) {
    const auto report =
        kernel_->keep_wall({{.cgroup = cgroup_id(web_), .directory = web_, .guarded = guarded}}, true);
    if (!report || report->devices != (guarded ? 1 : 0)) std::exit(1);
  }

  // Of all programs with the wall's name: what one packet took, by the kernel.
  static double inside_ns(const std::function<void()>& traffic) {
    const Fd counting(bpf_enable_stats(BPF_STATS_RUN_TIME));
    double ns = 0, runs = 0;
    const auto add = [&](double sign) {
      uint32_t id = 0;
      while (bpf_prog_get_next_id(id, &id) == 0) {
        const Fd program(bpf_prog_get_fd_by_id(id));
        bpf_prog_info info = {};
        uint32_t size = sizeof(info);
        if (!program || bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0) continue;
        if (std::string(info.name) != "cw_wall_packet") continue;
        ns += sign * static_cast<double>(info.run_time_ns);
        runs += sign * static_cast<double>(info.run_cnt);
      }
    };
    add(-1);
    traffic();
    add(1);
    return runs > 0 ? ns / runs : 0;
  }

  std::map<std::string, double> run(int rounds) {
    for (int round = 0; round < rounds; round++) {
      sample("bare");
      {
        const Fd empty = empty_link();
        sample("empty");
      }
      keep(true);
      sample("wall");
      samples_["tcp_inside"].push_back(inside_ns([&] { round_trip_ns(true); }));
      samples_["udp_inside"].push_back(inside_ns([&] { round_trip_ns(false); }));
      keep(false);
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
