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
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "../kernel/sockets.h"
#include "measure.h"
#include "round_trips.h"

namespace cellwall::test {
namespace {

constexpr int kBlocks = 2000;
constexpr size_t kBlockBytes = 64 << 10;

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
  must_be_zero(run_in(cgroup, [&] {
    const int client = make_socket("127.0.0.1", SOCK_STREAM);
    if (tcp_try(client, "127.0.0.1", server.port()) != 0) return 1;
    const std::vector<char> data(kBlockBytes);
    for (int i = 0; i < kBlocks; i++) {
      if (send(client, data.data(), data.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(data.size())) return 2;
    }
    return 0;
  }));
  waitpid(child, nullptr, 0);
  return (children_ns() - before) / kBlocks;
}

// The program that does nothing, for both directions.
class Empty {
 public:
  explicit Empty(const std::string& cgroup)
      : cgroup_(open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
        program_(empty_program(BPF_PROG_TYPE_CGROUP_SKB, 1)) {
    for (const auto type : {BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS}) {
      if (bpf_prog_attach(program_.get(), cgroup_.get(), type, BPF_F_ALLOW_MULTI) == 0) continue;
      std::perror("attach a program that does nothing");
      std::exit(1);
    }
  }
  ~Empty() {
    for (const auto type : {BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS})
      bpf_prog_detach2(program_.get(), cgroup_.get(), type);
  }

 private:
  Fd cgroup_, program_;
};

class Bench : public Standalone<KernelTest> {
 public:
  void sample(const std::string& name, Observation wanted) {
    const std::string cgroup = container("container");
    if (auto done = kernel_->observe(cgroup_id(cgroup), cgroup, wanted); !done) {
      std::fprintf(stderr, "%s\n", done.error().message.c_str());
      std::exit(1);
    }
    measure(name, cgroup);
    kernel_->stop_observing(cgroup_id(cgroup));
  }

  void measure(const std::string& name, const std::string& cgroup) {
    samples_["turns_" + name].push_back(turns_ns(cgroup));
    samples_["server_" + name].push_back(server_ns(cgroup));
    samples_["bulk_" + name].push_back(bulk_ns(cgroup));
  }

  Figures run(int rounds) {
    must_start();
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
    return figures_ns(samples_, low);
  }

 private:
  Samples samples_;
};

}  // namespace
}  // namespace cellwall::test

int main(int argc, char** argv) {
  using namespace cellwall::test;
  return run_rounds<Bench>(argc, argv, 50, {"round_trips", kRoundTrips});
}
