// SPDX-License-Identifier: Apache-2.0
//
// What the second wall costs ordinary traffic: 64-byte requests and responses between a client in a pod and a
// server on the node, through the pod's veth. Bare; with a program there that does nothing; with the wall and
// a connection, whose packets pass at once; with the wall and an unconnected UDP socket, whose packets are
// judged. Rounds are interleaved. Prints one JSON object: nanoseconds of processor time for a round trip
// (both processes), the lowest fifth of the rounds, and for the wall what one packet takes inside of the
// program, by the kernel's own count.
#include <bpf/bpf.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>

#include "../kernel/translated_network.h"
#include "measure.h"
#include "round_trips.h"

namespace cellwall::test {
namespace {

constexpr char kNode[] = "10.8.0.1";

Fd empty_link() {
  constexpr int kUnspecified = -1;  // TC_ACT_UNSPEC
  const Fd program = empty_program(BPF_PROG_TYPE_SCHED_CLS, kUnspecified);
  Fd link(bpf_link_create(program.get(), static_cast<int>(if_nametoindex("cwpod0")),
                          static_cast<bpf_attach_type>(46), nullptr));
  if (link) return link;
  std::perror("attach a program that does nothing");
  std::exit(1);
}

class Bench : public Standalone<TranslatedNetwork> {
 public:
  void open() {
    must_start([](KernelOptions& options) { options.network_namespace = "/proc/self/ns/net"; });
    KernelPolicy policy;
    policy.generation = 1;
    policy.subjects = {
        {.cgroup = cgroup_id(web_), .rule_set = 1, .flags = CW_SUBJECT_GUARDED, .directory = web_}};
    policy.rules.peers = {peer("0.0.0.0", 0, kClassDeny), peer(kNode, 32, kClassAllow),
                          peer("::", 0, kClassAllow)};
    policy.rules.ports = allow_and_deny_classes();
    if (!kernel_->apply(policy)) std::exit(1);
    keep(true);  // the pod's process ends soon, and a pod that was found stays known
    keep(false);
  }

  double round_trip_ns(int type) {
    return server_ns(type, kNode, [&](const std::function<int()>& work) { return run_at(pod_, web_, work); });
  }

  void sample(const std::string& name) {
    samples_["tcp_" + name].push_back(round_trip_ns(SOCK_STREAM));
    samples_["udp_" + name].push_back(round_trip_ns(SOCK_DGRAM));
  }

  void keep(bool guarded) {
    const auto report =
        kernel_->keep_wall({{.cgroup = cgroup_id(web_), .directory = web_, .guarded = guarded}}, true);
    if (!report || report->devices != (guarded ? 1 : 0)) std::exit(1);
  }

  Figures run(int rounds) {
    open();
    for (int round = 0; round < rounds; round++) {
      sample("bare");
      {
        const Fd empty = empty_link();
        sample("empty");
      }
      keep(true);
      sample("wall");
      samples_["tcp_inside"].push_back(inside("cw_wall_packet", [&] { round_trip_ns(SOCK_STREAM); }).ns);
      samples_["udp_inside"].push_back(inside("cw_wall_packet", [&] { round_trip_ns(SOCK_DGRAM); }).ns);
      keep(false);
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
