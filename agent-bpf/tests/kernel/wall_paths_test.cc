// SPDX-License-Identifier: Apache-2.0
//
// Ways out of a pod that no hook of a socket sees, and ordinary traffic, which the second wall leaves alone.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "wall_fixture.h"

namespace cellwall::test {
namespace {

constexpr char kVxlan[] =
    "ip link add cwvx type vxlan id 7 remote 10.8.0.1 dstport 4789 dev eth0 && ip link set cwvx up && "
    "ip addr add 192.168.77.1/24 dev cwvx && ip neigh add 192.168.77.9 lladdr 02:00:00:00:00:09 dev cwvx";

int send_datagram(const std::string& to, size_t size = 0) {
  Bytes bytes = word();
  bytes.resize(std::max(size, bytes.size()));
  const int socket = make_socket(to, SOCK_DGRAM);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(9999);
  inet_pton(AF_INET, to.c_str(), &address.sin_addr);
  const auto sent =
      sendto(socket, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  return sent == static_cast<ssize_t>(bytes.size()) ? 0 : errno;
}

class WallPathsTest : public WallTest {
 protected:
  void SetUp() override {
    WallTest::SetUp();
    const std::string pings = "sysctl -q 'net.ipv4.ping_group_range=0 0'";
    node_.run(pings);
    pod_.run(pings);
    start_agent();
    guard();
  }
  int datagram_arrives(const std::string& cgroup, const std::string& to, size_t size = 0) {
    Arrivals arrivals(kNodeEnd, ETH_P_IP);
    EXPECT_EQ(in_pod(cgroup, [&] { return send_datagram(to, size); }), 0);
    return arrivals.count(1);
  }
  // Written to a device of web's own.
  int written_arrives(bool tap, const std::string& setup, const Bytes& bytes) {
    Arrivals arrivals(kNodeEnd, ETH_P_IP);
    EXPECT_EQ(in_pod(web_,
                     [&] {
                       const Fd tunnel = open_tunnel("cwtun", tap);
                       if (!tunnel) return 1;
                       if (std::system(setup.c_str()) != 0) return 2;
                       for (int i = 0; i < 5; i++) {
                         if (write(tunnel.get(), bytes.data(), bytes.size()) < 0) return 3;
                         usleep(20000);
                       }
                       return 0;
                     }),
              0);
    return arrivals.count(5);
  }
};

TEST_P(WallPathsTest, refuses_a_tunnel_to_where_the_container_may_not_go) {
  pod_.run(kVxlan);
  EXPECT_EQ(datagram_arrives(web_, kInner), 1);
  keep();
  EXPECT_EQ(datagram_arrives(web_, kInner), 0);
  EXPECT_GE(refused(), 1u);
  const auto records = told();
  ASSERT_GE(records.size(), 1u);
  EXPECT_EQ(text_of(records[0].remote), "10.8.0.1");
  EXPECT_EQ(records[0].remote_port, 4789);
  EXPECT_EQ(datagram_arrives(side_, kInner), 1);
}

TEST_P(WallPathsTest, refuses_the_fragments_of_such_a_tunnel) {
  pod_.run(kVxlan);
  pod_.run(
      "ip link set eth0 mtu 4100 && ip link set cwvx mtu 4000 && ip route add 10.8.0.1 dev eth0 mtu 1500");
  keep();
  EXPECT_EQ(datagram_arrives(web_, kInner, 3000), 0);
  EXPECT_GE(refused(), 3u);
  EXPECT_GE(datagram_arrives(side_, kInner, 3000), 1);
}

constexpr char kBridge[] =
    "ip link set cwtun up && ip link add cwbr type bridge && ip link set cwbr up && "
    "ip link set eth0 master cwbr && ip link set cwtun master cwbr";

// To one address a bridge hands on the frame itself, to all of them copies, which have no socket. Nor has IP
// that the bridge has shown to netfilter (br_netfilter).
constexpr char kBare[] = "sysctl -q net.bridge.bridge-nf-call-iptables=0 2>/dev/null; ";

Bytes to_one(Bytes bytes) {
  bytes[0] = 0x06;
  return bytes;
}

TEST_P(WallPathsTest, refuses_frames_that_a_container_writes_into_a_bridge) {
  keep();
  EXPECT_EQ(written_arrives(true, std::string(kBare) + kBridge, to_one(frame({.to = kDenied}))), 0);
  EXPECT_EQ(refused(), 5u);
  const auto records = told();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_NE(records[0].cookie, 0u);
}

TEST_P(WallPathsTest, refuses_copies_of_a_bridge_where_each_container_of_the_pod_is_guarded) {
  keep(true, false);
  EXPECT_EQ(written_arrives(true, kBridge, frame({.to = kDenied})), 0);
  EXPECT_EQ(refused(), 5u);
  const auto records = told();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].cookie, 0u);
  EXPECT_EQ(records[0].container, cgroup_id(web_));
}

TEST_P(WallPathsTest, lets_frames_of_a_bridge_go_where_the_container_may) {
  keep(true, false);
  EXPECT_EQ(written_arrives(true, kBridge, to_one(frame({.to = "10.9.0.2"}))), 5);
}

constexpr char kForward[] =
    "ip link set cwtun up && ip addr add 10.99.0.1/24 dev cwtun && sysctl -q net.ipv4.ip_forward=1 "
    "net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.cwtun.rp_filter=0";

TEST_P(WallPathsTest, refuses_forwarded_packets_where_each_container_of_the_pod_is_guarded) {
  keep(true, false);
  EXPECT_EQ(written_arrives(false, kForward, ip_packet({.to = kDenied, .from = "10.99.0.2"})), 0);
  EXPECT_EQ(refused(), 5u);
  EXPECT_GE(written_arrives(false, kForward, ip_packet({.to = "10.9.0.2", .from = "10.99.0.2"})), 1);
}

// Nobody knows whose they are.
TEST_P(WallPathsTest, lets_forwarded_packets_through_where_a_neighbour_is_not_guarded) {
  keep();
  EXPECT_GE(written_arrives(false, kForward, ip_packet({.to = kDenied, .from = "10.99.0.2"})), 1);
}

TEST_P(WallPathsTest, refuses_an_address_that_was_rewritten_inside_the_pod) {
  const Server server(SOCK_STREAM, "10.8.0.1", 7777);
  pod_.run(
      "nft 'table ip pod { chain out { type nat hook output priority -100; ip daddr 10.9.0.2 tcp dport "
      "5555 "
      "dnat to 10.8.0.1:7777; }; }'");
  const auto connects = [&](const std::string& cgroup) {
    return in_pod(cgroup, [] {
      const int client = make_socket("10.9.0.2", SOCK_STREAM);
      const timeval limit = {.tv_sec = 1, .tv_usec = 0};
      setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
      return tcp_try(client, "10.9.0.2", 5555);
    });
  };
  EXPECT_EQ(connects(web_), 0);
  keep();
  EXPECT_NE(connects(web_), 0);
  EXPECT_GE(refused(), 1u);
  EXPECT_EQ(connects(side_), 0);
}

TEST_P(WallPathsTest, leaves_ordinary_traffic_alone) {
  keep(true, false);
  for (const Family* family : {&kV4, &kV6}) {
    OneServer tcp(database_, db_, family->database, 7001),
        udp(database_, db_, family->database, 7002, SOCK_DGRAM);
    EXPECT_EQ(in_pod(web_, [&] { return tcp_exchange(family->database, 7001, 10, 20); }), 0);
    EXPECT_EQ(in_pod(web_, [&] { return udp_exchange(family->database, 7002); }), 0);
    EXPECT_EQ(in_pod(web_, [&] { return ping(family->database, false); }), 0);
    EXPECT_EQ(tcp.join(), 0);
    EXPECT_EQ(udp.join(), 0);
  }
  EXPECT_EQ(datagram_arrives(web_, "10.9.0.2", 4000), 1);  // in fragments, of which one has the word
  EXPECT_EQ(refused(), 0u);
}

// It may send nothing there by itself.
TEST_P(WallPathsTest, lets_servers_answer_whoever_asks) {
  keep(true, false);
  for (const Family* family : {&kV4, &kV6}) {
    OneServer tcp(pod_, web_, family->pod, 7001), udp(pod_, web_, family->pod, 7002, SOCK_DGRAM);
    EXPECT_EQ(run_in("", [&] { return tcp_exchange(family->pod, 7001, 10, 20); }), 0);
    EXPECT_EQ(run_in("", [&] { return udp_exchange(family->pod, 7002); }), 0);
    EXPECT_EQ(tcp.join(), 0);
    EXPECT_EQ(udp.join(), 0);
    EXPECT_EQ(run_in("", [&] { return ping(family->pod, false); }), 0);
    EXPECT_EQ(run_in("", [&] { return tcp_exchange(family->pod, 7009); }), ECONNREFUSED);
  }
  EXPECT_EQ(refused(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Kernel, WallPathsTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "fallback" : "plain_loads"; });

}  // namespace
}  // namespace cellwall::test
