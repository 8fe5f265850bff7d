// SPDX-License-Identifier: Apache-2.0
#include "translated_network.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

namespace cellwall::test {
namespace {

Fd open_own() {
  return Fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
}

// A pair of devices: eth0 there, with the node's address at this end of it.
void connect_to(const NetworkNamespace& node, const NetworkNamespace& other, const std::string& device,
                const std::string& network4, const std::string& network6) {
  node.run("ip link add " + device + " type veth peer name eth0 netns " + other.path() + " && ip link set " +
           device + " up && ip addr add " + network4 + ".1/24 dev " + device + " && ip addr add " + network6 +
           "::1/64 dev " + device + " nodad");
  other.run("ip link set lo up && ip link set eth0 up && ip addr add " + network4 +
            ".2/24 dev eth0 && ip addr add " + network6 +
            "::2/64 dev eth0 nodad && ip route add default via " + network4 +
            ".1 && ip route add default via " + network6 + "::1");
}

constexpr char kRules[] =
    "nft 'table ip node { "
    "chain pre { type nat hook prerouting priority dstnat; ip daddr 10.96.0.10 tcp dport 5432 dnat to "
    "10.9.0.2:15432; ip daddr 10.96.0.10 udp dport 5432 dnat to 10.9.0.2:15432; }; "
    "chain post { type nat hook postrouting priority srcnat; oifname cwdb0 masquerade; }; }; "
    "table ip6 node { "
    "chain pre { type nat hook prerouting priority dstnat; ip6 daddr fd96::10 tcp dport 5432 dnat to "
    "[fd09::2]:15432; }; "
    "chain post { type nat hook postrouting priority srcnat; oifname cwdb0 masquerade; }; }'";

}  // namespace

const Family kV4 = {"10.8.0.2", "10.9.0.2", "10.9.0.1", "10.96.0.10", "203.0.113.7"};
const Family kV6 = {"fd08::2", "fd09::2", "fd09::1", "fd96::10", "fd99::7"};

NetworkNamespace::NetworkNamespace() {
  std::thread([this] {
    if (unshare(CLONE_NEWNET) == 0) fd_ = open_own();
  }).join();
  if (!fd_) std::abort();
}

void NetworkNamespace::enter() const {
  if (setns(fd_.get(), CLONE_NEWNET) != 0) std::abort();
}

std::string NetworkNamespace::path() const {
  return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd_.get());
}

void NetworkNamespace::run(const std::string& command) const {
  const int code = run_in("", [&] {
    enter();
    return std::system(("timeout 10 sh -c \"" + command + "\"").c_str()) == 0 ? 0 : 1;
  });
  EXPECT_EQ(code, 0) << command;
}

std::string text(const Endpoint& end) {
  return text_of(end.address.data()) + ":" + std::to_string(end.port);
}

void TranslatedNetwork::SetUp() {
  KernelTest::SetUp();
  NEED_NFTABLES();
  before_ = open_own();
  node_.enter();
  node_.run("ip link set lo up && sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
  connect_to(node_, pod_, "cwpod0", "10.8.0", "fd08");
  connect_to(node_, database_, "cwdb0", "10.9.0", "fd09");
  node_.run(kRules);
  web_ = container("web");
  db_ = container("db");
  Signal ready;
  end_ = std::make_unique<Signal>();
  pause_ = std::make_unique<Child>(web_, [&] {
    pod_.enter();
    ready.give();
    end_->wait(kChildSeconds);
    return 0;
  });
  ASSERT_TRUE(ready.wait());
}

void TranslatedNetwork::TearDown() {
  pause_.reset();
  if (before_) setns(before_.get(), CLONE_NEWNET);
  KernelTest::TearDown();
}

Nat TranslatedNetwork::nat() {
  auto namespaces = Namespaces::open("/proc/self/ns/net");
  EXPECT_TRUE(namespaces.has_value());
  return Nat(std::move(*namespaces), [this](const cw_event& event) {
    return NatSite{.cgroup = event.socket_cgroup == cgroup_id(db_) ? db_ : web_, .addresses = addresses_};
  });
}

int TranslatedNetwork::run_at(const NetworkNamespace& network, const std::string& cgroup,
                              const std::function<int()>& work) {
  return run_in(cgroup, [&] {
    network.enter();
    return work();
  });
}

TranslatedNetwork::OneServer::OneServer(const NetworkNamespace& network, const std::string& cgroup,
                                        const std::string& address, uint16_t port, int type)
    : child_(cgroup, [&] {
        network.enter();
        const Server server(type, address, port);
        ready_.give();
        type == SOCK_STREAM ? serve_one(server, 10, 20) : udp_serve_one(server);
        return 0;
      }) {
  EXPECT_TRUE(ready_.wait());
}

void TranslatedNetwork::exchange(const Family& family, int type) {
  OneServer server(database_, db_, family.database, kDatabasePort, type);
  const auto client = [&] {
    return type == SOCK_STREAM ? tcp_exchange(family.service, kServicePort, 10, 20)
                               : udp_exchange(family.service, kServicePort);
  };
  EXPECT_EQ(run_at(pod_, web_, client), 0);
  EXPECT_EQ(server.join(), 0);
}

const cw_event* TranslatedNetwork::find(const std::vector<cw_event>& events, cw_direction direction) {
  for (const cw_event& event : events) {
    if (event.direction == direction) return &event;
  }
  return nullptr;
}

}  // namespace cellwall::test
