// SPDX-License-Identifier: Apache-2.0
//
// Datagrams of a container with 10, 100 and 1,000 rules about it: by Cellwall, and by nftables with `socket
// cgroupv2`, as one would write them without it. None of the rules is about where the datagrams go. Prints
// one JSON object; without the figures of nft where this kernel or this machine has none.
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "../kernel/sockets.h"
#include "measure.h"

namespace cellwall::test {
namespace {

constexpr int kDatagrams = 20000;
constexpr int kRules[] = {10, 100, 1000};

std::string address_of_rule(int i) {
  return "198.51." + std::to_string(i / 250) + "." + std::to_string(1 + i % 250);
}

class Bench : public Standalone<KernelTest> {
 public:
  Figures run(int rounds) {
    must_start();
    web_ = container("container");
    const bool has_nft = put_nft(1);
    remove_nft();
    for (int round = 0; round < rounds; round++) {
      unguard();
      sample("bare");
      for (const int count :
           has_nft ? std::vector<int>(std::begin(kRules), std::end(kRules)) : std::vector<int>()) {
        if (!put_nft(count)) std::exit(1);
        sample("nft_" + std::to_string(count));
        remove_nft();
      }
      for (const int count : kRules) {
        std::vector<KernelPeer> peers = {peer("::", 0, kClassAllow), sender("::", 0, kClassAllow)};
        for (int i = 0; i < count; i++) peers.push_back(peer(address_of_rule(i), 32, kClassDeny));
        guard(web_, peers);
        sample("cellwall_" + std::to_string(count));
      }
    }
    return figures_ns(samples_, low);
  }

 private:
  void unguard() { enforce(container("nobody"), {peer("::", 0, kClassAllow)}, allow_and_deny_classes()); }

  bool put_nft(int count) const {
    const auto path = std::filesystem::relative(web_, cgroup2_mount());
    const auto level = std::distance(path.begin(), path.end());
    char file[] = "/tmp/cellwall-bench-XXXXXX";
    const Fd fd(mkstemp(file));
    std::ofstream text(file);
    text << "table inet cellwall_bench {\n  chain output {\n    type filter hook output priority 0\n";
    for (int i = 0; i < count; i++)
      text << "    socket cgroupv2 level " << level << " \"" << path.string() << "\" ip daddr "
           << address_of_rule(i) << " drop\n";
    text << "  }\n}\n";
    text.close();
    // nft looks for paths below /sys/fs/cgroup, when the rules are read.
    const std::string command = "unshare --mount sh -c 'mount --bind " + cgroup2_mount() +
                                " /sys/fs/cgroup && nft -f " + file + "' 2>/dev/null";
    const bool done = std::system(command.c_str()) == 0;
    std::filesystem::remove(file);
    return done;
  }

  static void remove_nft() { (void)!std::system("nft delete table inet cellwall_bench 2>/dev/null"); }

  void sample(const std::string& name) {
    const Server sink(SOCK_DGRAM, "10.7.0.1");
    const double before = children_ns();
    const int code = run_in(web_, [&] {
      const int fd = make_socket("10.7.0.1", SOCK_DGRAM);
      sockaddr_in to = {};
      to.sin_family = AF_INET;
      to.sin_port = htons(static_cast<uint16_t>(sink.port()));
      to.sin_addr.s_addr = htonl(0x0a070001);
      if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) return 1;
      char data[64] = {};
      for (int i = 0; i < kDatagrams; i++)
        if (send(fd, data, sizeof(data), 0) != sizeof(data)) return 2;
      return 0;
    });
    if (code != 0) {
      std::fprintf(stderr, "%s: the sender ended with %d\n", name.c_str(), code);
      std::exit(1);
    }
    samples_[name].push_back((children_ns() - before) / kDatagrams);
    events();
  }

  std::string web_;
  Samples samples_;
};

}  // namespace
}  // namespace cellwall::test

int main(int argc, char** argv) {
  return cellwall::test::run_rounds<cellwall::test::Bench>(argc, argv, 15,
                                                           {"datagrams", cellwall::test::kDatagrams});
}
